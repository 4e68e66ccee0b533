use super::*;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm};

struct Pair {
    cert: String,
    key: String,
    key_der: Vec<u8>,
}

fn pair(algorithm: &'static SignatureAlgorithm) -> Pair {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::new(["shop.example.com".to_owned(), "10.0.0.1".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let cert = params.self_signed(&key).unwrap();
    Pair { cert: cert.pem(), key: key.serialize_pem(), key_der: key.serialize_der() }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn read(cert: &str, key: &str) -> Result<TlsPair, TlsError> {
    let entry = |name: &str, text: &str| (Arc::from(name), Bytes::new(text.as_bytes()));
    TlsPair::from_secret(&Secret {
        kind: "kubernetes.io/tls".into(),
        data: [entry("tls.crt", cert), entry("tls.key", key)].into(),
    })
}

#[test]
fn a_pair_is_read_with_its_names_and_expiry() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_RSA_SHA256] {
        let pair = pair(algorithm);
        let read = read(&format!("a comment\n{}{}", pair.cert, pair.cert), &pair.key).unwrap();
        assert_eq!(read.names, ["shop.example.com".into(), "10.0.0.1".into()]);
        assert_eq!(read.not_after, Timestamp(2_208_988_800));
        assert_eq!(read.key_pem.expose(), pair.key.as_bytes());
    }
}

#[test]
fn keys_may_be_pkcs1_and_sec1_too() {
    // Both stand inside PKCS #8, behind a header of fixed length.
    let rsa = pair(&PKCS_RSA_SHA256);
    read(&rsa.cert, &pem("RSA PRIVATE KEY", &rsa.key_der[26..])).unwrap();
    let ec = pair(&PKCS_ECDSA_P256_SHA256);
    let inner = ec.key_der.windows(4).position(|w| w == [0x02, 0x01, 0x01, 0x04]).unwrap() - 2;
    read(&ec.cert, &pem("EC PRIVATE KEY", &ec.key_der[inner..])).unwrap();
}

#[test]
fn every_error_is_told_apart_and_shows_no_content() {
    let (good, other) = (pair(&PKCS_ECDSA_P256_SHA256), pair(&PKCS_ECDSA_P256_SHA256));
    let broken = pem("CERTIFICATE", b"not a certificate");
    let cases = [
        (read("", &good.key), TlsError::NoCertificate("tls.crt")),
        (read("-----BEGIN CERTIFICATE-----\n!!!", &good.key), TlsError::NoCertificate("tls.crt")),
        (read(&good.key, &good.key), TlsError::NoCertificate("tls.crt")),
        (read(&broken, &good.key), TlsError::MalformedCertificate { key: "tls.crt", index: 1 }),
        (
            read(&format!("{}{broken}", good.cert), &good.key),
            TlsError::MalformedCertificate { key: "tls.crt", index: 2 },
        ),
        (read(&good.cert, ""), TlsError::NoKey),
        (read(&good.cert, &good.cert), TlsError::NoKey),
        (read(&good.cert, &pem("ENCRYPTED PRIVATE KEY", b"x")), TlsError::EncryptedKey),
        (read(&good.cert, &pem("PRIVATE KEY", b"x")), TlsError::MalformedKey),
        (read(&good.cert, &other.key), TlsError::Mismatch),
        (read(&format!("{}{}", other.cert, good.cert), &good.key), TlsError::Mismatch),
    ];
    for (result, expected) in cases {
        let error = result.unwrap_err();
        assert_eq!(error, expected);
        assert!(!error.to_string().contains("not a certificate"), "{error}");
    }
    let ed25519 = pair(&PKCS_ED25519);
    assert!(matches!(read(&ed25519.cert, &ed25519.key), Err(TlsError::UnsupportedKey(_))));
}

#[test]
fn a_secret_without_the_keys_says_which_is_missing() {
    let missing = |keys: &[&str]| {
        let data = keys.iter().map(|k| (Arc::from(*k), Bytes::default())).collect();
        TlsPair::from_secret(&Secret { kind: "Opaque".into(), data }).unwrap_err()
    };
    assert_eq!(missing(&[]), TlsError::Missing("tls.crt"));
    assert_eq!(missing(&["tls.crt"]), TlsError::Missing("tls.key"));
}

#[test]
fn authorities_are_read_from_config_maps_and_secrets() {
    let cert = pair(&PKCS_ECDSA_P256_SHA256).cert;
    let map = |text: &str| ConfigMap { data: [("ca.crt".into(), text.into())].into() };
    let bundle = CaBundle::from_config_map(&map(&cert)).unwrap();
    assert_eq!((bundle.not_after, bundle.pem.expose()), (Timestamp(2_208_988_800), cert.as_bytes()));
    let secret = Secret { kind: "Opaque".into(), data: [("ca.crt".into(), Bytes::new(cert.as_bytes()))].into() };
    assert_eq!(CaBundle::from_secret(&secret), Ok(bundle));
    assert_eq!(CaBundle::from_config_map(&ConfigMap::default()), Err(TlsError::Missing("ca.crt")));
    assert_eq!(CaBundle::from_config_map(&map("text")), Err(TlsError::NoCertificate("ca.crt")));
}

#[test]
fn nothing_secret_is_printed() {
    let pair = pair(&PKCS_ECDSA_P256_SHA256);
    let shown = format!("{:?}", read(&pair.cert, &pair.key).unwrap());
    assert!(shown.contains("[redacted]") && !shown.contains("PRIVATE KEY"), "{shown}");
}
