//! The network. The only file that knows reqwest: everything above sees [`Response`] or [`SendError`].
//!
//! Three things are not left to the library. Redirects are followed here, because it would follow them to other hosts
//! and turn a write into a read. Bodies are counted as they come out of decompression, so a small gzip cannot become a
//! large page. Names are resolved here, so that a name that points inside is not connected to.
//!
//! Nothing is built before the first request needs it: loading the system's certificates takes 3 ms, a client without
//! them 0.02 ms, and a plain URL never needs them.

use std::{
    error::Error as _,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use http::{Method, header};
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect, tls,
};
use rustls::{AlertDescription, CertificateError};
use tokio::time::timeout;
use url::Url;

pub use look::Look;

use super::{
    Request, Response, SendError, Transport,
    egress::{self, Address, address, is_localhost},
    identity::{Certificate, Loaded},
    redact,
};
use crate::{config::plan::Api, model::BoxFuture};

/// Redirects within one attempt.
const REDIRECTS_MAX: usize = 5;

/// Shorter than the idle timeouts of common servers and load balancers, so that we hang up first.
const IDLE: Duration = Duration::from_secs(20);

/// An HTTP/2 connection carries many calls, and one of them that runs out of time does not end it. So while calls are under
/// way it is asked whether anybody is there, and ends when no answer comes.
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(5);

/// Capacity taken on a server's word; more comes only with the bytes.
const PREALLOCATED_MAX: usize = 1 << 20;

/// Bodies up to here are copied out of the buffer of their connection.
const SMALL: usize = 8 << 10;

/// One connection's pool of sockets. Cheap until it is used.
pub struct HttpTransport {
    connect: Duration,
    ca: Option<PathBuf>,
    certificate: Option<Certificate>,
    guard: Guard,
    /// It is asked what a server showed; see [`look`].
    is_looking: bool,
    /// By [`Lane`]: what a URL needs decides how its client is built.
    lanes: [Mutex<Option<Built>>; 4],
}

/// A client, and the version of the client certificate that it shows; 0 for none.
struct Built {
    version: u64,
    client: Result<reqwest::Client, SendError>,
}

/// TLS needs certificates, and a loopback address must not go through a proxy. A plain URL behind a proxy that itself
/// speaks TLS is left out: the plain lane trusts no certificate.
#[derive(Clone, Copy)]
struct Lane {
    secure: bool,
    local: bool,
}

impl HttpTransport {
    pub fn new(api: &Api) -> Self {
        Self::resolving(api, Guard::system)
    }

    fn resolving(api: &Api, lookup: Lookup) -> Self {
        let mut names: Vec<String> = api.egress.hosts.iter().map(|host| host_name(host)).collect();
        names.extend(api.base_url.host_str().map(str::to_owned));
        names.extend(api.auth.places().into_iter().filter_map(|url| url.host_str().map(str::to_owned)));
        Self {
            connect: api.timeouts.connect,
            ca: api.ca.clone(),
            certificate: api.client_certificate.as_ref().map(|plan| Certificate::new(&api.name, plan)),
            guard: Guard { names: names.into(), private: api.egress.private, lookup },
            is_looking: false,
            lanes: Default::default(),
        }
    }

    /// A client for the URL. A new certificate gets new sockets and a new memory of TLS sessions; calls under way end on
    /// the old ones.
    async fn client(&self, url: &Url) -> Result<reqwest::Client, SendError> {
        let lane = Lane { secure: url.scheme() == "https", local: egress::is_loopback(url) };
        let certificate = match self.certificate.as_ref().filter(|_| lane.secure) {
            Some(certificate) => {
                Some(certificate.now().await.map_err(|it| SendError::ClientCertificate(it.to_string()))?)
            }
            None => None,
        };
        let version = certificate.as_ref().map_or(0, |certificate| certificate.version);
        let slot = &self.lanes[usize::from(lane.secure) * 2 + usize::from(lane.local)];
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(built) if built.version == version => built.client.clone(),
            _ => slot.insert(Built { version, client: self.build(lane, certificate.as_deref()) }).client.clone(),
        }
    }

    fn build(&self, lane: Lane, certificate: Option<&Loaded>) -> Result<reqwest::Client, SendError> {
        // Fails only where a provider is installed already, which is then the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("renkei/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(self.connect)
            .pool_idle_timeout(IDLE)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PONG)
            .dns_resolver(self.guard.clone())
            .tls_version_min(tls::Version::TLS_1_2)
            .tls_info(self.is_looking);
        if lane.local {
            builder = builder.no_proxy();
        }
        builder = match lane.secure {
            true => builder.tls_certs_merge(self.own_certificates()?),
            false => builder.tls_certs_only([]),
        };
        if let Some(certificate) = certificate {
            let identity = reqwest::Identity::from_pem(&certificate.pem);
            builder = builder.identity(identity.map_err(|error| SendError::ClientCertificate(chain(&error)))?);
        }
        builder.build().map_err(|error| SendError::Tls(chain(&error)))
    }

    fn own_certificates(&self) -> Result<Vec<reqwest::Certificate>, SendError> {
        let Some(path) = &self.ca else { return Ok(Vec::new()) };
        let bad = |why: String| SendError::Tls(format!("the ca file {} cannot be used: {why}", path.display()));
        let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| bad(chain(&error)))?;
        if certificates.is_empty() {
            return Err(bad("it holds no certificate".to_owned()));
        }
        Ok(certificates)
    }

    /// Follows redirects that stay where they are: same scheme, host and port. A write is only sent on where the status
    /// keeps its method, because a POST that came back as a GET would look accepted.
    async fn follow(&self, mut request: Request) -> Result<Response, SendError> {
        for _ in 0..=REDIRECTS_MAX {
            let response = self.once(&request).await?;
            let Some(to) = redirected(&request, &response) else {
                return match &request.spool {
                    Some(spool) => spooling::read(response, spool, request.body_bytes_max).await,
                    None => read_body(response, request.body_bytes_max).await,
                };
            };
            let keeps_method = matches!(response.status().as_u16(), 307 | 308);
            let reads = matches!(request.method, Method::GET | Method::HEAD);
            if !egress::same_origin(&request.url, &to) || !(keeps_method || reads) {
                return Err(SendError::Redirect { to: redact::url(&to, &request.secrets) });
            }
            request.url = to;
        }
        Err(SendError::Redirect { to: format!("more than {REDIRECTS_MAX} places in a row") })
    }

    async fn once(&self, request: &Request) -> Result<reqwest::Response, SendError> {
        let sending = self
            .client(&request.url)
            .await?
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .body(request.body.clone());
        let head = sending.send();
        match &request.spool {
            Some(spool) => timeout(spool.silence_max(), head).await.map_err(|_| SendError::Timeout)?,
            None => head.await,
        }
        .map_err(|error| unsent(&error))
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        Box::pin(self.follow(request))
    }
}

fn redirected(request: &Request, response: &reqwest::Response) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    request.url.join(response.headers().get(header::LOCATION)?.to_str().ok()?).ok()
}

/// Reads the body whole. Whether it came whole is known from Content-Length, from the last chunk, or from the end of
/// the compressed stream; a body that ends with the connection and has none of them cannot be checked.
async fn read_body(mut response: reqwest::Response, bytes_max: usize) -> Result<Response, SendError> {
    let status = response.status();
    let announced = response.content_length().unwrap_or(0);
    if announced > bytes_max as u64 {
        return Err(SendError::BodyTooLarge { status });
    }
    let headers = std::mem::take(response.headers_mut());
    let mut body = Body::default();
    while let Some(chunk) = response.chunk().await.map_err(|_| SendError::Truncated { status })? {
        if body.len() + chunk.len() > bytes_max {
            return Err(SendError::BodyTooLarge { status });
        }
        body.push(chunk, (announced as usize).min(PREALLOCATED_MAX));
    }
    Ok(Response { status, headers, body: body.whole() })
}

/// A body as it comes. One that came in one piece is not copied, except a small one: it would keep the whole buffer that it was
/// read into.
#[derive(Default)]
struct Body {
    first: Bytes,
    rest: BytesMut,
}

impl Body {
    fn len(&self) -> usize {
        self.first.len().max(self.rest.len())
    }

    fn push(&mut self, chunk: Bytes, capacity: usize) {
        if self.len() == 0 {
            self.first = chunk;
            return;
        }
        if self.rest.is_empty() {
            self.rest.reserve(capacity.max(self.first.len() + chunk.len()));
            self.rest.extend_from_slice(&self.first);
        }
        self.rest.extend_from_slice(&chunk);
    }

    fn whole(self) -> Bytes {
        match self.rest.is_empty() {
            true if self.first.len() <= SMALL => Bytes::copy_from_slice(&self.first),
            true => self.first,
            false => self.rest.freeze(),
        }
    }
}

/// Sorts an error that came before the answer's head, by the types in its chain.
fn unsent(error: &reqwest::Error) -> SendError {
    let mut cause = error.source();
    while let Some(at) = cause {
        if let Some(refused) = at.downcast_ref::<Inside>() {
            return SendError::Egress(refused.to_string());
        }
        match tls_error(at) {
            Some(rustls::Error::AlertReceived(alert)) if is_about_us(*alert) => {
                return SendError::ClientRefused(format!("{alert:?}"));
            }
            Some(tls) => return SendError::Tls(words(tls)),
            None => {}
        }
        cause = at.source();
    }
    match () {
        () if error.is_connect() && error.is_timeout() => SendError::Unreachable("connecting took too long".to_owned()),
        () if error.is_connect() => SendError::Unreachable(root(error)),
        () if error.is_timeout() => SendError::Timeout,
        () => SendError::Broken(root(error)),
    }
}

/// What is wrong, with the end of a certificate as people write it.
fn words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            let seconds = i64::try_from(not_after.as_secs()).unwrap_or(i64::MAX);
            let ended = DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
            format!("the server's certificate expired at {}", ended.format("%Y-%m-%d %H:%M:%S UTC"))
        }
        other => other.to_string(),
    }
}

/// Alerts by which a server says what is wrong with the client's certificate. It sends them before it reads a request,
/// even where, as in TLS 1.3, we have sent one by then.
fn is_about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}

/// An io::Error shows its inner error's source and not the inner error itself, so it has to be opened, and the TLS
/// library's comes wrapped in two of them.
fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    match error.downcast_ref::<io::Error>() {
        Some(io) => tls_error(io.get_ref()?),
        None => error.downcast_ref(),
    }
}

/// The innermost cause in words. The outer ones name the URL, which may carry a key.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if cause.is::<reqwest::Error>() { "the request could not be sent".to_owned() } else { cause.to_string() }
}

/// The causes of an error that knows no URL.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(at) = cause {
        text = if text.is_empty() { at.to_string() } else { format!("{text}: {at}") };
        cause = at.source();
    }
    text
}

/// Resolves names, and refuses those that point inside.
#[derive(Clone)]
struct Guard {
    /// The configured hosts. Another name that comes here is a proxy's, which may well stand inside.
    names: Arc<[String]>,
    private: bool,
    lookup: Lookup,
}

/// Asks for a name's addresses. Tests bring their own.
type Lookup = fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// A name whose addresses are not to be connected to.
#[derive(thiserror::Error, Debug)]
#[error("{name} resolves to an address that is {kind:?} and not public, and `egress.private` is not set")]
struct Inside {
    name: String,
    kind: Address,
}

impl Guard {
    fn system(name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        // The library fills the port in.
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    }

    /// The addresses that may be connected to; an error when there are some and none may.
    fn admit(&self, name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Inside> {
        let meant = self.private || is_localhost(name) || !self.names.iter().any(|known| known == name);
        let inside = found.iter().map(|at| address(at.ip())).find(|kind| *kind != Address::Public);
        match inside {
            // One inside address among public ones is an attempt at rebinding: the name as a whole is not trusted.
            Some(kind) if !meant => Err(Inside { name: name.to_owned(), kind }),
            _ => Ok(found),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = (guard.lookup)(name.as_str().to_owned()).await?;
            Ok(Box::new(guard.admit(name.as_str(), found)?.into_iter()) as Addrs)
        })
    }
}

/// The host of an `egress.hosts` entry, without its port.
fn host_name(host: &str) -> String {
    let parsed = Url::parse(&format!("https://{host}"));
    parsed.ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod dns_tests;
mod look;
mod spooling;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::plan::Auth, http::script};
    use http::HeaderMap;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// `inside.test` is this machine, `both.test` is this machine too and somewhere public.
    fn lookup(name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let inside = SocketAddr::from(([127, 0, 0, 1], 0));
        let found = match name.as_str() {
            "both.test" => vec![SocketAddr::from(([198, 51, 100, 1], 0)), inside],
            _ => vec![inside],
        };
        Box::pin(async { Ok(found) })
    }

    async fn send(host: &str, private: bool) -> Result<Response, SendError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{host}:{}/", listener.local_addr().unwrap().port())).unwrap();
        let mut api = script::api(Auth::None);
        api.base_url = url.clone();
        api.egress.private = private;
        let request = Request {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            body_bytes_max: 100,
            spool: None,
            secrets: Vec::new(),
            offset: chrono::TimeDelta::zero(),
            offset_learned: chrono::TimeDelta::zero(),
        };
        let transport = HttpTransport::resolving(&api, lookup);
        let answered = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.read_u8().await.unwrap();
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        });
        let sent = transport.send(request).await;
        answered.abort();
        sent
    }

    #[tokio::test]
    async fn a_name_that_points_inside_is_not_connected_to_unless_the_plan_says_so() {
        let SendError::Egress(why) = send("inside.test", false).await.unwrap_err() else { panic!() };
        assert!(why.contains("inside.test resolves to an address that is Loopback"), "{why}");
        assert_eq!(send("inside.test", true).await.unwrap().body, "ok");
    }

    #[tokio::test]
    async fn one_inside_address_among_public_ones_is_enough_to_refuse() {
        assert!(matches!(send("both.test", false).await, Err(SendError::Egress(_))));
    }

    #[tokio::test]
    async fn localhost_was_written_by_whoever_configured_it() {
        assert_eq!(send("localhost", false).await.unwrap().body, "ok");
    }

    #[test]
    fn a_body_in_one_piece_is_copied_only_where_it_is_small() {
        for (size, is_copied) in [(SMALL, true), (SMALL + 1, false)] {
            let piece = Bytes::from(vec![b'x'; size]);
            let mut body = Body::default();
            body.push(piece.clone(), size);
            let whole = body.whole();
            assert_eq!((whole.as_ptr() != piece.as_ptr(), &whole), (is_copied, &piece));
        }
        let mut body = Body::default();
        for piece in ["a", "", "bc", "d"] {
            body.push(Bytes::from_static(piece.as_bytes()), 4);
        }
        assert_eq!((body.len(), body.whole()), (4, Bytes::from_static(b"abcd")));
    }
}
