//! Who may come in. Three doors, each of its own: the host that was asked for, the site that asks, and the token.
//!
//! A page that somebody visits can make that person's browser speak to 127.0.0.1. It cannot read the answer, since nothing here sends CORS
//! headers, so what it could do is send: a form, or a request under a name that it lets point to 127.0.0.1 and thereby makes its own
//! (DNS rebinding). `Sec-Fetch-Site` and `Origin` tell the first, `Host` the second. A token on top of that is what programs prove themselves by.

use std::{
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts, uri::Authority};
use ring::hmac;
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::problem::Problem;
use crate::{config::plan::AdminPlan, model::Code};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Wrong tokens are told of so often.
const TELL_EVERY: Duration = Duration::from_secs(60);

pub struct Guard {
    /// What the token makes of a text as a key: what is sent has to make the same of it, and that is compared in constant time.
    token: Option<hmac::Tag>,
    /// Under another name nobody asks for this machine; nothing: the address is not only this machine's, and there is a token.
    host: Option<IpAddr>,
    scheme: &'static str,
    refused: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Guard {
    pub fn new(plan: &AdminPlan) -> Self {
        let token = plan.token.as_ref().map(|token| hmac::sign(&key(token.expose_secret()), TEXT));
        let ip = plan.address.ip();
        Self {
            token,
            host: Some(ip).filter(IpAddr::is_loopback),
            scheme: if plan.tls.is_some() { "https" } else { "http" },
            refused: AtomicU64::new(0),
            told: Mutex::default(),
        }
    }

    pub fn check_host(&self, parts: &Parts) -> Result<(), Problem> {
        let Some(ip) = self.host else { return Ok(()) };
        let hosts: Vec<&HeaderValue> = parts.headers.get_all(header::HOST).iter().collect();
        let named = match hosts.as_slice() {
            [host] => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
            _ => None,
        };
        let is_ours = |authority: &Authority| {
            let host = authority.host().trim_start_matches('[').trim_end_matches(']');
            let is_own = host.parse::<IpAddr>().is_ok_and(|named| named == ip || named.is_loopback());
            !authority.as_str().contains('@') && (is_own || host.eq_ignore_ascii_case("localhost"))
        };
        // A whole URL in the request's line counts more than the header.
        let asked_for = parts.uri.authority().is_none_or(is_ours);
        if asked_for && named.as_ref().is_some_and(is_ours) {
            return Ok(());
        }
        Err(foreign("this service does not go by that name", "ask for 127.0.0.1 or localhost"))
    }

    /// Of requests that change something.
    pub fn check_site(&self, parts: &Parts) -> Result<(), Problem> {
        let help = "send it from a program, or from the service's own page";
        let site = text(&parts.headers, &SEC_FETCH_SITE);
        if site.is_some_and(|site| site != "same-origin" && site != "none") {
            return Err(foreign("a page of another site sent it", help));
        }
        let Some(origin) = text(&parts.headers, &header::ORIGIN) else { return Ok(()) };
        let host = text(&parts.headers, &header::HOST).unwrap_or_default();
        match origin.split_once("://") {
            Some((scheme, authority)) if scheme == self.scheme && authority.eq_ignore_ascii_case(host) => Ok(()),
            _ => Err(foreign("a page of another site sent it", help)),
        }
    }

    pub fn check_token(&self, parts: &Parts) -> Result<(), Problem> {
        let Some(tag) = &self.token else { return Ok(()) };
        let sent = text(&parts.headers, &header::AUTHORIZATION).and_then(|sent| {
            let (scheme, token) = sent.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        if sent.is_some_and(|sent| hmac::verify(&key(sent), TEXT, tag.as_ref()).is_ok()) {
            return Ok(());
        }
        self.tell();
        let detail = if sent.is_some() { "the token is another one" } else { "there is no token" };
        let help = "send `Authorization: Bearer` with serve.admin.token of renkei.yaml";
        Err(Problem::new(StatusCode::UNAUTHORIZED, Code::AdminUnauthorized, detail, help)
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"renkei\"")))
    }

    /// Says that somebody knocks, now and then, however often they do.
    fn tell(&self) {
        let refused = self.refused.fetch_add(1, Relaxed) + 1;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            tracing::warn!(code = %Code::AdminUnauthorized, refused, "requests to the admin API had no right token");
        }
    }
}

const TEXT: &[u8] = b"renkei admin";

fn key(token: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes())
}

/// A header that stands there once; two of a kind are read differently by everybody, so they are none.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(one), None) => Some(one.to_str().unwrap_or("\u{0}")),
        (Some(_), Some(_)) => Some("\u{0}"),
        (None, _) => None,
    }
}

fn foreign(detail: &str, help: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, Code::AdminForeign, detail, format!("nothing was changed; {help}"))
}
