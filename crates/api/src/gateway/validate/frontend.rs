//! A Gateway's `spec.tls`, which is read and not supported.

use super::{capped, not_empty, reference, unique};
use crate::{
    Report,
    gateway::{ClientValidation, FrontendTls, GatewayTls},
};
use tombolo_core::FieldPath;

const MOST_PORTS: usize = 64;
const MOST_AUTHORITIES: usize = 16;

pub(super) fn tls(tls: &GatewayTls, at: &FieldPath, report: &mut Report) {
    report.unsupported(at.clone(), "remove it");
    if let Some(r) = tls.backend.as_ref().and_then(|b| b.client_certificate_ref.as_ref()) {
        reference::secret(r, &at.key("backend").key("clientCertificateRef"), report);
    }
    if let Some(f) = &tls.frontend {
        frontend(f, &at.key("frontend"), report);
    }
}

fn frontend(f: &FrontendTls, at: &FieldPath, report: &mut Report) {
    validation(f.default.validation.as_ref(), &at.key("default"), report);
    let ports = at.key("perPort");
    let list = capped(&f.per_port, MOST_PORTS, &ports, report);
    for (i, one) in list.iter().enumerate() {
        validation(one.tls.validation.as_ref(), &ports.index(i).key("tls"), report);
    }
    let numbers = list.iter().map(|one| one.port);
    unique(numbers, |port| format!("port {port}"), |i| ports.index(i).key("port"), report);
}

fn validation(validation: Option<&ClientValidation>, at: &FieldPath, report: &mut Report) {
    let Some(validation) = validation else { return };
    let refs = at.key("validation").key("caCertificateRefs");
    not_empty(validation.ca_certificate_refs.len(), &refs, report);
    for (i, r) in capped(&validation.ca_certificate_refs, MOST_AUTHORITIES, &refs, report).iter().enumerate() {
        reference::parameters(r, &refs.index(i), report);
    }
}
