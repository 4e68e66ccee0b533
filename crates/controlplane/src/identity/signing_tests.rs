use super::{
    super::{
        ProvidedFiles,
        state::NAME,
        testing::{At, Shared},
    },
    *,
};
use crate::Store;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::time::Duration;
use tombolo_ca::{Signer as _, TrustBundle};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.use_authority_key_identifier_extension = true;
    params
}

/// The intermediate of an organisation, whose roots are these besides its own.
pub(super) fn files(name: &str, others: &[&ProvidedFiles]) -> ProvidedFiles {
    let [root_key, key] = [(); 2].map(|()| KeyPair::generate().unwrap());
    let [root, cert] = ["root", "intermediate"].map(|role| authority(&format!("{name} {role}")));
    let cert = cert.signed_by(&key, &Issuer::from_params(&root, &root_key)).unwrap().pem();
    let mut roots: Vec<String> =
        others.iter().map(|files| <[_; 4]>::from((*files).clone())[3].clone().unwrap()).collect();
    roots.push(root.self_signed(&root_key).unwrap().pem());
    ProvidedFiles::from([Some(cert.clone()), Some(key.serialize_pem()), Some(cert), Some(roots.concat())])
}

/// The same with this in place of its roots.
pub(super) fn with_roots(files: &ProvidedFiles, roots: &ProvidedFiles) -> ProvidedFiles {
    let ([cert, key, chain, _], [.., roots]) = (<[_; 4]>::from(files.clone()), <[_; 4]>::from(roots.clone()));
    ProvidedFiles::from([cert, key, chain, roots])
}

fn open(store: &Shared, clock: &Arc<At>, wanted: &By) -> Signing {
    Signing::open(&store.keeping(clock), wanted).unwrap().unwrap()
}

/// Of a mesh whose certificates live so long, and whose roots of before count no longer than they have to.
pub(super) fn open_with(store: &Shared, clock: &Arc<At>, wanted: &By, lifetime: Duration) -> Signing {
    let mut keeping = store.keeping(clock);
    keeping.lifetime = lifetime;
    (keeping.policy.announce, keeping.policy.overlap) = (lifetime, Duration::ZERO);
    Signing::open(&keeping, wanted).unwrap().unwrap()
}

fn trusted(signing: &Signing) -> Arc<TrustBundle> {
    signing.signer().trust()
}

/// What somebody has who joined or renewed now.
pub(super) fn joined(signing: &Signing) -> Arc<Issuing> {
    signing.signer().current()
}

/// Whether each accepts the other.
pub(super) fn talk(one: &Issuing, other: &Issuing, clock: &At) -> bool {
    let now = *clock.0.lock().unwrap();
    one.is_accepted_by(other.roots(), now) && other.is_accepted_by(one.roots(), now)
}

#[test]
fn a_provided_intermediate_takes_over_from_the_own_root_step_by_step() {
    let (store, clock) = (Shared::default().process(true), At::new());
    let mut signing = open(&store, &clock, &By::Own);
    let before = joined(&signing);
    let wanted = By::Provided(files("a", &[]));
    assert_eq!(signing.pursue(&wanted).unwrap(), Standing::Announced);
    assert_eq!((trusted(&signing).roots().ders().len(), joined(&signing).roots().last()), (2, before.roots().last()));
    let announced = joined(&signing);
    clock.pass(23 * HOUR);
    assert_eq!(signing.pursue(&wanted).unwrap(), Standing::Announced);
    // A control plane that is started again goes on where it was, whatever it is told to begin with.
    let mut signing = open(&store, &clock, &wanted);
    assert_eq!(signing.pursue(&wanted).unwrap(), Standing::Announced);
    assert_eq!(joined(&signing).roots(), announced.roots());
    assert!(!talk(&before, &Issuing::provided(&provided(&wanted).as_certs(), now(&clock)).unwrap(), &clock));

    clock.pass(HOUR);
    assert_eq!(signing.pursue(&wanted).unwrap(), Standing::Signs);
    let after = joined(&signing);
    assert_ne!(after.roots().last(), before.roots().last());
    assert!(talk(&announced, &after, &clock), "who renewed in a lifetime of certificates goes on");
    let mut signing = open(&store, &clock, &wanted);
    clock.pass(89 * 24 * HOUR);
    signing.advance().unwrap();
    assert_eq!(trusted(&signing).roots().ders().len(), 2, "who was away proves himself still");
    clock.pass(24 * HOUR);
    signing.advance().unwrap();
    assert_eq!(trusted(&signing).roots().ders().len(), 1);
    assert_eq!(signing.pursue(&wanted).unwrap(), Standing::Signs);
}

pub(super) fn now(clock: &At) -> SystemTime {
    *clock.0.lock().unwrap()
}

fn provided(by: &By) -> ProvidedFiles {
    match by {
        By::Provided(files) => files.clone(),
        By::Own => panic!("the own root"),
    }
}

#[test]
fn what_is_taken_back_before_it_signs_leaves_nothing() {
    let (store, clock) = (Shared::default().process(true), At::new());
    let mut signing = open(&store, &clock, &By::Own);
    let before = joined(&signing);
    signing.pursue(&By::Provided(files("a", &[]))).unwrap();
    assert_eq!(signing.pursue(&By::Own).unwrap(), Standing::Signs);
    assert_eq!(joined(&signing).roots(), before.roots());
    assert!(!String::from_utf8(store.read(NAME).unwrap().unwrap()).unwrap().contains("PRIVATE KEY"));
}

#[test]
fn another_that_is_announced_in_anothers_place_waits_as_long() {
    let (store, clock) = (Shared::default().process(true), At::new());
    let mut signing = open(&store, &clock, &By::Own);
    let a = files("a", &[]);
    signing.pursue(&By::Provided(a.clone())).unwrap();
    clock.pass(20 * HOUR);
    // Its root was not announced, the first one's was.
    let b = By::Provided(files("b", &[&a]));
    assert_eq!(signing.pursue(&b).unwrap(), Standing::Announced);
    clock.pass(20 * HOUR);
    assert_eq!(signing.pursue(&b).unwrap(), Standing::Announced);
    clock.pass(4 * HOUR);
    assert_eq!(signing.pursue(&b).unwrap(), Standing::Signs);
}

#[test]
fn what_all_trust_already_signs_at_once() {
    let (store, clock) = (Shared::default().process(true), At::new());
    let (old, new) = (files("old", &[]), files("new", &[]));
    let announcing = with_roots(&old, &files("new", &[&old]));
    let mut signing = open(&store, &clock, &By::Provided(old.clone()));
    assert_eq!(signing.pursue(&By::Provided(announcing)).unwrap(), Standing::Signs, "the same key signs");
    assert_eq!(trusted(&signing).roots().ders().len(), 2, "as it says itself");
    assert_eq!(signing.pursue(&By::Provided(new)).unwrap(), Standing::Announced, "a root of that name, and another");
    // Who returns is trusted still.
    signing.pursue(&By::Provided(old.clone())).unwrap();
    let mut own = open(&Shared::default().process(true), &clock, &By::Own);
    let own_before = joined(&own);
    own.pursue(&By::Provided(old.clone())).unwrap();
    clock.pass(24 * HOUR);
    own.pursue(&By::Provided(old)).unwrap();
    assert_eq!(own.pursue(&By::Own).unwrap(), Standing::Signs);
    assert_eq!(joined(&own).roots().last(), own_before.roots().last());
}

/// As organisations replace their root, but in minutes.
#[test]
fn a_root_that_a_file_announces_is_known_no_sooner_than_any_other() {
    let (store, clock) = (Shared::default().process(true), At::new());
    let (old, new) = (files("old", &[]), files("new", &[]));
    let both = files("unused", &[&old, &new]);
    let mut signing = open(&store, &clock, &By::Provided(old.clone()));
    clock.pass(HOUR);
    let before = joined(&signing);
    assert_eq!(signing.pursue(&By::Provided(with_roots(&old, &both))).unwrap(), Standing::Signs);
    clock.pass(HOUR);
    for pause in [Duration::ZERO, 22 * HOUR] {
        clock.pass(pause);
        assert_eq!(signing.pursue(&By::Provided(with_roots(&new, &both))).unwrap(), Standing::Announced);
        assert!(talk(&before, &joined(&signing), &clock));
    }
    let announced = joined(&signing);
    clock.pass(HOUR);
    assert_eq!(signing.pursue(&By::Provided(with_roots(&new, &both))).unwrap(), Standing::Signs);
    assert!(talk(&announced, &joined(&signing), &clock), "its time ran since the file named it");
}

#[test]
fn a_root_that_a_file_drops_counts_for_an_overlap() {
    let (store, clock) = (Shared::default().process(true), At::new());
    let (old, new) = (files("old", &[]), files("new", &[]));
    let both = files("unused", &[&old, &new]);
    let mut signing = open(&store, &clock, &By::Provided(with_roots(&old, &both)));
    let before = joined(&signing);
    for wanted in [with_roots(&new, &both), new] {
        assert_eq!(signing.pursue(&By::Provided(wanted)).unwrap(), Standing::Signs);
        clock.pass(HOUR);
        signing.advance().unwrap();
        assert!(talk(&before, &joined(&signing), &clock));
    }
    clock.pass(90 * 24 * HOUR);
    signing.advance().unwrap();
    assert_eq!(trusted(&signing).roots().ders().len(), 1);
}

#[test]
fn without_the_files_the_own_root_takes_over_and_no_key_is_kept() {
    let (store, clock) = (Shared::default().process(true), At::new());
    let wanted = By::Provided(files("a", &[]));
    let mut signing = open(&store, &clock, &wanted);
    assert!(signing.own.is_none());
    let before = joined(&signing);
    assert_eq!(signing.pursue(&By::Own).unwrap(), Standing::Announced);
    let announced = joined(&signing);
    assert!(talk(&before, &announced, &clock));
    clock.pass(24 * HOUR);
    assert_eq!(signing.pursue(&By::Own).unwrap(), Standing::Signs);
    assert!(talk(&announced, &joined(&signing), &clock));
    assert!(!String::from_utf8(store.read(NAME).unwrap().unwrap()).unwrap().contains("PRIVATE KEY"));
    assert!(signing.rotate().is_ok());
}

#[test]
fn what_is_of_no_use_changes_nothing() {
    let (store, clock) = (Shared::default().process(true), At::new());
    let mut signing = open(&store, &clock, &By::Own);
    let (before, kept) = (joined(&signing), store.read(NAME).unwrap());
    let ([cert, _, chain, root], [_, key, ..]) = (<[_; 4]>::from(files("a", &[])), <[_; 4]>::from(files("b", &[])));
    for (bad, error) in [
        (ProvidedFiles::from([cert, key, chain, root]), CaCertsError::KeyMismatch),
        (
            ProvidedFiles::default(),
            CaCertsError::Missing("ca-cert.pem, ca-key.pem, cert-chain.pem, root-cert.pem".into()),
        ),
    ] {
        assert_eq!(signing.pursue(&By::Provided(bad)).unwrap(), Standing::Refused(error));
        assert_eq!((joined(&signing).roots(), store.read(NAME).unwrap()), (before.roots(), kept.clone()));
    }
}

#[test]
fn one_takes_the_steps_and_the_others_follow() {
    let clock = At::new();
    let ours = Shared::default().process(true);
    let theirs = ours.process(false);
    let wanted = By::Provided(files("a", &[]));
    let (mut writer, mut follower) = (open(&ours, &clock, &By::Own), open(&theirs, &clock, &By::Own));
    assert_eq!(follower.pursue(&wanted).unwrap(), Standing::Waits);
    writer.pursue(&wanted).unwrap();
    for pause in [Duration::ZERO, 24 * HOUR, 91 * 24 * HOUR] {
        clock.pass(pause);
        follower.advance().unwrap();
        writer.advance().unwrap();
        let stands = writer.pursue(&wanted).unwrap();
        follower.follow().unwrap();
        assert_eq!(follower.pursue(&wanted).unwrap(), stands);
        assert_eq!(joined(&writer).roots(), joined(&follower).roots());
    }
    // Whoever comes next goes on from there.
    ours.remove(NAME).unwrap();
    writer.follow().unwrap();
    assert_eq!(joined(&open(&theirs, &clock, &By::Own)).roots(), joined(&writer).roots());
}

/// An intermediate that is over in an hour.
fn short(clock: &At) -> ProvidedFiles {
    let [root_key, key] = [(); 2].map(|()| KeyPair::generate().unwrap());
    let (root, mut cert) = (authority("root"), authority("intermediate"));
    cert.not_after = (now(clock) + HOUR).into();
    let cert = cert.signed_by(&key, &Issuer::from_params(&root, &root_key)).unwrap().pem();
    let root = root.self_signed(&root_key).unwrap().pem();
    ProvidedFiles::from([Some(cert.clone()), Some(key.serialize_pem()), Some(cert), Some(root)])
}

#[test]
fn who_may_not_write_begins_with_nothing() {
    let clock = At::new();
    let ours = Shared::default().process(true);
    let theirs = ours.process(false);
    let [one, other] = ["one", "other"].map(|name| By::Provided(files(name, &[])));
    for wanted in [&one, &By::Own] {
        assert!(Signing::open(&theirs.keeping(&clock), wanted).unwrap().is_none());
    }
    let writer = open(&ours, &clock, &other);
    assert_eq!(open(&theirs, &clock, &one).state, writer.state, "whatever he was told");

    // Nor does he replace what is over.
    let ours = Shared::default().process(true);
    open(&ours, &clock, &By::Provided(short(&clock)));
    clock.pass(2 * HOUR);
    assert!(Signing::open(&ours.process(false).keeping(&clock), &one).unwrap().is_none());
}

#[test]
fn who_got_a_certificate_for_long_has_the_time_to_renew_it() {
    let (store, clock) = (Shared::default().process(true), At::new());
    let wanted = By::Provided(files("a", &[]));
    let before = joined(&open_with(&store, &clock, &By::Own, 24 * HOUR));
    let mut signing = open_with(&store, &clock, &By::Own, HOUR);
    for pause in [Duration::ZERO, 23 * HOUR] {
        clock.pass(pause);
        assert_eq!(signing.pursue(&wanted).unwrap(), Standing::Announced);
        assert!(talk(&before, &joined(&signing), &clock));
    }
    clock.pass(HOUR);
    assert_eq!(signing.pursue(&wanted).unwrap(), Standing::Signs);
    signing.advance().unwrap();
    assert_eq!(trusted(&signing).roots().ders().len(), 2, "another replica gave some an hour later");
    clock.pass(HOUR);
    signing.advance().unwrap();
    assert_eq!(trusted(&signing).roots().ders().len(), 1);
}

#[test]
fn where_the_signer_is_over_any_other_is_better() {
    let (store, clock) = (Shared::default().process(true), At::new());
    let short = short(&clock);
    let mut signing = open(&store, &clock, &By::Provided(short.clone()));
    clock.pass(2 * HOUR);
    assert!(matches!(Signing::open(&store.keeping(&clock), &By::Provided(short)), Err(IdentityError::Provided(_))));
    let other = By::Provided(files("b", &[]));
    assert_eq!(signing.pursue(&other).unwrap(), Standing::Signs);
    assert_eq!(open(&store, &clock, &other).pursue(&other).unwrap(), Standing::Signs);
}

/// An intermediate that counts since an hour ago, and with it a root that nobody needs.
fn spared(clock: &At, spare_end: Duration) -> ProvidedFiles {
    let keys = [(); 3].map(|()| KeyPair::generate().unwrap());
    let [root_key, key, spare_key] = &keys;
    let (root, mut cert, mut spare) = (authority("root"), authority("intermediate"), authority("spare"));
    cert.not_before = (now(clock) - HOUR).into();
    spare.not_after = (now(clock) + spare_end).into();
    let cert = cert.signed_by(key, &Issuer::from_params(&root, root_key)).unwrap().pem();
    let spare = spare.self_signed(spare_key).unwrap().pem();
    let chain = format!("{cert}{spare}");
    let roots = spare + &root.self_signed(root_key).unwrap().pem();
    ProvidedFiles::from([Some(cert), Some(key.serialize_pem()), Some(chain), Some(roots)])
}

#[test]
fn what_others_trust_is_not_given_up_for_a_spare_root_or_a_clock() {
    let forward = |clock: &At| clock.pass(2 * HOUR);
    let back = |clock: &At| *clock.0.lock().unwrap() -= 2 * HOUR;
    for pass in [&forward as &dyn Fn(&At), &back] {
        let (store, clock) = (Shared::default().process(true), At::new());
        let files = spared(&clock, HOUR);
        let mut signing = open(&store, &clock, &By::Provided(files.clone()));
        let before = joined(&signing);
        pass(&clock);
        let other = By::Provided(self::files("other", &[]));
        let mut again = open(&store, &clock, &By::Own);
        assert!(again.own.is_none() && again.state.signs == By::Provided(files));
        for signing in [&mut signing, &mut again] {
            signing.advance().unwrap();
            assert!(joined(signing).counts(now(&clock)).is_ok());
            assert_eq!(joined(signing).roots(), before.roots());
        }
        assert_eq!(again.pursue(&other).unwrap(), Standing::Announced);
    }
}

#[test]
fn who_can_sign_no_more_is_trusted_still() {
    let (store, clock) = (Shared::default().process(true), At::new());
    let short = short(&clock);
    let before = joined(&open(&store, &clock, &By::Provided(short)));
    clock.pass(2 * HOUR);
    let after = open(&store, &clock, &By::Own);
    assert_eq!(after.state.signs, By::Own);
    assert!(before.roots().iter().all(|root| trusted(&after).roots().ders().contains(root)));
    assert_eq!(open(&store, &clock, &By::Own).state, after.state, "it is in the store");
}

/// However it stands with who signs, former roots end, an announcement is taken back, and another takes over.
#[test]
fn a_signer_that_is_over_holds_up_nothing() {
    let (store, clock) = (Shared::default().process(true), At::new());
    let mut signing = open_with(&store, &clock, &By::Provided(files("former", &[])), HOUR);
    let short = By::Provided({
        let files = short(&clock);
        clock.pass(HOUR / 2);
        files
    });
    signing.state = signing.state.then(short.clone(), None, None, now(&clock));
    signing.replace().unwrap();
    let other = By::Provided(files("other", &[]));
    assert_eq!(signing.pursue(&other).unwrap(), Standing::Announced);
    assert_eq!(trusted(&signing).roots().ders().len(), 3);
    clock.pass(HOUR);
    signing.advance().unwrap();
    assert_eq!(trusted(&signing).roots().ders().len(), 2, "the former root's time is over");
    let over = CaCertsError::Expired("ca-cert.pem");
    assert_eq!(signing.pursue(&short).unwrap(), Standing::Over(over), "the announcement is taken back");
    assert_eq!(trusted(&signing).roots().ders().len(), 1);
    assert_eq!(signing.pursue(&other).unwrap(), Standing::Signs);
}
