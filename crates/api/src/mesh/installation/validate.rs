//! What cannot be installed.

use super::MeshInstallation;
use crate::{
    Object, Report,
    kubernetes::check,
    mesh::{
        AccessLog, AccessLogFormat, Canary, CertificateAuthority, Discovery, Images, MeshSettings, Period, Strategy,
        Update, VirtualMachines,
        schema::{MOST_ALIASES, MOST_IMAGE, MOST_SIGNER},
    },
    syntax,
};
use tombolo_core::FieldPath;

/// Revisions and their Services are named after the installation, its version and its settings: 63 in all.
const LONGEST_NAME: usize = 32;

impl crate::Spec for MeshInstallation {
    const SPEC_REQUIRED: bool = false;

    fn validate(object: &Object<Self>, report: &mut Report) {
        let (spec, at) = (&object.spec, FieldPath::from("spec"));
        if !check::is_dns_label(&object.metadata.name) || object.metadata.name.len() > LONGEST_NAME {
            let message = format!("{:?} cannot be part of the names of control planes", object.metadata.name);
            let fix = "use lower case letters, digits and inner hyphens, at most 32";
            report.error(FieldPath::from("metadata").key("name"), "InvalidValue", message, fix);
        }
        if !check::is_dns_label(&spec.namespace) {
            let message = format!("{:?} cannot be the name of a namespace", spec.namespace);
            let fix = "use lower case letters, digits and inner hyphens, at most 63";
            report.error(at.key("namespace"), "InvalidValue", message, fix);
        }
        if let Some(version) = spec.version.as_deref().filter(|version| !is_version(version)) {
            let message = format!("{version:?} is not a version");
            report.error(at.key("version"), "InvalidValue", message, "write it as 0.1.0, or 0.1.0-rc.1");
        }
        check_images(&spec.images, &at.key("images"), report);
        check_mesh(&spec.mesh, &at.key("mesh"), report);
        check_discovery(&spec.discovery, &at.key("discovery"), report);
        check_ca(&spec.ca, &at.key("ca"), report);
        check_virtual_machines(&spec.virtual_machines, &at.key("virtualMachines"), report);
        check_update(&spec.update, &at.key("update"), report);
    }
}

/// Three numbers, and what a release candidate adds.
fn is_version(text: &str) -> bool {
    let (numbers, suffix) = text.split_once('-').map_or((text, None), |(n, s)| (n, Some(s)));
    let number = |n: &str| !n.is_empty() && n.len() <= 9 && n.bytes().all(|b| b.is_ascii_digit());
    let suffixed = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    numbers.split('.').count() == 3 && numbers.split('.').all(number) && suffix.is_none_or(suffixed)
}

fn check_images(images: &Images, at: &FieldPath, report: &mut Report) {
    for (name, image) in [("registry", &images.registry), ("proxy", &images.proxy)] {
        let blank = |b: u8| b.is_ascii_whitespace();
        let bad = |image: &&str| image.is_empty() || image.bytes().any(blank) || image.contains("://");
        check::no_longer(report, &at.key(name), image.as_deref().unwrap_or_default(), MOST_IMAGE);
        if let Some(image) = image.as_deref().filter(bad) {
            let message = format!("{image:?} is not the name of an image");
            report.error(at.key(name), "InvalidValue", message, "write host/path, without a scheme");
        }
    }
    for (i, secret) in images.pull_secrets.iter().enumerate().filter(|(_, name)| !is_name(name)) {
        let message = format!("{secret:?} cannot be the name of a Secret");
        report.error(at.key("pullSecrets").index(i), "InvalidValue", message, "name a Secret");
    }
}

/// The name of a Secret, and of most other objects.
fn is_name(name: &str) -> bool {
    syntax::dns_subdomain(name).is_none()
}

fn check_mesh(mesh: &MeshSettings, at: &FieldPath, report: &mut Report) {
    let aliases = at.key("trustDomainAliases");
    check::at_most(report, &aliases, mesh.trust_domain_aliases.len(), MOST_ALIASES);
    let domain = (at.key("trustDomain"), &*mesh.trust_domain);
    let alias_at = |(i, alias)| (aliases.index(i), alias);
    let domains: Vec<_> = std::iter::once(domain)
        .chain(mesh.trust_domain_aliases.iter().map(|a| &**a).enumerate().map(alias_at))
        .collect();
    for (at, domain) in domains.iter().filter(|(_, domain)| !is_trust_domain(domain)) {
        let message = format!("{domain:?} is not a trust domain");
        let fix = "use lower case letters, digits, '.', '-' and '_', at most 255";
        report.error(at.clone(), "InvalidValue", message, fix);
    }
    check::distinct(report, "trust domain", domains);
    let names = [("meshId", &mesh.mesh_id), ("network", &mesh.network), ("cluster", &mesh.cluster)];
    for (field, name) in names.into_iter().filter(|(_, name)| !check::is_label_value(name)) {
        let message = format!("{name:?} cannot be the value of a label");
        report.error(at.key(field), "InvalidValue", message, "use letters, digits, '-', '_' and '.', at most 63");
    }
    if let Some(log) = &mesh.access_log {
        check_access_log(log, &at.key("accessLog"), report);
    }
    if mesh.gateways.num_trusted_proxies > 64 {
        let message = "no request passes so many proxies";
        report.error(at.key("gateways").key("numTrustedProxies"), "OutOfRange", message, "use at most 64");
    }
    let gateways = at.key("gateways");
    if mesh.gateways.proxy_protocol.is_some() {
        let fix = "remove it, and let what stands before the gateway write X-Forwarded-For: see numTrustedProxies";
        report.unsupported(gateways.key("proxyProtocol"), fix);
    }
    if mesh.gateways.http3.is_some() {
        report.unsupported(gateways.key("http3"), "remove it: HTTPS listeners speak HTTP/2 and HTTP/1.1");
    }
    if !mesh.mesh_id.is_empty() {
        report.unsupported(at.key("meshId"), "remove it: a mesh is told from others by its trust domain");
    }
    if mesh.tracing.is_some() {
        report.unsupported(at.key("tracing"), "remove it");
    }
}

/// SPIFFE-ID, section 2.1.
fn is_trust_domain(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    (1..=255).contains(&text.len()) && text.bytes().all(valid)
}

fn check_access_log(log: &AccessLog, at: &FieldPath, report: &mut Report) {
    if let Some(path) = log.path.as_deref().filter(|path| !path.starts_with('/')) {
        let message = format!("{path:?} is not an absolute path");
        report.error(at.key("path"), "InvalidValue", message, "use /dev/stdout, /dev/stderr or a file");
    }
    let empty = match &log.format {
        Some(AccessLogFormat::Text(text)) if text.is_empty() => "text",
        Some(AccessLogFormat::Json(fields)) if fields.is_empty() => "json",
        _ => return,
    };
    let fix = "write one, or leave the format out for Envoy's own";
    report.error(at.key("format").key(empty), "Required", "the format is empty", fix);
}

fn check_discovery(discovery: &Discovery, at: &FieldPath, report: &mut Report) {
    if discovery.replicas == Some(0) {
        let message = "without replicas nothing is served";
        report.error(at.key("replicas"), "OutOfRange", message, "use at least 1");
    }
    let Some(scaling) = &discovery.autoscaling else { return };
    let field = at.key("autoscaling");
    if discovery.replicas.is_some() {
        let message = "replicas and autoscaling exclude each other";
        report.error(at.key("replicas"), "Conflict", message, "remove one of them");
    }
    if scaling.min_replicas == 0 {
        report.error(field.key("minReplicas"), "OutOfRange", "without replicas nothing is served", "use at least 1");
    }
    if scaling.max_replicas < scaling.min_replicas {
        let message = format!("is less than minReplicas, {}", scaling.min_replicas);
        report.error(field.key("maxReplicas"), "OutOfRange", message, "raise it");
    }
    if !(1..=100).contains(&scaling.target_cpu_percent) {
        let message = format!("{} is not a share in percent", scaling.target_cpu_percent);
        report.error(field.key("targetCpuPercent"), "OutOfRange", message, "use 1 to 100");
    }
}

fn check_ca(ca: &CertificateAuthority, at: &FieldPath, report: &mut Report) {
    let signers = [ca.self_signed.is_some(), ca.secret_ref.is_some(), ca.kubernetes_signer.is_some()];
    if signers.into_iter().filter(|set| *set).count() > 1 {
        let message = "several signers are set";
        report.error(at.clone(), "Conflict", message, "leave one of selfSigned, secretRef and kubernetesSigner");
    }
    if let Some(secret) = ca.secret_ref.as_ref().filter(|secret| !is_name(&secret.name)) {
        let message = format!("{:?} cannot be the name of a Secret", secret.name);
        report.error(at.key("secretRef").key("name"), "InvalidValue", message, "name a Secret");
    }
    if let Some(signer) = &ca.kubernetes_signer {
        let (signers, at) = (at.key("kubernetesSigner"), at.key("kubernetesSigner").key("signerName"));
        let before = report.len();
        check::no_longer(report, &at, &signer.signer_name, MOST_SIGNER);
        let valid = |(domain, path): (&str, &str)| is_name(domain) && !path.is_empty();
        if !signer.signer_name.split_once('/').is_some_and(valid) {
            let message = format!("{:?} is not the name of a signer", signer.signer_name);
            let fix = "write domain/path, as in clusterissuers.cert-manager.io/mesh";
            report.error(at, "InvalidValue", message, fix);
        }
        if report.len() == before {
            // A mesh that went on without it would trust a root that nobody chose.
            let fix = "use secretRef with an intermediate that it signed, or selfSigned";
            report.error(signers, "UnsupportedSigner", "not supported yet: it would sign nothing", fix);
        }
    }
    check_lifetime(ca.workload_cert_ttl, &at.key("workloadCertTTL"), report);
}

fn check_virtual_machines(machines: &VirtualMachines, at: &FieldPath, report: &mut Report) {
    for (field, set) in [
        ("expose", machines.expose.is_some()),
        ("tokenTTL", machines.token_ttl.is_some()),
        ("disconnectGrace", machines.disconnect_grace.is_some()),
    ] {
        if set {
            report.unsupported(at.key(field), "remove it");
        }
    }
}

/// Short ones are for trying out what happens when they end: a control plane that is away for longer stops the mesh.
fn check_lifetime(lifetime: Period, at: &FieldPath, report: &mut Report) {
    let (least, most) = (Period::from_secs(5), Period::from_secs(90 * 86_400));
    if !(least..=most).contains(&lifetime) {
        let message = format!("{lifetime} is not from {least} to {most}");
        report.error(at.clone(), "OutOfRange", message, "use 24h");
    } else if lifetime < Period::from_secs(600) {
        let message = format!("a control plane that is away for {lifetime} leaves proxies without certificates");
        report.warning(at.clone(), "ShortLived", message, "use at least 10m, except to try renewal out");
    }
}

fn check_update(update: &Update, at: &FieldPath, report: &mut Report) {
    let Some(canary) = &update.canary else { return };
    let at = at.key("canary");
    if update.strategy != Strategy::Canary {
        let message = "has no effect with strategy InPlace";
        report.warning(at.clone(), "Ineffective", message, "set strategy to Canary");
    }
    check_steps(canary, &at.key("steps"), report);
}

fn check_steps(canary: &Canary, at: &FieldPath, report: &mut Report) {
    check::at_most(report, at, canary.steps.len(), 20);
    if canary.steps.last().is_none_or(|last| last.weight != 100) {
        report.error(at.clone(), "Required", "the last step does not move all proxies", "end with weight: 100");
    }
    let mut before = 0;
    for (i, step) in canary.steps.iter().enumerate() {
        let field = at.index(i).key("weight");
        if !(1..=100).contains(&step.weight) {
            report.error(field, "OutOfRange", format!("{} is not a share in percent", step.weight), "use 1 to 100");
        } else if step.weight <= before {
            let message = format!("moves no more proxies than the step before, {before}");
            report.error(field, "OutOfRange", message, "let weights ascend");
        }
        before = step.weight;
    }
}
