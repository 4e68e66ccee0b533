package loadbalancer

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// NewCommand is the program `load-balancer`.
func NewCommand() *cobra.Command {
	var kubeconfig, pool string
	command := &cobra.Command{
		Use:   "load-balancer",
		Short: "Give Services of type LoadBalancer an address from a pool",
		RunE: func(command *cobra.Command, _ []string) error {
			prefix, err := netip.ParsePrefix(pool)
			if err != nil {
				return fmt.Errorf("--pool: %w", err)
			}
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return err
			}
			Run(command.Context(), client, prefix)
			return nil
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API server")
	command.Flags().StringVar(&pool, "pool", "", "the addresses to give, such as 10.97.0.0/24")
	return command
}
