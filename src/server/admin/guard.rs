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

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts, uri::Authority};
use ring::hmac;
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::{problem::Problem, session::Sessions};
use crate::{config::plan::AdminPlan, model::Code};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Wrong tokens are told of so often.
const TELL_EVERY: Duration = Duration::from_secs(60);

pub struct Guard {
    /// What the token makes of a text as a key: what is sent has to make the same of it, and that is compared in constant time.
    token: Option<hmac::Tag>,
    sessions: Option<Sessions>,
    /// Under another name nobody asks for this machine; nothing: the address is not only this machine's, and there is a token.
    host: Option<IpAddr>,
    scheme: &'static str,
    refused: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Guard {
    pub fn new(plan: &AdminPlan) -> Self {
        let token = plan.token.as_ref().map(|token| hmac::sign(&key(token.expose_secret()), TEXT));
        let sessions = plan.token.as_ref().map(|token| Sessions::new(token.expose_secret(), plan.tls.is_some()));
        let ip = plan.address.ip();
        Self {
            token,
            sessions,
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

    /// Of requests that change something. Forms come from browsers, every one of which tells where a form stands: one of which that is not
    /// told is refused.
    pub fn check_site(&self, parts: &Parts, is_form: bool) -> Result<(), Problem> {
        let help = "send it from a program, or from the service's own page";
        let site = text(&parts.headers, &SEC_FETCH_SITE);
        if site.is_some_and(|site| site != "same-origin" && site != "none") {
            return Err(foreign("a page of another site sent it", help));
        }
        let Some(origin) = text(&parts.headers, &header::ORIGIN) else {
            let is_told = site.is_some() || !is_form;
            return if is_told { Ok(()) } else { Err(foreign("it does not say which page sent it", help)) };
        };
        let host = text(&parts.headers, &header::HOST).unwrap_or_default();
        match origin.split_once("://") {
            Some((scheme, authority)) if scheme == self.scheme && authority.eq_ignore_ascii_case(host) => Ok(()),
            _ => Err(foreign("a page of another site sent it", help)),
        }
    }

    /// The token; or, where that is enough, a session that the token began.
    pub fn check_entry(&self, parts: &Parts, by_session: bool, now: DateTime<Utc>) -> Result<(), Problem> {
        if by_session && self.sessions.as_ref().is_some_and(|sessions| sessions.knows(&parts.headers, now)) {
            return Ok(());
        }
        self.check_token(parts)
    }

    /// A cookie for somebody who typed the right token.
    pub fn sign_in(&self, token: &str, now: DateTime<Utc>) -> Option<HeaderValue> {
        let (tag, sessions) = self.token.as_ref().zip(self.sessions.as_ref())?;
        if hmac::verify(&key(token), TEXT, tag.as_ref()).is_err() {
            self.tell();
            return None;
        }
        sessions.begin(now)
    }

    /// Whether people have to sign in at all.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    fn check_token(&self, parts: &Parts) -> Result<(), Problem> {
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
