"""HTTPRoute."""

from ..paths import GONE

# Where the good objects have their filters: of a rule, and of a backend.
PLACES = {
    "filters": ("spec.rules[0].filters", "spec.rules[0].backendRefs[0].filters"),
    "redirect": ("spec.rules[0].filters", "spec.rules[1].backendRefs[0].filters"),
}
SCHEMAS = ("spec.rules[*].filters", "spec.rules[*].backendRefs[*].filters")

HEADERS = {"set": [{"name": "x-a", "value": "b"}]}
MIRROR = {"backendRef": {"name": "shadow", "port": 80}}
OURS = {"group": "example.com", "kind": "Filter", "name": "ours"}
REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}
REWRITE = {"type": "URLRewrite", "urlRewrite": {"hostname": "inner.example.com"}}
RULE = "spec.rules[0]"
PREFIX, EXACT = {"path": {"type": "PathPrefix", "value": "/a"}}, {"path": {"type": "Exact", "value": "/a"}}
PATH = "spec.rules[*].matches[*].path"

# Each filter's field, where one of them is, and what it may hold.
FIELDS = {
    "requestHeaderModifier": ("filters", 0, HEADERS),
    "responseHeaderModifier": ("filters", 1, HEADERS),
    "urlRewrite": ("filters", 2, {"hostname": "inner.example.com"}),
    "requestMirror": ("filters", 3, MIRROR),
    "cors": ("filters", 5, {"allowOrigins": ["*"]}),
    "extensionRef": ("filters", 6, OURS),
    "requestRedirect": ("redirect", 0, {"scheme": "https"}),
}


def path_modifiers(field, base, index):
    """A filter's path: its type and its text belong together."""
    place, of = f"[*].{field}.path", f"[{index}].{field}.path"
    full, prefix = "must be specified when type is set to 'ReplaceFullPath'", "must be specified when type is set to 'ReplacePrefixMatch'"
    yield place, f"replaceFullPath {full}", base, {of: {"type": "ReplaceFullPath"}}
    yield place, f"replacePrefixMatch {prefix}", base, {of: {"type": "ReplacePrefixMatch"}}
    yield place, "type must be 'ReplaceFullPath'", base, {f"{of}.replaceFullPath": "/a"}
    yield place, "type must be 'ReplacePrefixMatch'", base, {of: {"type": "ReplaceFullPath", "replaceFullPath": "/a", "replacePrefixMatch": "/a"}}


def of_filters():
    """What holds for the filters of rules and of backends alike: places are below the list."""
    yield "", "but not both", "filters", {"[7]": REDIRECT}
    for number, name in ((0, "RequestHeaderModifier"), (1, "ResponseHeaderModifier"), (5, "CORS")):
        yield "", f"{name} filter cannot", "filters", {"[7]": {"type": name, name[0].lower() + name[1:] if number < 5 else "cors": FIELDS_OF[name]}}
    yield "", "URLRewrite filter cannot", "filters", {"[7]": REWRITE}
    yield "", "RequestRedirect filter cannot", "redirect", {"[1]": REDIRECT}
    for field, (base, index, value) in FIELDS.items():
        other = 6 if field != "extensionRef" else 5
        yield "[*]", f"{field} must be nil", "filters", {f"[{other}].{field}": value}
        yield "[*]", f"{field} must be specified", base, {f"[{index}].{field}": GONE}
    for field, value in (("allowHeaders", "x-a"), ("allowMethods", "GET"), ("allowOrigins", "https://example.com")):
        yield f"[*].cors.{field}", "alongside other", "filters", {f"[5].cors.{field}": ["*", value]}
    yield "[*].requestMirror", "Only one of", "filters", {"[4].requestMirror.percent": 5}
    yield "[*].requestMirror.fraction", "less than or equal", "filters", {"[4].requestMirror.fraction": {"numerator": 4, "denominator": 3}}
    yield "[*].requestMirror.backendRef", "Must have port", "filters", {"[4].requestMirror.backendRef": {"name": "shadow"}}
    yield from path_modifiers("urlRewrite", "filters", 2)
    yield from path_modifiers("requestRedirect", "redirect", 0)


FIELDS_OF = {"RequestHeaderModifier": HEADERS, "ResponseHeaderModifier": HEADERS, "CORS": {"allowOrigins": ["*"]}}

FILTERS = [
    (schema + place, text, base, {PLACES[base][where] + below: value for below, value in changes.items()})
    for place, text, base, changes in of_filters()
    for where, schema in enumerate(SCHEMAS)
]

TEXTS = {
    "must be an absolute": "a",
    "not contain '//'": "/a//b",
    "not contain '/./'": "/a/./b",
    "not contain '/../'": "/a/../b",
    "'%2f'": "/a%2fb",
    "'%2F'": "/a%2Fb",
    "'#'": "/a#b",
    "end with '/..'": "/a/..",
    "end with '/.'": "/a/.",
    "must only contain": "/a b",
}

HTTP_ROUTE = [
    *FILTERS,
    *((PATH, text, "matches", {"spec.rules[0].matches[0].path.value": value}) for text, value in TEXTS.items()),
    ("spec.parentRefs", "must be specified", "matches", {"spec.parentRefs": [{"name": "a"}, {"name": "a", "sectionName": "b"}]}),
    ("spec.parentRefs", "must be unique", "matches", {"spec.parentRefs": [{"name": "a", "sectionName": "b"}] * 2}),
    ("spec.rules", "less than 128", "matches", {"spec.rules": [{"matches": [EXACT] * 43}] * 3}),
    ("spec.rules[*]", "together with backendRefs", "redirect", {f"{RULE}.backendRefs": [{"name": "web", "port": 80}]}),
    ("spec.rules[*]", "When using RequestRedirect", "redirect", {f"{RULE}.matches": [PREFIX, PREFIX]}),
    ("spec.rules[*]", "When using URLRewrite", "filters", {f"{RULE}.matches": [EXACT], f"{RULE}.backendRefs": GONE}),
    ("spec.rules[*]", "Within backendRefs, when using RequestRedirect", "redirect", {"spec.rules[1].matches": [EXACT]}),
    ("spec.rules[*]", "Within backendRefs, When using URLRewrite", "filters", {f"{RULE}.matches": [EXACT], f"{RULE}.filters": GONE}),
    ("spec.rules[*].backendRefs[*]", "Must have port", "matches", {f"{RULE}.backendRefs[1].port": GONE}),
    ("spec.rules[*].timeouts", "cannot be longer", "matches", {f"{RULE}.timeouts": {"request": "1s", "backendRequest": "1001ms"}}),
]

CASES = {"HTTPRoute": HTTP_ROUTE}
