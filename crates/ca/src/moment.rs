//! Times as seconds since the Unix epoch, which is what certificates and tokens hold.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;

/// 31 December 9999, 23:59:59 UTC: the last moment that a certificate can name (RFC 5280, section 4.1.2.5).
const LAST: i64 = 253_402_300_799;

/// Whole seconds; 0 before 1970.
pub(crate) fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(LAST).min(LAST)
}

/// The moment, between 1970 and the year 9999, whatever a token or a certificate says.
pub(crate) fn system(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.clamp(0, LAST).unsigned_abs())
}

/// As certificates are made of.
pub(crate) fn calendar(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds.clamp(0, LAST)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Whole seconds of a duration.
pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(LAST).min(LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_moment_is_too_far() {
        assert_eq!(unix(system(i64::MAX)), LAST);
        assert_eq!(unix(system(i64::MIN)), 0);
        assert_eq!(calendar(i64::MAX).year(), 9999);
        assert_eq!(seconds(Duration::MAX), LAST);
    }
}
