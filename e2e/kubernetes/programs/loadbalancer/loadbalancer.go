// Package loadbalancer gives Services of type LoadBalancer an address from a pool.
//
// Nothing needs to own the address: with `ipMode: VIP`, kube-proxy takes packets for it on the node. So this writes a
// status and does nothing else.
package loadbalancer

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/netip"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Run gives addresses until the context ends. The first address of the pool stays unused, as it is the network's own.
//
// It looks at all Services after each change, in one goroutine: there are few, and so no address is given twice.
func Run(ctx context.Context, client kubernetes.Interface, pool netip.Prefix) {
	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Core().V1().Services().Informer()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(_, _ any) { notify() },
		DeleteFunc: func(any) { notify() },
	})
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	a := allocator{client, pool.Masked(), map[types.UID]netip.Addr{}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		if err := a.assign(ctx, informer.GetStore().List()); err != nil {
			log.Printf("%v; trying again", err)
			time.AfterFunc(time.Second, notify)
		}
	}
}

type allocator struct {
	client kubernetes.Interface
	pool   netip.Prefix
	// held is who has which address. What was written counts at once, though the informer may show it later.
	held map[types.UID]netip.Addr
}

// assign gives an address to every Service that waits for one, and takes it from those that are no longer LoadBalancers.
func (a *allocator) assign(ctx context.Context, services []any) (failed error) {
	a.learn(services)
	for _, item := range services {
		service := item.(*core.Service)
		if service.Spec.LoadBalancerClass != nil {
			continue
		}
		wanted := a.wanted(service)
		if wanted == a.held[service.UID] {
			continue
		}
		if err := a.write(ctx, service, wanted); err != nil {
			failed = fmt.Errorf("service %s/%s: %w", service.Namespace, service.Name, err)
			continue
		}
		a.held[service.UID] = wanted
	}
	return failed
}

// learn takes over what an earlier run gave, and forgets Services that are gone.
func (a *allocator) learn(services []any) {
	there := map[types.UID]bool{}
	for _, item := range services {
		service := item.(*core.Service)
		there[service.UID] = true
		if _, known := a.held[service.UID]; known {
			continue
		}
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			if address, err := netip.ParseAddr(ingress.IP); err == nil {
				a.held[service.UID] = address
			}
		}
	}
	for uid := range a.held {
		if !there[uid] {
			delete(a.held, uid)
		}
	}
}

// wanted is the address that a Service should hold; the zero address is none. One that asks for an address that cannot be
// had stays pending, as it would with a real load balancer.
func (a *allocator) wanted(service *core.Service) netip.Addr {
	held := a.held[service.UID]
	if service.Spec.Type != core.ServiceTypeLoadBalancer {
		return netip.Addr{}
	}
	taken := map[netip.Addr]bool{}
	for uid, address := range a.held {
		taken[address] = uid != service.UID
	}
	if asked := service.Spec.LoadBalancerIP; asked != "" {
		address, err := netip.ParseAddr(asked)
		if err != nil || !a.pool.Contains(address) || taken[address] {
			return netip.Addr{}
		}
		return address
	}
	if held.IsValid() {
		return held
	}
	for address := a.pool.Addr().Next(); a.pool.Contains(address); address = address.Next() {
		if !taken[address] {
			return address
		}
	}
	return netip.Addr{}
}

func (a *allocator) write(ctx context.Context, service *core.Service, address netip.Addr) error {
	status := core.LoadBalancerStatus{}
	if address.IsValid() {
		mode := core.LoadBalancerIPModeVIP
		status.Ingress = []core.LoadBalancerIngress{{IP: address.String(), IPMode: &mode}}
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"loadBalancer": map[string]any{"ingress": status.Ingress}}})
	if err != nil {
		return err
	}
	services := a.client.CoreV1().Services(service.Namespace)
	_, err = services.Patch(ctx, service.Name, types.MergePatchType, patch, meta.PatchOptions{}, "status")
	return err
}
