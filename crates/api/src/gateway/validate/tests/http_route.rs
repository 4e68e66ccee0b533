//! HTTPRoute.

use super::{check, check_below, times, told};

const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: edge, sectionName: http}, {name: edge, sectionName: https}, {name: other, namespace: infra, port: 80}]
  hostnames: [a.example.com, '*.example.org']
  rules:
  - name: first
    matches:
    - path: {type: PathPrefix, value: /a}
      method: GET
      headers: [{name: X-A, value: b}, {name: x-b, type: RegularExpression, value: '[a-z]+'}]
      queryParams: [{name: q, value: v}]
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: b c}], add: [{name: x-b, value: c}], remove: [x-c]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [x-d]}}
    - {type: URLRewrite, urlRewrite: {hostname: b.example.com, path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}, percent: 5}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 81}, fraction: {numerator: 1, denominator: 3}}}
    - {type: CORS, cors: {allowOrigins: [https://a.com], allowMethods: [GET], allowHeaders: [x-a], exposeHeaders: [x-b], maxAge: 5}}
    backendRefs:
    - {name: web, port: 80, weight: 3, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [x-e]}}]}
    - {group: networking.istio.io, kind: Hostname, name: api.example.com, port: 443}
    timeouts: {request: 10s, backendRequest: 2s}
    retry: {codes: [500, 503], attempts: 2, backoff: 100ms}
  - name: second
    matches: [{path: {type: Exact, value: /old}}, {path: {type: RegularExpression, value: '/v[0-9]+'}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: c.example.com, port: 443, statusCode: 301, path: {type: ReplaceFullPath, replaceFullPath: /new}}}]
";

#[test]
fn parents() {
    check(
        ROUTE,
        &[
            ("{name: edge, sectionName: http}", &times(33, "{name: pN}"), "parentRefs TooMany"),
            ("name: other", "name: ''", "parentRefs[2].name InvalidValue"),
            ("namespace: infra", "namespace: Infra", "parentRefs[2].namespace InvalidValue"),
            ("namespace: infra", "group: A", "parentRefs[2].group InvalidValue"),
            ("namespace: infra", "kind: ''", "parentRefs[2].kind InvalidValue"),
            ("sectionName: https", "sectionName: HTTPS", "parentRefs[1].sectionName InvalidValue"),
            ("sectionName: https", "sectionName: http", "parentRefs[1] Duplicate"),
            (", sectionName: https", "", "parentRefs[1] Duplicate"),
            ("sectionName: https", "port: 443", "parentRefs[1] Duplicate"),
            (", sectionName: https", ", namespace: x", ""),
            ("port: 80}]", "port: 0}]", "parentRefs[2].port InvalidValue"),
        ],
    );
}

#[test]
fn hostnames() {
    check(
        ROUTE,
        &[
            ("a.example.com,", &format!("{},", times(16, "hN.example.com")), "hostnames TooMany"),
            ("a.example.com", "'*'", "hostnames[0] InvalidValue"),
            ("a.example.com", "A.example.com", "hostnames[0] InvalidValue"),
            ("a.example.com", "10.0.0.1", "?hostnames[0] UnusualHostname"),
            ("a.example.com", "a..com", "hostnames[0] InvalidValue"),
            ("a.example.com", "a.*.com", "hostnames[0] InvalidValue"),
            ("a.example.com", "''", "hostnames[0] InvalidValue"),
        ],
    );
}

#[test]
fn rules() {
    let more =
        |n: usize| (0..n).map(|i| format!("  rules:\n  - name: r{i}\n").replace("  rules:\n", "")).collect::<String>();
    let first = "  - name: first\n";
    check(
        ROUTE,
        &[
            (first, &format!("{}{first}", more(14)), ""),
            (first, &format!("{}{first}", more(15)), "rules TooMany"),
            ("name: second", "name: first", "rules[1].name Duplicate"),
            ("name: second", "name: Second", "rules[1].name InvalidValue"),
            ("  rules:", "  useDefaultGateways: All\n  rules:", "?useDefaultGateways Unsupported"),
            (
                "timeouts:",
                "sessionPersistence: {type: Cookie}\n    timeouts:",
                "?rules[0].sessionPersistence Unsupported",
            ),
            ("10s", "1s", "rules[0].timeouts.backendRequest OutOfRange"),
            ("10s", "0s", ""),
            ("10s", "1.5s", "rules[0].timeouts.request InvalidValue"),
            ("10s", "10", "rules[0].timeouts.request InvalidValue"),
            ("[500, 503]", "[399]", "rules[0].retry.codes[0] OutOfRange"),
            ("[500, 503]", "[600]", "rules[0].retry.codes[0] OutOfRange"),
            ("[500, 503]", "[500, 500]", "rules[0].retry.codes[1] Duplicate"),
            ("attempts: 2", "attempts: -1", "rules[0].retry.attempts InvalidValue"),
            ("attempts: 2", "attempts: 0", "rules[0].retry.attempts OutOfRange"),
            ("100ms", "100us", "rules[0].retry.backoff InvalidValue"),
        ],
    );
    assert_eq!(told(&format!("{}  rules: []\n", ROUTE.split("  rules:").next().unwrap())), ["rules Required"]);
}

#[test]
fn matches_are_counted_per_rule_and_together() {
    let exact = "[{path: {type: Exact, value: /old}}, {path: {type: RegularExpression, value: '/v[0-9]+'}}]";
    let many = |n| format!("[{}]", times(n, "{path: {value: /xN}}"));
    check(ROUTE, &[(exact, &many(64), ""), (exact, &many(65), "rules[1].matches TooMany")]);
    let rule = |n| format!("{}    matches: {}\n", "  - \n", many(n)).replace("- \n    ", "- ");
    check(
        ROUTE,
        &[
            ("  - name: first\n", &format!("{}{}  - name: first\n", rule(64), rule(61)), ""),
            ("  - name: first\n", &format!("{}{}  - name: first\n", rule(64), rule(62)), "rules TooMany"),
        ],
    );
}

#[test]
fn paths() {
    let field = "rules[0].matches[0].path.value InvalidValue";
    let long = format!("/{}", "x".repeat(1024));
    let bad = [
        "a", "''", "//", "/a//b", "/./b", "/../b", "/a%2fb", "/a%2Fb", "'/a#b'", "/a/..", "/a/.", "/a b", "/%zz", &long,
    ];
    for value in bad {
        check(ROUTE, &[("value: /a", &format!("value: {value}"), field)]);
        check(
            ROUTE,
            &[("Exact, value: /old", &format!("Exact, value: {value}"), "rules[1].matches[0].path.value InvalidValue")],
        );
    }
    for value in ["'('", "'(?=a)'", "'(a)\\1'", "'a{1001}'", &long] {
        check(ROUTE, &[("'/v[0-9]+'", value, "rules[1].matches[1].path.value InvalidValue")]);
    }
    check(ROUTE, &[("type: Exact", "type: Equal", "rules[1].matches[0].path.type InvalidValue")]);
}

#[test]
fn headers_queries_and_methods() {
    let at = "rules[0].matches[0]";
    let header = "{name: X-A, value: b}";
    let query = "[{name: q, value: v}]";
    let long = "x".repeat(4097);
    check_below(
        ROUTE,
        at,
        &[
            ("method: GET", "method: get", "method InvalidValue"),
            (header, &times(16, "{name: hN, value: b}"), "headers TooMany"),
            ("X-A", "'X A'", "headers[0].name InvalidValue"),
            ("X-A", "''", "headers[0].name InvalidValue"),
            ("X-A", &"x".repeat(257), "headers[0].name InvalidValue"),
            ("x-b, type", "X-A, type", "headers InvalidValue"),
            ("value: b}", "value: ''}", "headers[0].value InvalidValue"),
            ("value: b}", "value: ' b'}", "headers[0].value InvalidValue"),
            ("value: b}", &format!("value: {long}}}"), "headers[0].value InvalidValue"),
            ("[a-z]+", "[a-z", "headers[1].value InvalidValue"),
            ("type: RegularExpression, value: '[a-z]+'", "type: Regex, value: b", "headers[1].type InvalidValue"),
            (query, &format!("[{}]", times(17, "{name: qN, value: v}")), "queryParams TooMany"),
            (query, "[{name: q, value: v}, {name: q, value: w}]", "queryParams[1].name Duplicate"),
            ("name: q", "name: 'q q'", "queryParams[0].name InvalidValue"),
            ("value: v", "value: ''", "queryParams[0].value InvalidValue"),
            ("value: v", &format!("value: {}", "x".repeat(1025)), "queryParams[0].value InvalidValue"),
            ("name: q, value: v", "name: q, type: RegularExpression, value: '['", "queryParams[0].value InvalidValue"),
        ],
    );
    check(ROUTE, &[("x-b, type", "x-a, type", "?rules[0].matches[0].headers[1].name Duplicate")]);
}

#[test]
fn filter_lists() {
    let first = "    - {type: RequestHeaderModifier,";
    let mirror = |n| {
        (0..n)
            .map(|_| "    - {type: RequestMirror, requestMirror: {backendRef: {name: m, port: 1}}}\n")
            .collect::<String>()
    };
    let repeat = |filter: &str| format!("    - {filter}\n{first}");
    check(
        ROUTE,
        &[
            (first, &format!("{}{first}", mirror(10)), ""),
            (first, &format!("{}{first}", mirror(11)), "rules[0].filters TooMany"),
            (
                first,
                &repeat("{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}"),
                "rules[0].filters[1] Duplicate",
            ),
            (
                first,
                &repeat("{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [a]}}"),
                "rules[0].filters[2] Duplicate",
            ),
            (first, &repeat("{type: URLRewrite, urlRewrite: {hostname: a.b}}"), "rules[0].filters[3] Duplicate"),
            (first, &repeat("{type: CORS, cors: {}}"), "rules[0].filters[6] Duplicate"),
            (first, &repeat("{type: ExtensionRef, extensionRef: {group: a, kind: K, name: own}}"), ""),
            (
                first,
                &repeat("{type: ExtensionRef, extensionRef: {group: A, kind: K, name: own}}"),
                "rules[0].filters[0].extensionRef.group InvalidValue",
            ),
            (
                first,
                &repeat("{type: ExtensionRef, extensionRef: {group: a, name: own}}"),
                "rules[0].filters[0].extensionRef.kind Required",
            ),
            (
                first,
                &repeat("{type: ExternalAuth, externalAuth: {protocol: HTTP}}"),
                "?rules[0].filters[0].externalAuth Unsupported",
            ),
            (
                first,
                &repeat("{type: RequestRedirect, requestRedirect: {scheme: https}}"),
                "rules[0].filters IncompatibleFilters|rules[0].filters[0] IncompatibleFilters",
            ),
        ],
    );
}

#[test]
fn filters_and_their_settings() {
    check(
        ROUTE,
        &[
            (
                "filters: [{type: RequestRedirect,",
                "backendRefs: [{name: a, port: 1}]\n    filters: [{type: RequestRedirect,",
                "rules[1].filters[0] IncompatibleFilters",
            ),
            ("type: RequestRedirect", "type: URLRewrite", "rules[1].filters[0] InvalidValue"),
            ("type: RequestRedirect", "type: Redirect", "rules[1].filters[0].type InvalidValue"),
            (
                "type: RequestRedirect, requestRedirect:",
                "type: RequestRedirect, cors: {}, requestRedirect:",
                "rules[1].filters[0] InvalidValue",
            ),
            (
                "{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [x-d]}}",
                "{type: ResponseHeaderModifier}",
                "rules[0].filters[1] InvalidValue",
            ),
        ],
    );
}

#[test]
fn header_modifiers() {
    let at = "rules[0].filters[0].requestHeaderModifier";
    let set = "[{name: x-a, value: b c}]";
    check_below(
        ROUTE,
        at,
        &[
            (set, &format!("[{}]", times(17, "{name: xN, value: b}")), "set TooMany"),
            ("x-a, value: b c", "'x a', value: b", "set[0].name InvalidValue"),
            ("value: b c", "value: 'b  c'", "set[0].value InvalidValue"),
            (set, "[{name: a, value: b}, {name: a, value: c}]", "set[1].name Duplicate"),
            ("[{name: x-b, value: c}]", "[{name: a, value: b}, {name: a, value: c}]", "add[1].name Duplicate"),
            ("[x-c]", &format!("[{}]", times(17, "xN")), "remove TooMany"),
            ("[x-c]", "['x c']", "remove[0] InvalidValue"),
            ("[x-c]", "[a, a]", "remove[1] Duplicate"),
        ],
    );
    check(
        ROUTE,
        &[
            (set, "[{name: A, value: b}, {name: a, value: c}]", &format!("?{at}.set[1].name Duplicate")),
            ("[x-e]", "['x e']", "rules[0].backendRefs[0].filters[0].requestHeaderModifier.remove[0] InvalidValue"),
            ("[x-d]", "['x d']", "rules[0].filters[1].responseHeaderModifier.remove[0] InvalidValue"),
        ],
    );
}

#[test]
fn a_rule_without_matches_has_a_prefix_and_one_with_an_empty_list_has_none() {
    let route = |matches: &str| {
        let filter = "{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}";
        told(&format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: web}}\n\
            spec: {{rules: [{{{matches}filters: [{filter}]}}]}}\n"
        ))
    };
    assert_eq!(route(""), [""; 0]);
    let field = "rules[0].filters[0].urlRewrite.path.replacePrefixMatch InvalidValue";
    assert_eq!(route("matches: [], "), [field]);
}

#[test]
fn redirects_rewrites_and_prefixes() {
    let long = format!("/{}", "x".repeat(1024));
    let redirect = "rules[1].filters[0].requestRedirect";
    check(
        ROUTE,
        &[
            ("statusCode: 301", "statusCode: 308", ""),
            ("statusCode: 301", "statusCode: 304", &format!("{redirect}.statusCode InvalidValue")),
            ("scheme: https", "scheme: ftp", &format!("{redirect}.scheme InvalidValue")),
            ("c.example.com", "'*.example.com'", &format!("{redirect}.hostname InvalidValue")),
            (
                "replaceFullPath: /new",
                &format!("replaceFullPath: {long}"),
                &format!("{redirect}.path.replaceFullPath InvalidValue"),
            ),
            ("replaceFullPath: /new", "replacePrefixMatch: /new", &format!("{redirect}.path InvalidValue")),
            ("type: ReplaceFullPath,", "type: Replace,", &format!("{redirect}.path.type InvalidValue")),
            (
                "type: ReplaceFullPath, replaceFullPath",
                "type: ReplacePrefixMatch, replacePrefixMatch",
                &format!("{redirect}.path.replacePrefixMatch InvalidValue"),
            ),
            ("b.example.com", "'*'", "rules[0].filters[2].urlRewrite.hostname InvalidValue"),
            (
                "replacePrefixMatch: /b",
                &format!("replacePrefixMatch: {long}"),
                "rules[0].filters[2].urlRewrite.path.replacePrefixMatch InvalidValue",
            ),
            ("type: PathPrefix", "type: Exact", "rules[0].filters[2].urlRewrite.path.replacePrefixMatch InvalidValue"),
            (
                "    - path: {type: PathPrefix",
                "    - path: {value: /z}\n    - path: {type: PathPrefix",
                "rules[0].filters[2].urlRewrite.path.replacePrefixMatch InvalidValue",
            ),
        ],
    );
    let backend = "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [x-e]}}]";
    let rewrite =
        "filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]";
    check(ROUTE, &[(backend, rewrite, "")]);
    assert_eq!(
        told(&ROUTE.replace(backend, rewrite).replace("type: PathPrefix", "type: Exact")),
        [
            "rules[0].backendRefs[0].filters[0].urlRewrite.path.replacePrefixMatch InvalidValue",
            "rules[0].filters[2].urlRewrite.path.replacePrefixMatch InvalidValue"
        ]
    );
}

#[test]
fn mirrors_and_backends() {
    let mirror = "rules[0].filters[3].requestMirror";
    let web = "{name: web, port: 80, weight: 3,";
    check(
        ROUTE,
        &[
            ("{name: copy, port: 80}", "{name: copy}", &format!("{mirror}.backendRef.port Required")),
            ("percent: 5", "percent: 101", &format!("{mirror} InvalidValue")),
            ("percent: 5", "percent: 5, fraction: {numerator: 1}", &format!("{mirror} InvalidValue")),
            ("denominator: 3", "denominator: 0", "rules[0].filters[4].requestMirror InvalidValue"),
            ("numerator: 1", "numerator: 4", "rules[0].filters[4].requestMirror InvalidValue"),
            (web, "{name: web, weight: 3,", "rules[0].backendRefs[0].port Required"),
            (web, "{name: '', port: 80,", "rules[0].backendRefs[0].name InvalidValue"),
            (web, "{name: web, port: 80, namespace: A,", "rules[0].backendRefs[0].namespace InvalidValue"),
            ("weight: 3", "weight: 0", ""),
            ("weight: 3", "weight: 1000000", ""),
            ("weight: 3", "weight: 1000001", "rules[0].backendRefs[0].weight OutOfRange"),
            ("weight: 3", "weight: -1", "rules[0].backendRefs[0].weight InvalidValue"),
            ("kind: Hostname", "kind: ''", "rules[0].backendRefs[1].kind InvalidValue"),
            ("networking.istio.io", "Istio", "rules[0].backendRefs[1].group InvalidValue"),
            (
                "    backendRefs:\n",
                &format!("    backendRefs:\n{}", "    - {name: x, port: 1}\n".repeat(15)),
                "rules[0].backendRefs TooMany",
            ),
        ],
    );
}

#[test]
fn cors() {
    let at = "rules[0].filters[5].cors";
    let origins = "[https://a.com]";
    let bad = [
        "ftp://a.com",
        "a.com",
        "https://",
        "https://a.com/x",
        "https://*a.com",
        "https://a.com:",
        "https://a.com:123456",
        "https://a..com",
        "''",
    ];
    for origin in bad {
        check(
            ROUTE,
            &[(
                "https://a.com",
                &format!("'{}'", origin.trim_matches('\'')),
                &format!("{at}.allowOrigins[0] InvalidValue"),
            )],
        );
    }
    check_below(
        ROUTE,
        at,
        &[
            (origins, &format!("[{}]", times(65, "https://aN.com")), "allowOrigins TooMany"),
            (origins, "[https://a.com, https://a.com]", "allowOrigins[1] Duplicate"),
            (origins, "['*', https://a.com]", "allowOrigins InvalidValue"),
            ("[GET]", "[GET, '*']", "allowMethods InvalidValue"),
            ("[GET]", "[get]", "allowMethods[0] InvalidValue"),
            ("[GET]", "[GET, GET]", "allowMethods[1] Duplicate"),
            ("allowHeaders: [x-a]", "allowHeaders: ['*', x-a]", "allowHeaders InvalidValue"),
            ("allowHeaders: [x-a]", "allowHeaders: ['x a']", "allowHeaders[0] InvalidValue"),
            ("exposeHeaders: [x-b]", "exposeHeaders: ['x b']", "exposeHeaders[0] InvalidValue"),
            ("exposeHeaders: [x-b]", &format!("exposeHeaders: [{}]", times(65, "xN")), "exposeHeaders TooMany"),
            ("maxAge: 5", "maxAge: 0", "maxAge OutOfRange"),
        ],
    );
    for origin in ["'*'", "https://*", "http://*.a.com:8080", "https://A-1.b.com"] {
        check(ROUTE, &[("https://a.com", origin, "")]);
    }
}
