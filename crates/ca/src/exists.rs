//! The port to what is there now: whether a caller's ServiceAccount, pod or machine still is.

use crate::Caller;
use std::{future::Future, pin::Pin};

/// A future of a port: ports are called through `dyn`, so that they can be put together at run time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Says whether a caller still is. Asked for every token and for every renewal by certificate, so it should answer from memory.
pub trait Exists: Send + Sync {
    /// Whether the caller's ServiceAccount exists, whether the objects that its token is bound to do (by UID), and whether its
    /// instance is revoked.
    fn exists<'a>(&'a self, caller: &'a Caller) -> Answer<'a, Result<Existence, ExistsError>>;
}

/// What is known of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existence {
    /// It is there.
    Exists,
    /// Something that it needs is gone: what, such as `pod shop/reviews-7`.
    Gone(String),
    /// Its instance was revoked: by what, such as `WorkloadEntry shop/vm-1`.
    Revoked(String),
}

/// It is not known now whether a caller exists; the request can be repeated.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell whether the caller still exists, try again: {0}")]
pub struct ExistsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Everybody exists: for meshes without a place where workloads are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everybody;

impl Exists for Everybody {
    fn exists<'a>(&'a self, _: &'a Caller) -> Answer<'a, Result<Existence, ExistsError>> {
        Box::pin(std::future::ready(Ok(Existence::Exists)))
    }
}
