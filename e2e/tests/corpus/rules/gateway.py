"""Gateway API, without routes."""

PREFIX = ".".join(["a" * 62] * 4) + "aa"  # of 253 characters
ROOM = "spec.infrastructure"

GATEWAY = [
    ("spec.addresses", "IPAddress values", "listeners", {"spec.addresses[1]": {"type": "IPAddress", "value": "192.0.2.1"}}),
    ("spec.addresses", "Hostname values", "tls", {"spec.addresses[1]": {"type": "Hostname", "value": "shop.example.com"}}),
    ("spec.addresses[*]", "Hostname value", "tls", {"spec.addresses[0].value": "shop_1.example.com"}),
    ("spec.addresses[*]", "oneOf", "listeners", {"spec.addresses[0].value": "192.0.2.256"}),
    (f"{ROOM}.labels", "form of an optional", "listeners", {f"{ROOM}.labels": {"a/b/c": "d"}}),
    (f"{ROOM}.labels", "not longer than", "listeners", {f"{ROOM}.labels": {f"{PREFIX}/a": "b"}}),
    (f"{ROOM}.annotations", "form of an optional", "listeners", {f"{ROOM}.annotations": {"-a": "b"}}),
    (f"{ROOM}.annotations", "not longer than", "listeners", {f"{ROOM}.annotations": {f"{PREFIX}/a": "b"}}),
    ("spec.listeners", "tls must not", "listeners", {"spec.listeners[0].tls": {"certificateRefs": [{"name": "shop"}]}}),
    ("spec.listeners", "must be Terminate", "listeners", {"spec.listeners[1].tls.mode": "Passthrough"}),
    ("spec.listeners", "must be set for protocol TLS", "listeners", {"spec.listeners[2]": {"name": "tls", "port": 8443, "protocol": "TLS"}}),
    ("spec.listeners", "hostname must not", "listeners", {"spec.listeners[3].hostname": "db.example.com"}),
    ("spec.listeners", "Listener name", "listeners", {"spec.listeners[3].name": "tls"}),
    ("spec.listeners", "Combination", "listeners", {"spec.listeners[4]": {"name": "too", "port": 5432, "protocol": "TCP"}}),
    ("spec.listeners[*].tls", "certificateRefs or options", "tls", {"spec.listeners[0].tls": {"mode": "Terminate"}}),
    ("spec.tls.frontend.perPort", "must be unique", "tls", {"spec.tls.frontend.perPort[1]": {"port": 443, "tls": {}}}),
]

CASES = {"Gateway": GATEWAY}
