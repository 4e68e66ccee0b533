//! Notices when the control plane does not like our certificate.
//!
//! In TLS 1.3 a server says so after the client is done with its handshake (RFC 8446, section 4.4.2), and HTTP/2 keeps of such an
//! error no more than its text. So it is looked for where it comes in.

use rustls::{AlertDescription, Error};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

/// Told when a certificate was refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Arc<Notify>);

impl Refusals {
    /// Waits for a refusal that nobody has waited for yet.
    pub(super) async fn next(&self) {
        self.0.notified().await;
    }

    pub(super) fn tell(&self) {
        self.0.notify_one();
    }

    /// Tells if this error is one.
    pub(super) fn inspect(&self, error: &io::Error) {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        if inner.is_some_and(is_refusal) {
            self.tell();
        }
    }
}

fn is_refusal(error: &Error) -> bool {
    use AlertDescription as Alert;
    let Error::AlertReceived(alert) = error else { return false };
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
    )
}

/// A TLS stream, inspected.
pub(super) struct Inspected<I> {
    pub(super) io: I,
    pub(super) refusals: Option<Refusals>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Inspected<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if let (Poll::Ready(Err(error)), Some(refusals)) = (&read, &self.refusals) {
            refusals.inspect(error);
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Inspected<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }
}
