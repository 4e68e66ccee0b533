"""Istio's kinds."""

SOCKET = "unix:///run/app.sock"


def entries(place, at, base, socket):
    """What holds for a workload wherever one is written."""
    return [
        (place, "has no ports", base, {f"{at}.address": SOCKET}),
        (f"{place}.address", "absolute path", socket, {f"{at}.address": "unix://run/app.sock"}),
        (f"{place}.ports", "a port's name", base, {f"{at}.ports": {"a.b": 80}}),
    ]


SERVICE_ENTRY = [
    *entries("spec.endpoints[*]", "spec.endpoints[0]", "endpoints", "socket"),
    ("spec", "only one of workloadSelector", "endpoints", {"spec.workloadSelector": {"labels": {"app": "db"}}}),
    ("spec", "CIDRs", "looked-up", {"spec.addresses": ["192.0.2.0/24"]}),
    ("spec", "NONE has no endpoints", "endpoints", {"spec.resolution": "NONE"}),
    ("spec", "at most one endpoint", "looked-up", {"spec.resolution": "DNS_ROUND_ROBIN", "spec.endpoints": [{"address": "a.b"}, {"address": "c.d"}]}),
    ("spec", None, "looked-up", {"spec.hosts": ["a.example.com", "b.example.com"], "spec.ports[0].protocol": "TCP"}),
    ("spec", None, "selected", {"spec.endpoints": []}),
    ("spec", None, "looked-up", {"spec.resolution": "NONE", "spec.endpoints": []}),
    ("spec", "the host '*'", "looked-up", {"spec.hosts": ["*"]}),
    ("spec.ports", "numbers of ports", "endpoints", {"spec.ports[1]": {"number": 443, "name": "too"}}),
    ("spec.workloadSelector.labels", "no empty keys", "selected", {"spec.workloadSelector.labels": {"app": "*"}}),
]
WORKLOAD_ENTRY = [
    *entries("spec", "spec", "machine", "socket"),
    ("spec", None, "socket", {"spec.ports": {}}),
    ("spec", "address is needed", "machine", {"spec": {"labels": {"app": "db"}}}),
    ("spec", "address is needed", "machine", {"spec.address": "", "spec.network": ""}),
]
WORKLOAD_GROUP = [
    *entries("spec.template", "spec.template", "http", "tcp"),
    ("spec.probe", "exactly one of", "tcp", {"spec.probe.grpc": {"port": 9000}}),
]

CASES = {"ServiceEntry": SERVICE_ENTRY, "WorkloadEntry": WORKLOAD_ENTRY, "WorkloadGroup": WORKLOAD_GROUP}
