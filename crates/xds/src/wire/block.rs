//! Response data that knows whether it gets anywhere.

use bytes::{Buf, Bytes};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A piece of a response. It counts as under way until HTTP/2 has written it out or dropped it.
#[derive(Debug)]
pub struct Block {
    bytes: Bytes,
    progress: Arc<Progress>,
}

/// How the writing of one stream goes.
#[derive(Debug)]
pub(crate) struct Progress {
    began: Instant,
    /// Bytes under way.
    under_way: AtomicU64,
    /// When bytes were written last, or the first of them got under way: milliseconds after `began`.
    moved: AtomicU64,
}

impl Block {
    pub(crate) fn new(bytes: Bytes, progress: Arc<Progress>) -> Self {
        if progress.under_way.fetch_add(bytes.len() as u64, Ordering::Relaxed) == 0 {
            progress.moved();
        }
        Self { bytes, progress }
    }
}

impl Buf for Block {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.progress.under_way.fetch_sub(count as u64, Ordering::Relaxed);
        self.progress.moved();
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.progress.under_way.fetch_sub(self.bytes.len() as u64, Ordering::Relaxed);
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self { began: Instant::now(), under_way: AtomicU64::new(0), moved: AtomicU64::new(0) }
    }
}

impl Progress {
    /// For how long nothing was written although there is something to write.
    pub(crate) fn stalled(&self) -> Duration {
        if self.under_way.load(Ordering::Relaxed) == 0 {
            return Duration::ZERO;
        }
        self.began.elapsed().saturating_sub(Duration::from_millis(self.moved.load(Ordering::Relaxed)))
    }

    /// Age of the stream.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    fn moved(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(now, Ordering::Relaxed);
    }
}
