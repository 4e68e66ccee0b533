//! Copies of requests.

use crate::support::{World, eventually, route, traffic};

/// Waits until a backend has had so many requests for a path.
async fn copies(world: &World, backend: &str, path: &str, is_wanted: impl Fn(usize) -> bool) -> usize {
    let counted = eventually(async || match world.backend(backend).seen(path).len() {
        count if is_wanted(count) => Ok(count),
        count => Err(count),
    });
    match counted.await {
        Ok(count) => count,
        Err(count) => panic!("{backend} had {count} copies of {path}\n{}", world.dump().await),
    }
}

#[test]
fn a_request_is_copied_to_every_mirror_with_the_headers_of_the_rule() {
    traffic(async |world| {
        let rules = r"
  - filters:
    - {type: RequestMirror, requestMirror: {backendRef: {name: v2, port: 8080}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: v3, port: 8080}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: missing, port: 8080}}}
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-set, value: new}]}}
    backendRefs: [{name: v1, port: 8080}]";
        world.apply("mirrors", &route("mirrors", rules)).await;
        let answer = world.get("http", "mirrors.test", "/mirrored?q=1").reaches("v1").await;
        assert_eq!(answer.reached("x-set"), "new");
        for mirror in ["v2", "v3"] {
            copies(world, mirror, "/mirrored", |count| count == 1).await;
            let copy = &world.backend(mirror).seen("/mirrored")[0];
            assert_eq!(copy["host"], "mirrors.test", "{copy:#}");
            assert_eq!(copy["headers"]["x-set"][0], "new", "{copy:#}");
            assert_eq!(copy["query"]["q"][0], "1", "{copy:#}");
        }
    });
}

#[test]
fn a_share_of_the_requests_is_copied() {
    traffic(async |world| {
        let of = |path: &str, share: &str| {
            let mirror = |name: &str, share: &str| {
                format!("{{type: RequestMirror, requestMirror: {{backendRef: {{name: {name}, port: 8080}}{share}}}}}")
            };
            let filters = [mirror("v2", share), mirror("v3", "")].join(", ");
            format!(
                "\n  - matches: [{{path: {{value: {path}}}}}]\n    filters: [{filters}]\n    backendRefs: [{{name: v1, port: 8080}}]"
            )
        };
        let cases = [
            ("/some", ", percent: 20", 0.2),
            ("/half", ", fraction: {numerator: 1, denominator: 2}", 0.5),
            ("/no", ", percent: 0", 0.0),
        ];
        let rules: String = cases.iter().map(|(path, share, _)| of(path, share)).collect();
        world.apply("mirror-share", &route("mirror-share", &rules)).await;
        for (path, _, share) in cases {
            world.get("http", "mirror-share.test", path).reaches("v1").await;
            assert!(is_copied(world, path, share).await, "{path}: not {share} of the requests in any round");
        }
    });
}

/// Whether in one of some rounds a share of 500 requests below a path was copied to v2, within 5 %; all of them are to v3.
async fn is_copied(world: &World, path: &str, share: f64) -> bool {
    for round in 0..10 {
        let path = format!("{path}/{round}");
        let ask = world.get("http", "mirror-share.test", &path);
        for _ in 0..500 {
            ask.send().await.unwrap();
        }
        copies(world, "v3", &path, |count| count == 500).await;
        let got = world.backend("v2").seen(&path).len() as f64 / 500.0;
        if (got - share).abs() <= 0.05 && (share > 0.0 || got == 0.0) {
            return true;
        }
    }
    false
}
