//! One stream of SDS: requests and new identities in, responses out.

use super::{
    Verdicts, secrets,
    session::{Asked, Note, Reply, Session},
};
use crate::identity::Current;
use prost::Message;
use std::{convert::Infallible, marker::PhantomData};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tombolo_proto::envoy::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use tonic::{Request, Response, Status, Streaming, server::StreamingService};

/// A request of SDS, of either protocol.
pub(super) trait Ask: Message + Default + Into<Asked> + 'static {
    /// The response that goes with it.
    type Answer: Message + Default + From<Reply> + 'static;
    /// What is asked for.
    fn type_url(&self) -> &str;
}

impl Ask for DiscoveryRequest {
    type Answer = DiscoveryResponse;

    fn type_url(&self) -> &str {
        &self.type_url
    }
}

impl Ask for DeltaDiscoveryRequest {
    type Answer = DeltaDiscoveryResponse;

    fn type_url(&self) -> &str {
        &self.type_url
    }
}

/// The method, for requests of one protocol.
pub(super) struct Method<R> {
    current: Current,
    verdicts: Verdicts,
    requests: PhantomData<fn(R)>,
}

impl<R> Method<R> {
    pub(super) const fn new(current: Current, verdicts: Verdicts) -> Self {
        Self { current, verdicts, requests: PhantomData }
    }
}

type Answers<A> = ReceiverStream<Result<A, Status>>;

impl<R: Ask> StreamingService<R> for Method<R> {
    type Response = R::Answer;
    type ResponseStream = Answers<R::Answer>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<R>>) -> Self::Future {
        // One response at a time: a client that reads nothing costs no more than that.
        let (sender, receiver) = mpsc::channel(1);
        let (current, verdicts) = (self.current.clone(), self.verdicts.clone());
        tokio::spawn(async move {
            let gone = sender.clone();
            tokio::select! {
                () = gone.closed() => {}
                ended = serve(request.into_inner(), current, &verdicts, &sender) => {
                    let Err(status) = ended;
                    // Nobody listens any more: then there is nobody to be told.
                    let _ = sender.send(Err(status)).await;
                }
            }
        });
        std::future::ready(Ok(Response::new(ReceiverStream::new(receiver))))
    }
}

/// Until the stream ends, which the status says how.
async fn serve<R: Ask>(
    mut requests: Streaming<R>,
    mut current: Current,
    verdicts: &Verdicts,
    answers: &mpsc::Sender<Result<R::Answer, Status>>,
) -> Result<Infallible, Status> {
    let mut session = Session::default();
    let mut secrets = current.latest().map(|material| secrets::of(&material));
    loop {
        if let Some(reply) = secrets.as_ref().and_then(|secrets| session.due(secrets)) {
            answers.send(Ok(reply.into())).await.map_err(|_| Status::ok(""))?;
        }
        tokio::select! {
            material = current.changed() => secrets = Some(secrets::of(&material)),
            request = requests.message() => take_in(&mut session, verdicts, request?.ok_or_else(|| Status::ok(""))?)?,
        }
    }
}

fn take_in<R: Ask>(session: &mut Session, verdicts: &Verdicts, request: R) -> Result<(), Status> {
    if request.type_url() != secrets::type_url() {
        return Err(Status::invalid_argument(format!("only {} is served here", secrets::type_url())));
    }
    let notes = session.ask(request.into()).map_err(|error| Status::resource_exhausted(error.to_string()))?;
    for note in notes {
        match note {
            Note::Accepted => verdicts.accepted(session.last()),
            Note::Rejected(detail) => {
                let names = session.last();
                tracing::error!("Envoy rejected {} and keeps what it had: {detail}", names.join(" and "));
                verdicts.rejected(names, &detail);
            }
            Note::Unknown(name) => tracing::warn!("Envoy asks for a secret that nobody has: {name:?}"),
        }
    }
    Ok(())
}
