//! The file that names the servers, while the agent runs.

use super::{
    ANSWERS,
    client::{Server, addresses, config},
    pass,
    upstream::Upstream,
};
use std::{fs, time::Duration};

/// DHCP gives a machine other servers: they are asked, and what the old ones said is forgotten.
#[tokio::test]
async fn a_changed_resolv_conf_is_noticed() {
    let old = Upstream::start([192, 0, 2, 1], ANSWERS).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("resolv.conf");
    let mut config = config(&[old.address]);
    config.resolv.file = Some(file.clone());
    let server = Server::start(config).await;
    for name in ["a.example.org.", "one.example.com.new.example.net."] {
        assert_eq!(addresses(&server.ask(name).await), ["192.0.2.1"]);
    }

    fs::write(&file, "search new.example.net\nnameserver 127.99.0.1\n").unwrap();
    pass(Duration::from_secs(1)).await;
    server.ask("b.example.org.").await;
    let servers: Vec<_> = server.dns.status().servers.iter().map(|server| server.address.to_string()).collect();
    assert_eq!((servers, old.asked()), (vec!["127.99.0.1:53".to_owned()], 2));
    server.ask("a.example.org.").await;
    assert_eq!((server.count("cached"), old.asked()), (0, 2));
    assert_eq!(addresses(&server.ask("one.example.com.new.example.net.").await), ["one.example.com.", "10.0.0.1"]);
}
