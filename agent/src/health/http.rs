//! An HTTP request: 200 to 399 is success. Redirects are followed on the same host; one to elsewhere is success with a warning.

use super::{Header, HttpGet, Scheme, judge::Outcome, tcp, tls};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    Request, Uri,
    client::conn::http1,
    header::{HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

/// As many as Kubernetes follows.
const REDIRECTS: usize = 10;
const AGENT: &str = concat!("tombolo-probe/", env!("CARGO_PKG_VERSION"));

/// Whether a request can be made of it.
pub(super) fn check(path: &str, headers: &[Header]) -> Result<(), String> {
    target(path)?;
    headers.iter().try_for_each(|header| pair(header).map(drop))
}

pub(crate) async fn probe(get: &HttpGet, local: IpAddr) -> Outcome {
    let mut path = target(&get.path)?;
    for _ in 0..=REDIRECTS {
        let (status, location) = ask(get, local, &path).await?;
        if !(200..400).contains(&status) {
            return Err(format!("HTTP status {status}"));
        }
        let Some(location) = location.filter(|_| (300..400).contains(&status)) else { return Ok(()) };
        match same_host(get, local, &path, &location) {
            Some(next) => path = next,
            None => {
                tracing::warn!(location, "the probe is redirected to another host: that counts as success");
                return Ok(());
            }
        }
    }
    Err(format!("more than {REDIRECTS} redirects"))
}

/// Where a redirect leads to on the same host and port; `None` where it leads elsewhere, or nowhere that can be understood.
fn same_host(get: &HttpGet, local: IpAddr, from: &str, location: &str) -> Option<String> {
    let scheme = if get.scheme == Scheme::Https { "https" } else { "http" };
    // The forms of RFC 3986, section 4.2: with a scheme, with a host, with a whole path, and with one that takes the place of what
    // comes after the last slash.
    let has_scheme = location.split(['/', '?', '#']).next().is_some_and(|first| first.ends_with(':'));
    let next: Uri = match location {
        _ if has_scheme => location.parse().ok()?,
        _ if location.starts_with("//") => format!("{scheme}:{location}").parse().ok()?,
        _ if location.starts_with('/') => return target(location).ok(),
        _ => {
            let directory = from.split(['?', '#']).next()?.rsplit_once('/')?.0;
            return target(&format!("{directory}/{location}")).ok();
        }
    };
    let default = if next.scheme_str() == Some("https") { 443 } else { 80 };
    let named = get.http_headers.iter().find(|header| header.name.eq_ignore_ascii_case("host"));
    let own =
        named.map(|header| header.value.clone()).or_else(|| get.host.clone()).unwrap_or_else(|| local.to_string());
    let own = own.parse::<http::uri::Authority>().map_or(own, |own| own.host().to_owned());
    let same = next.scheme_str() == Some(scheme)
        && next.port_u16().unwrap_or(default) == get.port
        && next.host().is_some_and(|host| host.eq_ignore_ascii_case(&own));
    same.then(|| next.path_and_query().map_or("/", |path| path.as_str()).to_owned())
}

async fn ask(get: &HttpGet, local: IpAddr, path: &str) -> Result<(u16, Option<String>), String> {
    let stream = tcp::connect(get.host.as_deref(), local, get.port).await?;
    match get.scheme {
        Scheme::Http => exchange(stream, get, local, path).await,
        Scheme::Https => {
            let host = get.host.clone().unwrap_or_else(|| local.to_string());
            exchange(tls::connect(stream, &host).await?, get, local, path).await
        }
    }
}

/// One request on a connection of its own. The answer's body is not read: its status says all.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    get: &HttpGet,
    local: IpAddr,
    path: &str,
) -> Result<(u16, Option<String>), String> {
    let broken = |error: hyper::Error| format!("no answer: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let mut request = Request::builder().uri(path).body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    let host = get.host.clone().unwrap_or_else(|| match local {
        IpAddr::V4(local) => local.to_string(),
        IpAddr::V6(local) => format!("[{local}]"),
    });
    headers.insert(HOST, HeaderValue::from_str(&format!("{host}:{}", get.port)).map_err(|error| error.to_string())?);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    for header in &get.http_headers {
        let (name, value) = pair(header)?;
        headers.insert(name, value);
    }
    let response = sender.send_request(request).await.map_err(broken)?;
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    Ok((response.status().as_u16(), location.map(str::to_owned)))
}

/// A request's target, from a path that may lack its slash.
fn target(path: &str) -> Result<String, String> {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let valid = path.parse::<Uri>().is_ok() && path.bytes().all(|b| b.is_ascii_graphic());
    if valid { Ok(path) } else { Err(format!("{path:?} is not a path: percent-encode what it may not hold")) }
}

fn pair(header: &Header) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("{:?}: {:?} is not a header", header.name, header.value);
    Ok((header.name.parse().map_err(|_| wrong())?, header.value.parse().map_err(|_| wrong())?))
}
