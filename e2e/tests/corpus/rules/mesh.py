"""Our own kinds."""

SHARE = "is a number or a share"
CANARY = "spec.update.canary"

MESH_INSTALLATION = [
    ("spec.images.registry", "no scheme", "all", {"spec.images.registry": "https://registry.example.com"}),
    ("spec.images.proxy", "no scheme", "all", {"spec.images.proxy": "docker://registry.example.com/envoy:1"}),
    ("spec.mesh", "no alias", "all", {"spec.mesh.trustDomainAliases": ["mesh.example.com"]}),
    ("spec.mesh", "no alias", "scaled", {"spec.mesh.trustDomainAliases": ["cluster.local"]}),
    ("", "at most 32", "all", {"metadata.name": "a" * 33}),
    ("spec.mesh.accessLog.format", "maxProperties", "all", {"spec.mesh.accessLog.format.json": {"code": "%RESPONSE_CODE%"}}),
    ("spec.ca", "only one of", "all", {"spec.ca.secretRef": {"name": "intermediate"}}),
    ("spec.discovery", "exclude each other", "all", {"spec.discovery.autoscaling": {"maxReplicas": 3}}),
    ("spec.discovery.autoscaling", "less than minReplicas", "scaled", {"spec.discovery.autoscaling.maxReplicas": 1}),
    (f"{CANARY}.analysis.maxUnready", SHARE, "all", {f"{CANARY}.analysis.maxUnready": "101%"}),
    (f"{CANARY}.gate.maxChangedProxies", SHARE, "all", {f"{CANARY}.gate.maxChangedProxies": -1}),
    (f"{CANARY}.steps", "the last step", "all", {f"{CANARY}.steps[1].weight": 99}),
    (f"{CANARY}.steps", "moves more", "all", {f"{CANARY}.steps[0].weight": 100}),
    (f"{CANARY}.steps", "moves more", "all", {f"{CANARY}.steps": [{"weight": 20}, {"weight": 10}, {"weight": 100}]}),
]

CASES = {"MeshInstallation": MESH_INSTALLATION}
