//! The config stream of a control plane that has one listener to serve: TLS with the proxy's own certificate, which Envoy gets
//! where its bootstrap says.

use prost::{Message, Name};
use std::{collections::BTreeSet, pin::Pin};
use tokio_stream::Stream;
use tombolo_proto::{
    ResourceType,
    bootstrap::{OWN_CERTIFICATE, SDS_CLUSTER},
    envoy::{
        envoy::{
            config::{
                core::v3::{
                    Address, ApiConfigSource, ApiVersion, ConfigSource, GrpcService, SocketAddress, TransportSocket,
                    address, api_config_source::ApiType, config_source, grpc_service, socket_address, transport_socket,
                },
                listener::v3::{Filter, FilterChain, Listener, filter},
            },
            extensions::{
                filters::network::echo::v3::Echo,
                transport_sockets::tls::v3::{CommonTlsContext, DownstreamTlsContext, SdsSecretConfig},
            },
            service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource},
        },
        google::protobuf::Any,
    },
};
use tonic::{Request, Response, Status, Streaming, server::StreamingService};

type Answers = Pin<Box<dyn Stream<Item = Result<DeltaDiscoveryResponse, Status>> + Send>>;

/// Answers the first request of each type, and no other.
pub(crate) struct Listeners;

impl StreamingService<DeltaDiscoveryRequest> for Listeners {
    type Response = DeltaDiscoveryResponse;
    type ResponseStream = Answers;
    type Future = std::future::Ready<Result<Response<Answers>, Status>>;

    fn call(&mut self, request: Request<Streaming<DeltaDiscoveryRequest>>) -> Self::Future {
        std::future::ready(Ok(Response::new(answers(request.into_inner()))))
    }
}

fn answers(mut requests: Streaming<DeltaDiscoveryRequest>) -> Answers {
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let mut answered = BTreeSet::new();
    tokio::spawn(async move {
        while let Ok(Some(request)) = requests.message().await {
            if answered.insert(request.type_url.clone()) && sender.send(Ok(answer(request.type_url))).await.is_err() {
                return;
            }
        }
    });
    Box::pin(tokio_stream::wrappers::ReceiverStream::new(receiver))
}

fn answer(type_url: String) -> DeltaDiscoveryResponse {
    let resources = if type_url == ResourceType::Listener.url() { vec![resource()] } else { Vec::new() };
    DeltaDiscoveryResponse { nonce: format!("1 {type_url}"), type_url, resources, ..Default::default() }
}

fn resource() -> Resource {
    Resource { name: "inbound".into(), version: "1".into(), resource: Some(any(&listener())), ..Default::default() }
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

fn listener() -> Listener {
    let common = CommonTlsContext {
        tls_certificate_sds_secret_configs: vec![SdsSecretConfig {
            name: OWN_CERTIFICATE.into(),
            sds_config: Some(sds()),
        }],
        ..Default::default()
    };
    let tls = DownstreamTlsContext { common_tls_context: Some(common), ..Default::default() };
    let chain = FilterChain {
        filters: vec![Filter {
            name: "echo".into(),
            config_type: Some(filter::ConfigType::TypedConfig(any(&Echo::default()))),
        }],
        transport_socket: Some(TransportSocket {
            name: "tls".into(),
            config_type: Some(transport_socket::ConfigType::TypedConfig(any(&tls))),
        }),
        ..Default::default()
    };
    // The system chooses a port.
    let port_specifier = Some(socket_address::PortSpecifier::PortValue(0));
    let socket = SocketAddress { address: "127.0.0.1".into(), port_specifier, ..Default::default() };
    let address = Some(Address { address: Some(address::Address::SocketAddress(socket)) });
    Listener { name: "inbound".into(), address, filter_chains: vec![chain], ..Default::default() }
}

fn sds() -> ConfigSource {
    let envoy = grpc_service::EnvoyGrpc { cluster_name: SDS_CLUSTER.into(), ..Default::default() };
    let service =
        GrpcService { target_specifier: Some(grpc_service::TargetSpecifier::EnvoyGrpc(envoy)), ..Default::default() };
    let source = ApiConfigSource {
        api_type: ApiType::DeltaGrpc.into(),
        transport_api_version: ApiVersion::V3.into(),
        grpc_services: vec![service],
        ..Default::default()
    };
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(config_source::ConfigSourceSpecifier::ApiConfigSource(source)),
        ..Default::default()
    }
}
