use super::*;
use proptest::{prelude::*, test_runner::RngSeed};
use std::collections::BTreeMap;

fn service(host: &str, ip: &str) -> (String, NameInfo) {
    let mut labels = host.split('.').map(str::to_owned);
    let info = NameInfo {
        ips: vec![ip.to_owned()],
        registry: "Kubernetes".to_owned(),
        shortname: labels.next().unwrap(),
        namespace: labels.next().unwrap(),
    };
    (host.to_owned(), info)
}

fn external(host: &str, ip: &str) -> (String, NameInfo) {
    let info = NameInfo { ips: vec![ip.to_owned()], registry: "External".to_owned(), ..NameInfo::default() };
    (host.to_owned(), info)
}

fn instance(host: &str, name: &str, namespace: &str, ip: &str) -> (String, NameInfo) {
    let info = NameInfo {
        ips: vec![ip.to_owned()],
        registry: "Kubernetes".to_owned(),
        shortname: name.to_owned(),
        namespace: namespace.to_owned(),
    };
    (host.to_owned(), info)
}

fn table() -> Table {
    let search = ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example.com."];
    let mut table = Table::new(Scope::new("shop", "cluster.local.", search));
    for (host, info) in [
        service("reviews.shop.svc.cluster.local", "10.0.0.1"),
        service("ratings.other.svc.cluster.local", "10.0.0.2"),
        instance("web-0.web.shop.svc.cluster.local", "web-0.web", "shop", "10.0.0.3"),
        instance("web-0.web.other.svc.cluster.local", "web-0.web", "other", "10.0.0.4"),
        service("far.shop.svc.other-cluster.local", "10.0.0.5"),
        external("api.partner.com", "240.240.0.1"),
        external("*.partner.com", "240.240.0.2"),
        external("*.eu.partner.com", "240.240.0.3"),
        external("bare", "240.240.0.4"),
        external("six.partner.com", "2001:db8::1"),
        // Looks like a Service, and is none: it has no short names.
        external("plain.shop.svc.cluster.local", "240.240.0.5"),
    ] {
        table.apply(&host, Some(&info));
    }
    table
}

/// What a name leads to: its first address, and the canonical name where the answer has to give one.
fn lookup(table: &Table, name: &str) -> Option<(String, Option<String>)> {
    let found = table.find(name.as_bytes())?;
    let address = found.record.addresses().next().map(|ip| ip.to_string()).unwrap_or_default();
    Some((address, found.canonical.map(|name| String::from_utf8(name.to_vec()).unwrap())))
}

#[test]
fn names_lead_to_hosts() {
    let table = table();
    for (name, address, canonical) in [
        // A Service by its full name, and by every shorter one from its own namespace.
        ("reviews.shop.svc.cluster.local", "10.0.0.1", None),
        ("reviews.shop.svc", "10.0.0.1", None),
        ("reviews.shop", "10.0.0.1", None),
        ("reviews", "10.0.0.1", None),
        // One of another namespace needs that.
        ("ratings.other", "10.0.0.2", None),
        ("ratings.other.svc", "10.0.0.2", None),
        // Instances of a StatefulSet: short in their own namespace, and by namespace.
        ("web-0.web", "10.0.0.3", None),
        ("web-0.web.shop", "10.0.0.3", None),
        ("web-0.web.other", "10.0.0.4", None),
        ("web-0.web.other.svc.cluster.local", "10.0.0.4", None),
        // Another cluster's domain: the full name only.
        ("far.shop.svc.other-cluster.local", "10.0.0.5", None),
        // Hosts of ServiceEntries, exactly, before wildcards; then the longest wildcard.
        ("api.partner.com", "240.240.0.1", None),
        ("other.partner.com", "240.240.0.2", None),
        ("a.b.partner.com", "240.240.0.2", None),
        ("a.eu.partner.com", "240.240.0.3", None),
        ("eu.partner.com", "240.240.0.2", None),
        ("bare", "240.240.0.4", None),
        ("plain.shop.svc.cluster.local", "240.240.0.5", None),
        // A wildcard is a name below itself.
        ("*.partner.com", "240.240.0.2", None),
        // The machine's resolver appended a search domain first: the real name is said.
        ("api.partner.com.shop.svc.cluster.local", "240.240.0.1", Some("api.partner.com")),
        ("x.partner.com.corp.example.com", "240.240.0.2", Some("x.partner.com")),
        ("bare.shop.svc.cluster.local", "240.240.0.4", Some("bare")),
        ("reviews.corp.example.com", "10.0.0.1", Some("reviews.shop.svc.cluster.local")),
        ("ratings.other.corp.example.com", "10.0.0.2", Some("ratings.other.svc.cluster.local")),
        ("ratings.other.svc.cluster.local.shop.svc.cluster.local", "10.0.0.2", Some("ratings.other.svc.cluster.local")),
    ] {
        let expected = Some((address.to_owned(), canonical.map(str::to_owned)));
        assert_eq!(lookup(&table, name), expected, "{name}");
    }
}

#[test]
fn other_names_are_not_of_the_mesh() {
    let table = table();
    for name in [
        "",
        ".",
        "..",
        // Not in the workload's own namespace, so not by its name alone.
        "ratings",
        "web-1.web",
        "partner.com",
        "com",
        // A Service of another cluster is not what a short name means here.
        "far.shop",
        "far",
        // No Service, so no short names.
        "plain",
        "plain.shop",
        // Kubernetes knows no such names: what comes before its own domains is complete.
        "reviews.svc.cluster.local",
        "reviews.cluster.local",
        "reviews.other.svc.cluster.local",
        "corp.example.com",
        ".corp.example.com",
        "reviews.shop.svc.cluster.localx",
        "xreviews.shop.svc.cluster.local",
    ] {
        assert_eq!(lookup(&table, name), None, "{name}");
    }
    let longest = [&*"a".repeat(63); 4].join(".");
    assert_eq!(lookup(&table, &longest[..LONGEST_NAME]), None);
}

#[test]
fn case_and_final_dots_do_not_matter() {
    let mut table = table();
    let (_, info) = external("", "240.240.0.9");
    table.apply("Mixed.Partner.COM.", Some(&info));
    assert_eq!(table.resolve("mIXED.partner.com").unwrap(), ["240.240.0.9".parse::<IpAddr>().unwrap()]);
    assert_eq!(table.resolve("REVIEWS.").unwrap(), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    table.apply("mixed.PARTNER.com", None);
    assert_eq!(table.resolve("mixed.partner.com").unwrap(), ["240.240.0.2".parse::<IpAddr>().unwrap()], "the wildcard");
}

/// One bad value costs that value; what would stand for every name is not taken at all.
#[test]
fn bad_input_costs_itself_only() {
    let mut table = Table::new(Scope::default());
    let info = NameInfo { ips: vec!["10.0.0.1".into(), "nonsense".into(), "::1".into()], ..NameInfo::default() };
    for host in ["*", "", ".", "a..b", "a b", &*"a".repeat(64), &*["a"; 200].join(".")] {
        table.apply(host, Some(&info));
    }
    assert!(table.is_empty());
    table.apply("good", Some(&info));
    assert_eq!(table.resolve("good").unwrap().len(), 2);
}

#[test]
fn a_whole_table_replaces_all_names() {
    let mut table = table();
    table = table.replaced(&NameTable { table: [service("new.shop.svc.cluster.local", "10.0.1.1")].into() });
    assert_eq!(table.len(), 1);
    assert!(table.resolve("new").is_some(), "the scope is as it was");
    assert!(table.resolve("x.partner.com").is_none(), "wildcards went too");
}

#[test]
fn addresses_are_bounded() {
    let ips = (0..10_000u32).map(|n| std::net::Ipv4Addr::from(n).to_string()).collect();
    let mut table = Table::new(Scope::default());
    table.apply("huge", Some(&NameInfo { ips, ..NameInfo::default() }));
    assert_eq!(table.resolve("huge").unwrap().len(), 2000);
}

/// What a table is, said naively: every name of every host, written down.
#[derive(Default)]
struct Model(BTreeMap<String, NameInfo>);

impl Model {
    fn direct(&self, name: &str) -> Option<&String> {
        let is_short = |host: &str, info: &NameInfo| {
            let (short, namespace) = (&info.shortname, &info.namespace);
            let mut names = vec![format!("{short}.{namespace}.svc"), format!("{short}.{namespace}")];
            names.extend((namespace == "n").then(|| short.clone()));
            host == format!("{short}.{namespace}.svc.d") && names.iter().any(|short| short == name)
        };
        // Of two Services that one name is short for, the one in the workload's namespace is meant.
        let mut short: Vec<_> = self.0.iter().filter(|(host, info)| is_short(host, info)).collect();
        short.sort_by_key(|(host, _)| **host != format!("{name}.n.svc.d"));
        self.0.get_key_value(name).or(short.first().copied()).map(|(host, _)| host)
    }

    fn wildcard(&self, name: &str) -> Option<&String> {
        let covers = |host: &&String| {
            host.strip_prefix('*').is_some_and(|suffix| name.ends_with(suffix) && name.len() > suffix.len())
        };
        self.0.keys().filter(covers).max_by_key(|host| host.len())
    }

    fn find(&self, name: &str) -> Option<&String> {
        let rest = name.strip_suffix(".s");
        let alias = || rest.and_then(|rest| self.direct(rest));
        let wildcard = || self.wildcard(name).or_else(|| rest.and_then(|rest| self.wildcard(rest)));
        self.direct(name).or_else(alias).or_else(wildcard)
    }
}

/// Few labels, so that names meet: `n` is the workload's namespace, `d` the cluster's domain, `s` a search domain.
fn name() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec!["a", "b", "n", "svc", "d", "s"]);
    prop::collection::vec(label, 1..6).prop_map(|labels| labels.join("."))
}

fn host() -> impl Strategy<Value = (String, NameInfo)> {
    let short = prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("a.b".to_owned())];
    let namespace = prop::sample::select(vec!["n", "a", "b"]);
    prop_oneof![
        name().prop_map(|host| external(&host, "10.0.0.1")),
        name().prop_map(|host| external(&format!("*.{host}"), "10.0.0.1")),
        (short, namespace).prop_map(|(short, namespace)| {
            instance(&format!("{short}.{namespace}.svc.d"), &short, namespace, "10.0.0.1")
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// After any edits, lookups that make names up as they go find what a table of all names would hold.
    #[test]
    fn a_table_is_its_model(edits in prop::collection::vec((host(), prop::bool::weighted(0.7)), 1..20), names in prop::collection::vec(name(), 20)) {
        let (mut table, mut model) = (Table::new(Scope::new("n", "d", ["s"])), Model::default());
        for ((host, info), keep) in edits {
            table.apply(&host, keep.then_some(&info));
            if keep { model.0.insert(host, info); } else { model.0.remove(&host); }
        }
        prop_assert_eq!(table.len(), model.0.len());
        let whole = table.replaced(&NameTable { table: model.0.clone().into_iter().collect() });
        for name in names.iter().chain(model.0.keys()).filter(|name| !name.starts_with('*')) {
            for table in [&table, &whole] {
                let found = table.find(name.as_bytes()).map(|found| String::from_utf8(found.record.name().to_vec()).unwrap());
                prop_assert_eq!(found.as_ref(), model.find(name), "{}", name);
            }
        }
    }

    /// Whatever the control plane says and clients ask: no panic, and a host that was taken is found.
    #[test]
    fn any_text_is_survived(host in "[a-zA-Z0-9.*_ \u{e9}-]{0,300}", ips in prop::collection::vec("[0-9a-f.:]{0,20}", 0..4), name in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut table = Table::new(Scope::new(&host, "cluster.local", [&*host, "a"]));
        table.apply(&host, Some(&NameInfo { ips, shortname: host.clone(), ..NameInfo::default() }));
        table.find(&name);
        table.find(host.as_bytes());
        prop_assert_eq!(table.resolve(&host).is_some(), table.len() == 1 && !host.is_empty());
    }
}
