"""A cluster's addresses, and the devices that carry them. Each cluster has a network of its own, so all use the same ones."""

import json

NODE, NODE_NETWORK = "10.99.0.2", "10.99.0.0/24"
PODS = "10.244.0.0/24"
SERVICES, API_SERVICE, DNS_SERVICE = "10.96.0.0/16", "10.96.0.1", "10.96.0.10"
LOAD_BALANCERS = "10.97.0.0/24"
API_SERVER = f"https://{NODE}:6443"


def virtual_machine(index):
    """The addresses of the link to the virtual machine of an index: the node's end and the machine's."""
    return f"10.98.{index}.1", f"10.98.{index}.2"


def lay_node(machine):
    """The node's address is on a bridge that leads nowhere, and so does its default route: nothing leaves the machine."""
    machine.run("ip", "link", "set", "lo", "up")
    machine.run("ip", "link", "add", "node0", "type", "bridge")
    machine.run("ip", "address", "add", f"{NODE}/24", "dev", "node0")
    machine.run("ip", "link", "set", "node0", "up")
    machine.run("ip", "route", "add", "default", "dev", "node0")
    machine.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def join_virtual_machine(node, machine, index):
    """Joins a virtual machine to the node by a veth pair; whatever it wants, it asks the node for."""
    ours, its = virtual_machine(index)
    device = f"vm{index}"
    node.run("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", machine.pid)
    node.run("ip", "address", "add", f"{ours}/24", "dev", device)
    node.run("ip", "link", "set", device, "up")
    machine.run("ip", "link", "set", "lo", "up")
    machine.run("ip", "address", "add", f"{its}/24", "dev", "eth0")
    machine.run("ip", "link", "set", "eth0", "up")
    machine.run("ip", "route", "add", "default", "via", ours)


def pod_network():
    """The CNI configuration: pods on a bridge, seen under their own addresses everywhere (so no masquerading)."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}, indent=2)
