//! An HTTP request: 200 to 399 is success. Redirects are followed on the same host; one to elsewhere is success with a warning.

use super::{Header, HttpGet, Scheme, judge::Outcome, tcp, tls};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    HeaderMap, Request, Uri,
    client::conn::http1,
    header::{ACCEPT, HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

/// As many as Kubernetes follows.
const REDIRECTS: usize = 10;
const AGENT: &str = concat!("tombolo-probe/", env!("CARGO_PKG_VERSION"));

/// Whether a request can be made of it.
pub(super) fn check(target: &str, headers: &[Header]) -> Result<(), String> {
    path(target)?;
    headers.iter().try_for_each(|header| pair(header).map(drop))
}

/// Where a request goes, on the host that is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    scheme: Scheme,
    port: u16,
    path: String,
}

pub(crate) async fn probe(get: &HttpGet, local: IpAddr) -> Outcome {
    let host = get.host.clone().filter(|host| !host.is_empty()).unwrap_or_else(|| local.to_string());
    let mut target = Target { scheme: get.scheme, port: get.port, path: path(&get.path)? };
    for _ in 0..=REDIRECTS {
        let (status, location) = ask(get, &host, &target).await?;
        if !(200..400).contains(&status) {
            return Err(format!("HTTP status {status}"));
        }
        let Some(location) = location.filter(|_| (300..400).contains(&status)) else { return Ok(()) };
        match redirect(&target, &host, &location) {
            Some(next) => target = next,
            None => {
                tracing::warn!(location, "the probe is redirected to another host: that counts as success");
                return Ok(());
            }
        }
    }
    Err(format!("more than {REDIRECTS} redirects"))
}

/// Where a redirect leads to on the same host; `None` where it leads elsewhere, or nowhere that can be understood.
fn redirect(from: &Target, host: &str, location: &str) -> Option<Target> {
    // The forms of RFC 3986, section 4.2: with a scheme, with a host, with a whole path, and with one that takes the place of what
    // comes after the last slash.
    let has_scheme = location.split(['/', '?', '#']).next().is_some_and(|first| first.ends_with(':'));
    let next: Uri = match location {
        _ if has_scheme => location.parse().ok()?,
        _ if location.starts_with("//") => {
            let scheme = if from.scheme == Scheme::Https { "https" } else { "http" };
            format!("{scheme}:{location}").parse().ok()?
        }
        _ if location.starts_with('/') => return Some(Target { path: path(location).ok()?, ..from.clone() }),
        _ => {
            let directory = from.path.split(['?', '#']).next()?.rsplit_once('/')?.0;
            return Some(Target { path: path(&format!("{directory}/{location}")).ok()?, ..from.clone() });
        }
    };
    let (scheme, port) = match next.scheme_str()? {
        "http" => (Scheme::Http, 80),
        "https" => (Scheme::Https, 443),
        _ => return None,
    };
    let there = next.host()?.trim_start_matches('[').trim_end_matches(']');
    let path = next.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    there.eq_ignore_ascii_case(host).then(|| Target { scheme, port: next.port_u16().unwrap_or(port), path })
}

async fn ask(get: &HttpGet, host: &str, target: &Target) -> Result<(u16, Option<String>), String> {
    let stream = tcp::connect(host, target.port).await?;
    match target.scheme {
        Scheme::Http => exchange(stream, get, host, target).await,
        Scheme::Https => exchange(tls::connect(stream, host).await?, get, host, target).await,
    }
}

/// One request on a connection of its own. The answer's body is not read: its status says all.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    get: &HttpGet,
    host: &str,
    target: &Target,
) -> Result<(u16, Option<String>), String> {
    let broken = |error: hyper::Error| format!("no answer: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::builder().uri(&target.path).body(Empty::<Bytes>::new());
    let mut request = request.map_err(|error| error.to_string())?;
    *request.headers_mut() = headers(get, host, target.port)?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    Ok((response.status().as_u16(), location.map(str::to_owned)))
}

/// The probe's headers, and those that it leaves to us.
fn headers(get: &HttpGet, host: &str, port: u16) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for header in &get.http_headers {
        let (name, value) = pair(header)?;
        headers.append(name, value);
    }
    let host = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let host = HeaderValue::from_str(&host).map_err(|error| error.to_string())?;
    for (name, value) in
        [(HOST, host), (USER_AGENT, HeaderValue::from_static(AGENT)), (ACCEPT, HeaderValue::from_static("*/*"))]
    {
        headers.entry(name).or_insert(value);
    }
    Ok(headers)
}

/// A request's path and query, from what may lack its slash.
fn path(text: &str) -> Result<String, String> {
    let path = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
    let valid = path.parse::<Uri>().is_ok() && path.bytes().all(|b| b.is_ascii_graphic());
    if valid { Ok(path) } else { Err(format!("{path:?} is not a path: percent-encode what it may not hold")) }
}

fn pair(header: &Header) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("{:?}: {:?} is not a header", header.name, header.value);
    Ok((header.name.parse().map_err(|_| wrong())?, header.value.parse().map_err(|_| wrong())?))
}
