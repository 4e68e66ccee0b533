use super::*;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::collections::BTreeSet;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

const MESH: &str = "mesh";
const SERVICE: &str = "tombolo-discovery.mesh.svc";

fn at(after: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY + after
}

fn settled(kept: &Data, after: Duration) -> Data {
    settle(kept, MESH, at(after)).unwrap()
}

fn read(data: &Data, name: &str) -> Vec<CertificateDer<'static>> {
    certificates(content(data, name)).unwrap()
}

/// As an API server verifies whoever answers it.
fn accepts(trusting: &Data, showing: &Data, service: &str, now: SystemTime) -> Result<(), String> {
    let (bundle, chain) = (read(trusting, BUNDLE), read(showing, CERTIFICATE));
    let anchors: Vec<_> = bundle.iter().map(|root| anchor_from_trusted_cert(root).unwrap()).collect();
    let leaf = EndEntityCert::try_from(&chain[0]).unwrap();
    let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    leaf.verify_for_usage(algorithms, &anchors, &chain[1..], now, KeyUsage::server_auth(), None, None)
        .map_err(|error| error.to_string())?;
    leaf.verify_is_valid_for_subject_name(&service.try_into().unwrap()).map_err(|error| error.to_string())
}

#[test]
fn the_first_certificate_is_accepted_for_every_tags_service() {
    let data = settled(&Data::new(), Duration::ZERO);
    let now = at(Duration::ZERO);
    assert_eq!(accepts(&data, &data, SERVICE, now), Ok(()));
    assert_eq!(accepts(&data, &data, "tombolo-discovery-prod.mesh.svc", now), Ok(()));
    assert!(accepts(&data, &data, "tombolo-discovery.other.svc", now).is_err());
    assert!(accepts(&data, &settled(&Data::new(), Duration::ZERO), SERVICE, now).is_err(), "another's is not");
}

#[test]
fn nothing_changes_while_nothing_is_due() {
    let data = settled(&Data::new(), Duration::ZERO);
    assert_eq!(settled(&data, Duration::ZERO), data);
    assert_eq!(settled(&data, 59 * DAY), data);
    assert_ne!(settled(&data, 61 * DAY).get(CERTIFICATE), data.get(CERTIFICATE));
    assert_eq!(settled(&data, 61 * DAY).get(BUNDLE), data.get(BUNDLE), "the same authority signs again");
}

/// Replicas and API servers may each be a step behind the other.
#[test]
fn for_years_whoever_is_asked_is_trusted() {
    let mut before = settled(&Data::new(), Duration::ZERO);
    let (mut bundles, mut shown) = (BTreeSet::new(), BTreeSet::new());
    for count in 1..2 * 365 {
        let (after, now) = (DAY * count, at(DAY * count));
        let data = settled(&before, after);
        for (trusting, showing) in [(&data, &data), (&data, &before), (&before, &data)] {
            assert_eq!(accepts(trusting, showing, SERVICE, now), Ok(()), "day {count}");
        }
        bundles.insert(read(&data, BUNDLE).len());
        shown.insert(content(&data, CERTIFICATE).to_vec());
        before = data;
    }
    assert_eq!(bundles, [1, 2].into(), "authorities overlap, and those before are forgotten");
    assert!((12..24).contains(&shown.len()), "{} certificates", shown.len());
}

#[test]
fn an_authority_signs_once_it_is_trusted_for_an_hour() {
    let first = settled(&Data::new(), Duration::ZERO);
    let mut data = first.clone();
    for days in (30..246).step_by(30) {
        data = settled(&data, days * DAY); // the operator was there
    }
    let announced = settled(&data, 246 * DAY);
    assert_eq!(read(&announced, BUNDLE).len(), 2);
    let early = settled(&announced, 246 * DAY + HOUR / 2);
    assert_eq!(early.get(CERTIFICATE), announced.get(CERTIFICATE));
    let switched = settled(&early, 246 * DAY + HOUR);
    assert_ne!(switched.get(CERTIFICATE), early.get(CERTIFICATE));
    let overlapping = settled(&switched, 247 * DAY);
    assert_eq!(overlapping, switched);
    let retired = settled(&overlapping, 248 * DAY);
    assert_eq!((read(&retired, BUNDLE).len(), retired.get(CERTIFICATE)), (1, switched.get(CERTIFICATE)));
    assert!(accepts(&retired, &first, SERVICE, at(10 * DAY)).is_err(), "what the first one signed is over");
}

#[test]
fn whatever_is_found_something_good_comes_of_it() {
    let data = settled(&Data::new(), Duration::ZERO);
    for name in [AUTHORITIES, BUNDLE, CERTIFICATE, KEY] {
        for content in ["", "garbage", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"] {
            let mut broken = data.clone();
            broken.insert(name.to_owned(), ByteString(content.as_bytes().to_vec()));
            let mended = settled(&broken, HOUR);
            assert_eq!(accepts(&mended, &mended, SERVICE, at(HOUR)), Ok(()), "{name}: {content}");
        }
        let mut partial = data.clone();
        partial.remove(name);
        let mended = settled(&partial, HOUR);
        assert_eq!(accepts(&mended, &mended, SERVICE, at(HOUR)), Ok(()), "without {name}");
    }
    // A key of another certificate is found out, though each can be read.
    let mut mixed = data.clone();
    mixed.insert(KEY.to_owned(), settled(&Data::new(), Duration::ZERO)[KEY].clone());
    assert_ne!(settled(&mixed, HOUR).get(CERTIFICATE), data.get(CERTIFICATE));
    assert_eq!(settled(&data, HOUR), data);
}

#[test]
fn an_operator_that_was_away_for_years_begins_anew() {
    let data = settled(&Data::new(), Duration::ZERO);
    for days in [100, 264, 300, 340, 364, 366, 4000] {
        let renewed = settled(&data, days * DAY);
        assert_eq!(settled(&renewed, days * DAY), renewed, "each time is the last: after {days} days");
        assert_eq!(accepts(&renewed, &renewed, SERVICE, at(days * DAY)), Ok(()), "after {days} days");
    }
}
