//! How a certificate looks (SPIFFE X.509-SVID, RFC 5280).

use super::{IssueRequest, ServerNames, SignerError, Subject};
use crate::{
    certificate::{hex, instance_extension},
    moment,
};
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    SerialNumber,
};
use rustls_pki_types::CertificateDer;

/// A signed certificate, its serial number in hexadecimal, and when it ends.
pub(super) struct Leaf {
    pub(super) der: CertificateDer<'static>,
    pub(super) serial: String,
    pub(super) not_after: i64,
}

/// Signs. The certificate does not outlive its authority, which ends at `last`.
pub(super) fn sign(
    issuer: &Issuer<'static, KeyPair>,
    request: &IssueRequest<'_>,
    last: i64,
) -> Result<Leaf, SignerError> {
    let (not_before, not_after) = (moment::unix(request.not_before), moment::unix(request.not_after).min(last));
    if not_after <= not_before {
        return Err(SignerError::Expired);
    }
    let serial = serial()?;
    let mut params = CertificateParams::default();
    // Names stand in the SAN only, which is critical then.
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    (params.not_before, params.not_after) = (moment::calendar(not_before), moment::calendar(not_after));
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if request.csr.can_encrypt() {
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    match &request.subject {
        Subject::Workload { id, instance } => {
            params.subject_alt_names = vec![SanType::URI(id.to_string().try_into()?)];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            params.custom_extensions = instance.iter().map(instance_extension).collect::<Result<_, _>>()?;
        }
        Subject::Server(names) => {
            params.subject_alt_names = server_names(names)?;
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }
    }
    let der = params.signed_by(request.csr.key(), issuer)?.der().clone();
    Ok(Leaf { der, serial: hex(&serial), not_after })
}

fn server_names(names: &ServerNames) -> Result<Vec<SanType>, SignerError> {
    let dns = names.dns.iter().map(|name| Ok(SanType::DnsName(name.clone().try_into()?)));
    let ips = names.ips.iter().map(|ip| Ok(SanType::IpAddress(*ip)));
    dns.chain(ips).collect()
}

/// 127 random bits: positive, and no zeros in front that readers would drop.
pub(crate) fn serial() -> Result<[u8; 16], SignerError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| SignerError::Encoding("the system gives no random numbers".into()))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(bytes)
}
