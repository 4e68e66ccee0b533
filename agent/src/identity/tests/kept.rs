//! What is on disk: kept, provided, torn, and somebody else's.

use super::*;
use std::fs;

fn write(directory: &Path, material: &Material) {
    fs::create_dir_all(directory).unwrap();
    files::save(directory, material).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_it_was() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    let agent = world.agent(directory.path()).await;
    let first = agent.ready().await;
    agent.die().await;
    pass(6 * HOUR).await;
    world.away(true);
    let agent = world.agent(directory.path()).await;
    assert_eq!(agent.current.get().expect("at once").key().pem(), first.key().pem());
    pass(4 * HOUR).await;
    assert_eq!(world.seen().len(), 1, "asked by nobody before half of its life");
    world.away(false);
    pass(4 * HOUR).await;
    assert_eq!(world.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_expired_certificate_is_shown_to_the_control_plane_and_to_nobody_else() {
    let (world, directory) = (World::new(HOUR), tempfile::tempdir().unwrap());
    let agent = world.agent(directory.path()).await;
    let first = agent.ready().await;
    agent.die().await;
    pass(DAY).await;
    world.away(true);
    let agent = world.agent(directory.path()).await;
    pass(MINUTE).await;
    assert!(agent.current.get().is_none(), "nobody would believe it");
    assert!(matches!(agent.health(), Health::Missing { .. }));
    let asked = &world.seen()[1];
    assert_eq!((asked.held.as_deref(), asked.shown), (Some(first.key().pem()), true));
    world.away(false);
    assert_ne!(agent.ready().await.key().pem(), first.key().pem());
}

#[tokio::test(start_paused = true)]
async fn torn_foreign_and_other_files_are_passed_over() {
    let world = World::new(DAY);
    let whole = stored::encode(&world.material(ID, DAY)).to_vec();
    let other = stored::encode(&world.material("spiffe://cluster.local/ns/shop/sa/ratings", DAY)).to_vec();
    let text = String::from_utf8(whole.clone()).unwrap();
    let later = text.replace("\"format\":1", "\"format\":2");
    let cases: [&[u8]; 5] = [b"", &whole[..whole.len() / 2], b"{}", &other, later.as_bytes()];
    for case in cases {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("identity.json"), case).unwrap();
        let before = world.seen().len();
        let agent = world.agent(directory.path()).await;
        assert!(agent.current.get().is_none(), "{}", String::from_utf8_lossy(case));
        agent.ready().await;
        assert!(world.seen()[before].held.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_certificate_says_so() {
    let world = World::new(DAY);
    let (one, two) = (world.material(ID, DAY), world.material(ID, DAY));
    let error = Material::new(one.key().clone(), two.chain(), two.roots(), SystemTime::UNIX_EPOCH).unwrap_err();
    assert!(error.to_string().contains("does not belong"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_costs_only_what_a_restart_would_need() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    fs::create_dir(directory.path().join(".identity.json.new")).unwrap();
    let agent = world.agent(directory.path()).await;
    agent.ready().await;
    pass(MINUTE).await;
    assert_eq!(agent.health(), Health::Ok);
    assert!(!directory.path().join("identity.json").exists());
}

#[tokio::test(start_paused = true)]
async fn each_identity_is_written_for_others_where_that_is_asked_for() {
    let (world, directory, output) = (World::new(DAY), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let agent = world.agent_with(directory.path(), |config| config.output = Some(output.path().into())).await;
    let material = agent.ready().await;
    let read = |name: &str| fs::read_to_string(output.path().join(name)).unwrap();
    assert_eq!(read("key.pem"), material.key().pem());
    assert_eq!(read("cert-chain.pem"), material.chain());
    assert_eq!(read("root-cert.pem"), material.roots());
    let again = files::load(output.path(), world.true_time()).unwrap().unwrap();
    assert_eq!((again.id(), again.not_after()), (material.id(), material.not_after()));
}

#[tokio::test(start_paused = true)]
async fn a_provisioned_identity_proves_who_asks_for_the_first() {
    let (world, directory, provisioned) = (World::new(DAY), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let given = world.material(ID, HOUR);
    write(provisioned.path(), &given);
    let agent = world.agent_with(directory.path(), |config| config.provisioned = Some(provisioned.path().into())).await;
    assert!(agent.current.get().is_none(), "it is not ours to serve");
    agent.ready().await;
    assert_eq!(world.seen()[0].held.as_deref(), Some(given.key().pem()));
}

#[tokio::test(start_paused = true)]
async fn roots_alone_are_no_identity_and_no_mistake_and_a_lone_key_is_one() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    let load = || files::load(directory.path(), world.true_time());
    write(directory.path(), &world.material(ID, DAY));
    assert!(load().unwrap().is_some());
    fs::remove_file(directory.path().join("cert-chain.pem")).unwrap();
    assert!(load().unwrap_err().to_string().starts_with("cert-chain.pem is missing"));
    fs::remove_file(directory.path().join("key.pem")).unwrap();
    assert!(load().unwrap().is_none());
}

#[tokio::test]
async fn a_machine_has_one_instance_id_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::open(directory.path(), Duration::ZERO).await.unwrap();
    let first = instance_id(&state).unwrap();
    assert_eq!(instance_id(&state).unwrap(), first);
    fs::write(directory.path().join("instance-id"), "not an id").unwrap();
    assert!(instance_id(&state).unwrap_err().to_string().contains("remove it"));
}

#[test]
fn keys_are_not_printed() {
    let world = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async { World::new(DAY) });
    let material = world.material(ID, DAY);
    let secret = material.key().pem().lines().nth(1).unwrap().to_owned();
    let printed = format!("{material:?}");
    assert!(printed.contains("[redacted]") && !printed.contains(&secret), "{printed}");
}

#[tokio::test(start_paused = true)]
async fn files_that_somebody_else_replaces_are_followed() {
    let (world, directory) = (World::new(HOUR), tempfile::tempdir().unwrap());
    let (publisher, mut current) = channel();
    let (provided, handle) = Provided::new(directory.path().into(), ID.parse().unwrap(), world.clock(), publisher);
    let task = tokio::spawn(async move {
        let _ = provided.run().await;
    });
    let health = || handle.health.borrow().reasons().concat();
    pass(MINUTE).await;
    assert!(health().contains("there is no key.pem"), "{}", health());

    let [first, second] = [HOUR, 2 * HOUR].map(|lifetime| world.material(ID, lifetime));
    write(directory.path(), &first);
    assert_eq!(current.changed().await.chain(), first.chain());
    pass(MINUTE).await;
    assert_eq!(health(), "");
    // Between two files: the key is not of this certificate.
    fs::write(directory.path().join("cert-chain.pem"), second.chain()).unwrap();
    pass(MINUTE).await;
    assert_eq!((current.get().unwrap().chain(), health().as_str()), (first.chain(), ""));
    pass(50 * MINUTE).await;
    assert!(health().contains("does not belong"), "{}", health());
    write(directory.path(), &second);
    assert_eq!(current.changed().await.chain(), second.chain());
    pass(MINUTE).await;
    assert_eq!(health(), "");
    write(directory.path(), &world.material("spiffe://cluster.local/ns/shop/sa/ratings", HOUR));
    pass(2 * HOUR).await;
    assert!(health().contains("sa/ratings"), "{}", health());
    task.abort();
}
