//! The bearer token: a file that somebody else replaces, or takes away.

use crate::{identity::Clock, state};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};
use tonic::metadata::{Ascii, MetadataValue};

const MOST_BYTES: u64 = 64 * 1024;

/// Where the token is.
#[derive(Clone)]
pub(super) struct TokenFile {
    path: PathBuf,
    clock: Clock,
}

impl TokenFile {
    pub(super) const fn new(path: PathBuf, clock: Clock) -> Self {
        Self { path, clock }
    }

    /// The value of the `authorization` header, if there is a token that has not expired by its own account.
    ///
    /// Anything else is no error: the certificate proves who we are, or the control plane refuses.
    pub(super) fn bearer(&self) -> Option<MetadataValue<Ascii>> {
        let bytes = state::read(&self.path, MOST_BYTES).unwrap_or_else(|error| {
            tracing::warn!("no token is shown: {error}");
            None
        });
        let text = String::from_utf8(bytes?).ok()?;
        let token = text.trim();
        if token.is_empty() || is_expired(token, (self.clock)()) {
            return None;
        }
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}").try_into().ok()?;
        // So that nothing logs it, and HTTP/2 does not put it into a table of headers (RFC 7541, section 7.1.3).
        value.set_sensitive(true);
        Some(value)
    }
}

/// By the claim `exp` of a JWT (RFC 7519, section 4.1.4). Other tokens do not say.
fn is_expired(token: &str, now: SystemTime) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let claims = || {
        let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        serde_json::from_slice::<Claims>(&payload).ok()
    };
    let end = claims().and_then(|claims| Duration::try_from_secs_f64(claims.exp).ok());
    end.is_some_and(|end| now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() >= end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_is_shown_until_its_own_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let file = TokenFile::new(path.clone(), Arc::new(move || now));
        let shown = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            file.bearer().map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(shown(jwt(r#"{"exp":1001}"#).as_bytes()), Some(format!("Bearer {}", jwt(r#"{"exp":1001}"#))));
        assert_eq!(shown(jwt(r#"{"exp":1000}"#).as_bytes()), None, "expired");
        assert!(shown(jwt(r#"{"exp":-1e300}"#).as_bytes()).is_some(), "not a time, so it does not say");
        assert_eq!(shown(b" opaque\n").as_deref(), Some("Bearer opaque"));
        assert_eq!(shown(b"two\nlines"), None, "not a header's value");
        assert_eq!(shown(b"\xff"), None);
        assert_eq!(shown(b"\n"), None);
        std::fs::remove_file(&path).unwrap();
        assert!(file.bearer().is_none());
    }

    #[test]
    fn a_token_is_not_printed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "secret").unwrap();
        let shown = TokenFile::new(path, Arc::new(SystemTime::now)).bearer();
        assert!(!format!("{shown:?}").contains("secret"), "{shown:?}");
    }
}
