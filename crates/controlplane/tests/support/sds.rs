//! An agent as far as an Envoy sees it: a certificate and roots, over SDS on a Unix socket.

use prost::{Message as _, Name as _};
use std::path::Path;
use tokio::{net::UnixListener, sync::mpsc};
use tokio_stream::{
    StreamExt as _,
    wrappers::{ReceiverStream, UnixListenerStream},
};
use tombolo_proto::{
    bootstrap::{OWN_CERTIFICATE, ROOTS},
    envoy::{
        envoy::{
            config::core::v3::{DataSource, data_source},
            extensions::transport_sockets::tls::v3::{CertificateValidationContext, Secret, TlsCertificate, secret},
            service::{
                discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse},
                secret::v3::secret_discovery_service_server::{SecretDiscoveryService, SecretDiscoveryServiceServer},
            },
        },
        google::protobuf::Any,
    },
};
use tonic::{Request, Response, Status, Streaming};

/// Answers each request for one of its secrets once; they never change.
pub(crate) struct Agent {
    certificate: Secret,
    roots: Secret,
}

impl Agent {
    /// An agent with a certificate that it made itself.
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["golden".to_owned()]).expect("a certificate");
        Self::with(made.cert.pem(), made.signing_key.serialize_pem(), made.cert.pem())
    }

    /// An agent with this certificate, key and roots, all PEM.
    pub(crate) fn with(chain: String, key: String, roots: String) -> Self {
        let certificate = TlsCertificate {
            certificate_chain: Some(inline(chain)),
            private_key: Some(inline(key)),
            ..Default::default()
        };
        let roots = CertificateValidationContext { trusted_ca: Some(inline(roots)), ..Default::default() };
        let secret = |name: &str, r#type| Secret { name: name.to_owned(), r#type: Some(r#type) };
        Self {
            certificate: secret(OWN_CERTIFICATE, secret::Type::TlsCertificate(certificate)),
            roots: secret(ROOTS, secret::Type::ValidationContext(roots)),
        }
    }

    /// Serves at a socket, as long as the runtime runs.
    pub(crate) fn serve(self, runtime: &tokio::runtime::Runtime, socket: &Path) {
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(socket).expect("a socket of its own")
        };
        let server = tonic::transport::Server::builder().add_service(SecretDiscoveryServiceServer::new(self));
        runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
    }

    fn answer(&self, request: &DiscoveryRequest) -> DiscoveryResponse {
        let secrets = [&self.certificate, &self.roots].into_iter();
        let asked = secrets.filter(|secret| request.resource_names.contains(&secret.name));
        DiscoveryResponse {
            version_info: "1".to_owned(),
            type_url: Secret::type_url(),
            nonce: "1".to_owned(),
            resources: asked.map(|s| Any { type_url: Secret::type_url(), value: s.encode_to_vec() }).collect(),
            ..Default::default()
        }
    }
}

fn inline(pem: String) -> DataSource {
    DataSource { specifier: Some(data_source::Specifier::InlineString(pem)), ..Default::default() }
}

#[tonic::async_trait]
impl SecretDiscoveryService for Agent {
    type StreamSecretsStream = ReceiverStream<Result<DiscoveryResponse, Status>>;
    type DeltaSecretsStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn stream_secrets(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let mut requests = request.into_inner();
        let first = requests.next().await.ok_or_else(|| Status::cancelled("no request"))??;
        let (sender, responses) = mpsc::channel(1);
        sender.send(Ok(self.answer(&first))).await.map_err(|_| Status::cancelled("gone"))?;
        // Held open: what follows are acknowledgements.
        tokio::spawn(async move {
            while let Some(Ok(_)) = requests.next().await {}
            drop(sender);
        });
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    async fn delta_secrets(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        Err(Status::unimplemented("the mesh's clusters ask for the state of the world"))
    }

    async fn fetch_secrets(&self, _: Request<DiscoveryRequest>) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("the mesh's clusters keep a stream"))
    }
}
