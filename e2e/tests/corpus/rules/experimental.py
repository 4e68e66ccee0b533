"""What the Gateway API's experimental channel has besides."""

from ..paths import GONE
from .http_route import SCHEMAS

RULE = "spec.rules[0]"
FILTERS = (f"{RULE}.filters", f"{RULE}.backendRefs[0].filters")
AUTHORITY = {"protocol": "HTTP", "backendRef": {"name": "authority", "port": 9000}, "http": {"path": "/check"}}


def of_filters():
    """What holds for the filters of rules and of backends alike."""
    for schema, place in zip(SCHEMAS, FILTERS):
        yield f"{schema}[*]", "externalAuth must be nil", "filters", {f"{place}[6].externalAuth": AUTHORITY}
        yield f"{schema}[*]", "externalAuth must be specified", "experimental", {f"{place}[0].externalAuth": GONE}


HTTP_ROUTE = [
    *of_filters(),
    ("spec.rules", "Rule name must be unique", "experimental", {"spec.rules[1].name": "first"}),
    ("spec.parentRefs", None, "matches", {"spec.parentRefs": [{"name": "a", "port": 80}, {"name": "a", "port": 443}]}),
    ("spec.parentRefs", "must be specified", "matches", {"spec.parentRefs": [{"name": "a", "port": 80}, {"name": "a", "sectionName": "b"}]}),
    ("spec.rules[*].retry", None, "experimental", {f"{RULE}.retry": {}}),
    ("spec.rules[*].retry", None, "experimental", {f"{RULE}.retry": {"attempts": 0}}),
]

CASES = {"HTTPRoute": HTTP_ROUTE}
