//! Host and path that the backend sees.

use crate::support::{route, traffic};

#[test]
fn a_path_is_replaced_whole_or_by_its_prefix() {
    traffic(async |world| {
        let of = |path: &str, rewrite: &str| {
            let filter = format!("{{type: URLRewrite, urlRewrite: {{path: {{{rewrite}}}}}}}");
            format!(
                "\n  - matches: [{{path: {{value: {path}}}}}]\n    filters: [{filter}]\n    backendRefs: [{{name: v1, port: 8080}}]"
            )
        };
        let rules = [
            of("/prefix/one", "type: ReplacePrefixMatch, replacePrefixMatch: /one"),
            of("/strip", "type: ReplacePrefixMatch, replacePrefixMatch: /"),
            of("/empty", "type: ReplacePrefixMatch, replacePrefixMatch: ''"),
            of("/trailing/", "type: ReplacePrefixMatch, replacePrefixMatch: /new/"),
            of("/dots.and+plus", "type: ReplacePrefixMatch, replacePrefixMatch: /"),
            of("/full", "type: ReplaceFullPath, replaceFullPath: /one"),
            of("/back", r"type: ReplaceFullPath, replaceFullPath: '/a\1b'"),
        ];
        world.apply("rewrites", &route("rewrites", &rules.concat())).await;
        let cases = [
            ("/prefix/one/two", "/one/two"),
            ("/prefix/one", "/one"),
            ("/prefix/one/", "/one/"),
            ("/strip/three", "/three"),
            ("/strip", "/"),
            ("/strip/", "/"),
            ("/empty/x", "/x"),
            ("/empty", "/"),
            ("/trailing/x", "/new/x"),
            ("/trailing", "/new"),
            ("/dots.and+plus/x", "/x"),
            ("/full/x/y", "/one"),
            ("/full", "/one"),
            ("/back", r"/a\1b"),
        ];
        for (path, seen) in cases {
            let answer = world.get("http", "rewrites.test", &format!("{path}?q=1&r=/full")).reaches("v1").await;
            assert_eq!(answer.echo["path"], seen, "{path}");
            assert_eq!(answer.echo["query"]["r"][0], "/full");
        }
    });
}

#[test]
fn all_paths_may_be_moved_below_another() {
    traffic(async |world| {
        let rules = r"
  - filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /below}}}]
    backendRefs: [{name: v1, port: 8080}]";
        world.apply("rewrite-root", &route("rewrite-root", rules)).await;
        for (path, seen) in [("/x/y", "/below/x/y"), ("/x", "/below/x"), ("/", "/below/")] {
            let answer = world.get("http", "rewrite-root.test", path).reaches("v1").await;
            assert_eq!(answer.echo["path"], seen, "{path}");
        }
    });
}

#[test]
fn the_host_is_replaced() {
    traffic(async |world| {
        let rules = r"
  - matches: [{path: {value: /one}}]
    filters: [{type: URLRewrite, urlRewrite: {hostname: one.example.org}}]
    backendRefs: [{name: v1, port: 8080}]
  - matches: [{path: {value: /both}}]
    filters:
    - type: URLRewrite
      urlRewrite: {hostname: two.example.org, path: {type: ReplaceFullPath, replaceFullPath: /x}}
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-set, value: new}]}}
    backendRefs: [{name: v1, port: 8080}, {name: v2, port: 8080}]
  - backendRefs: [{name: v1, port: 8080}]";
        world.apply("rewrite-host", &route("rewrite-host", rules)).await;
        let ask = |path| world.get("http", "rewrite-host.test", path);
        assert_eq!(ask("/one").reaches("v1").await.echo["host"], "one.example.org");
        assert_eq!(ask("/").reaches("v1").await.echo["host"], "rewrite-host.test");
        let answer = ask("/both").reaches("v2").await;
        assert_eq!((&answer.echo["host"], &answer.echo["path"]), (&"two.example.org".into(), &"/x".into()));
        assert_eq!(answer.reached("x-set"), "new");
    });
}

#[test]
fn each_backend_may_be_called_by_a_name_of_its_own() {
    traffic(async |world| {
        let rules = r"
  - backendRefs:
    - name: v1
      port: 8080
      filters: [{type: URLRewrite, urlRewrite: {hostname: one.example.org}}]
    - {name: v2, port: 8080}";
        world.apply("rewrite-share", &route("rewrite-share", rules)).await;
        let ask = world.get("http", "rewrite-share.test", "/");
        assert_eq!(ask.reaches("v1").await.echo["host"], "one.example.org");
        assert_eq!(ask.reaches("v2").await.echo["host"], "rewrite-share.test");
    });
}
