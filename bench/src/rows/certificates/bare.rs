//! What no server can issue a certificate without, in a loop: the proof verified, the request read and verified, a signature, PEM.

use super::{
    super::secured::{AUDIENCE, Held, ISSUER, Secured},
    Proof, caller, timed,
};
use anyhow::{Context as _, anyhow};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, UnparsedPublicKey},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime, pem::PemObject as _};
use std::{hint::black_box, time::Duration};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer as _};

/// All that a certificate is made from.
pub(super) struct Bare {
    token: String,
    verifier: DecodingKey,
    validation: Validation,
    chain: Vec<CertificateDer<'static>>,
    anchor: TrustAnchor<'static>,
    csr: String,
    signer: EcdsaKeyPair,
    /// As many bytes as are signed.
    certificate: Vec<u8>,
}

impl Bare {
    /// With the proofs of a workload of this mesh.
    pub(super) fn new(secured: &Secured, held: &Held, token: String) -> anyhow::Result<Self> {
        let keys: JwkSet = serde_json::from_slice(&secured.issuer.jwks_document()?)?;
        let verifier = DecodingKey::from_jwk(keys.keys.first().context("no key")?)?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        let root = CertificateDer::from_pem_slice(secured.roots().as_bytes())?;
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
        Ok(Self {
            token,
            verifier,
            validation,
            anchor: webpki::anchor_from_trusted_cert(&root)?.to_owned(),
            csr: caller::csr(&KeyPair::generate()?)?,
            signer: key,
            certificate: held.chain.first().context("no certificate")?.to_vec(),
            chain: held.chain.clone(),
        })
    }

    /// CPU time of so many certificates.
    pub(super) fn repeat(&self, proof: Proof, times: usize) -> anyhow::Result<Duration> {
        timed(|| self.once(proof), times)
    }

    fn once(&self, proof: Proof) -> anyhow::Result<()> {
        match proof {
            Proof::Token => {
                black_box(jsonwebtoken::decode::<serde_json::Value>(&self.token, &self.verifier, &self.validation)?);
            }
            Proof::Certificate => self.verify_chain()?,
        }
        self.verify_request()?;
        black_box(self.signer.sign(&SystemRandom::new(), black_box(&self.certificate))?);
        black_box(pem::encode(&pem::Pem::new("CERTIFICATE", &*self.certificate)));
        Ok(())
    }

    fn verify_chain(&self) -> anyhow::Result<()> {
        let (leaf, between) = self.chain.split_first().context("no certificate")?;
        let (leaf, anchors) = (EndEntityCert::try_from(leaf)?, [self.anchor.clone()]);
        let usage = KeyUsage::client_auth();
        let verified =
            leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, between, UnixTime::now(), usage, None, None);
        black_box(verified?.anchor());
        Ok(())
    }

    fn verify_request(&self) -> anyhow::Result<()> {
        let der = pem::parse(&self.csr)?.into_contents();
        let (_, request) = X509CertificationRequest::from_der(&der)?;
        let info = &request.certification_request_info;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &info.subject_pki.subject_public_key.data)
            .verify(info.raw, &request.signature_value.data)
            .map_err(|_| anyhow!("a request that does not verify"))
    }
}
