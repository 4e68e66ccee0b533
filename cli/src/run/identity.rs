//! The identity service of this run, as the MeshInstallation has it.

use super::{
    credentials::{self, Credentials},
    issuers::Issuer,
    records::Records,
};
use anyhow::Context;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};
use tombolo_api::mesh::MeshInstallation;
use tombolo_ca::{RotationPolicy, ServerNames, Settings};
use tombolo_controlplane::{ControlPlane, Identity, IdentitySetup, Inhabitants, ProvidedFiles, SystemClock, World};
use tombolo_core::{SourceId, TrustDomain};

/// Waits until the directory is read, as it says what the mesh trusts, and starts the service.
pub(crate) async fn start(
    plane: &ControlPlane,
    source: SourceId,
    records: &Records,
    address: SocketAddr,
    issuers: &[Issuer],
) -> anyhow::Result<(Identity, Credentials)> {
    plane.ready().await;
    let (installation, provided) = plane.ask(|world| (installation(world), ProvidedFiles::of(world))).await?;
    let trust_domain = TrustDomain::parse(&installation.mesh.trust_domain).context("spec.mesh.trustDomain")?;
    let store = records.store();
    let issuer = credentials::issuer(&store)?;
    let lifetime = installation.ca.workload_cert_ttl.get();
    let rotation = RotationPolicy {
        announce: lifetime,
        overlap: installation.ca.root_rotation.overlap.get(),
        ..RotationPolicy::default()
    };
    let own = credentials::verifier(&issuer, &trust_domain, &store)?;
    let setup = IdentitySetup {
        settings: Settings {
            default_lifetime: lifetime,
            max_lifetime: lifetime,
            rejoin_window: installation.virtual_machines.rejoin_window.get(),
            ..Settings::new(trust_domain.clone())
        },
        rotation,
        names: names(address),
        tokens: std::iter::once(own.into()).chain(issuers.iter().map(|issuer| issuer.trusted(&trust_domain))).collect(),
        exists: Arc::new(Inhabitants::new(plane, vec![issuer.issuer().to_owned()])),
        provided,
        store,
        clock: Arc::new(SystemClock),
    };
    let identity = Identity::start(plane, setup).await?;
    let credentials = Credentials::new(issuer, identity.clone(), source, trust_domain, reachable(address));
    Ok((identity, credentials))
}

/// By what the server is known: agents on other machines know it by its host's name where it listens at every address.
fn names(address: SocketAddr) -> ServerNames {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = Some(host).filter(|host| !host.is_empty() && host != "localhost");
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let own = Some(address.ip()).filter(|ip| !ip.is_unspecified() && !loopback.contains(ip));
    ServerNames {
        dns: ["localhost".to_owned()].into_iter().chain(host).collect(),
        ips: loopback.into_iter().chain(own).collect(),
    }
}

/// Where agents on this machine reach it.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (ip, address.port()).into()
}

/// The MeshInstallation that counts; the defaults where there is none.
fn installation(world: &World) -> MeshInstallation {
    world.installation().map(|object| object.spec.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_at_every_address_is_reached_at_this_machines_own() {
        assert_eq!(reachable("0.0.0.0:15012".parse().unwrap()), "127.0.0.1:15012".parse().unwrap());
        assert_eq!(reachable("[::]:15012".parse().unwrap()), "[::1]:15012".parse().unwrap());
        assert_eq!(reachable("10.0.0.1:15012".parse().unwrap()), "10.0.0.1:15012".parse().unwrap());
        let everywhere = names("0.0.0.0:15012".parse().unwrap());
        assert!(everywhere.ips.iter().all(IpAddr::is_loopback), "{:?}", everywhere.ips);
        let one = names("10.0.0.1:15012".parse().unwrap());
        assert!(one.ips.contains(&IpAddr::from([10, 0, 0, 1])) && one.dns.contains(&"localhost".to_owned()));
    }
}
