//! Waiting for what must come.

use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);
/// How often to look.
const POLL: Duration = Duration::from_millis(20);

/// Looks until it is there. `Err` holds what was seen last.
pub(crate) async fn eventually<T, E>(mut look: impl AsyncFnMut() -> Result<T, E>) -> Result<T, E> {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(last) if began.elapsed() > DEADLINE => return Err(last),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}
