//! `from: { ingress: .. }` and where it listens: names, bounds, secrets, and whether anybody at all could push.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::{
    check::Check,
    compile_sign::{encoding, hash},
    diagnostic::Problem,
    files,
    fill::HOLE,
    plan::{RequestPlan, Stream},
    plan_ingress::{
        Callers, Idempotency, Ingress, ListenPlan, Mode, Rate, Signed, SignedPart, StandardWebhooks, TimestampAt,
    },
    raw_ingress::{RawCallers, RawIngress, RawListen, RawMode, RawRate, RawSigned, RawTimestampAt},
    raw_sign::RawSecretEncoding,
    shape::{OneOrMany, Secret, Spanned},
    units::Time,
};
use crate::{contract::RecordSchema, expr::Template, model::Code};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8686);
/// Bytes of a secret below which it can be guessed.
const SECRET_BYTES_MIN: usize = 8;

impl Check<'_> {
    pub fn listen(&self, raw: Option<&RawListen>) -> ListenPlan {
        let default = RawListen::default();
        let raw = raw.unwrap_or(&default);
        let tenth = SECOND / 10;
        ListenPlan {
            address: raw.address.as_ref().and_then(|address| self.address(address)).unwrap_or(ADDRESS),
            connections_max: self.number(raw.connections_max.as_ref(), 512, 1..=65_536) as usize,
            header_time_max: self.time(raw.header_time.as_ref(), 10 * SECOND, tenth..=300 * SECOND),
        }
    }

    pub fn address(&self, raw: &Spanned<String>) -> Option<SocketAddr> {
        let address = raw.value.parse().ok();
        if address.is_none() && !raw.value.contains(HOLE) {
            let problem = Problem::new(Code::ListenAddress, raw.span, "this is no address and port");
            self.report(problem.help("write both, such as `127.0.0.1:8686`, `0.0.0.0:8686` or `[::1]:8686`"));
        }
        address
    }

    /// The stream that records are pushed to, where it is not one that is read as well.
    pub fn pushed_stream(&self, raw: &Spanned<RawIngress>) -> Option<Arc<Stream>> {
        let RawIngress { key, version, .. } = &raw.value;
        if key.as_ref().is_none_or(|key| key.0.is_empty()) {
            self.missing_key(raw.span, raw.span, "key", "name the field that names a record: `key: id`");
        }
        let root = Template::compile("/").ok()?;
        let request = RequestPlan::new(http::Method::POST, "/in", root);
        Some(Arc::new(Stream {
            key: key.as_ref()?.0.iter().map(|key| self.path(key)).collect(),
            version: self.maybe_path(version.as_ref()),
            ..Stream::new("in", request)
        }))
    }

    /// A stream that is read has a key and a version of its own.
    pub fn nothing_of_its_own(&self, raw: &RawIngress) {
        let key = raw.key.iter().flat_map(|key| &key.0).map(|key| ("key", key.span)).next();
        let version = raw.version.as_ref().map(|version| ("version", version.span));
        for (name, span) in [key, version].into_iter().flatten() {
            let message = format!("the stream that is read has its own `{name}`");
            self.conflict(span, message, format!("remove `{name}`: pushed records are records of that stream"));
        }
    }

    pub fn ingress(&self, raw: &Spanned<RawIngress>) -> Option<Ingress> {
        let span = raw.span;
        let raw = &raw.value;
        let schema = raw.schema.as_ref().map(|schema| self.record_schema(schema));
        let callers = match &raw.auth {
            Some(auth) => self.callers(&auth.value),
            None => {
                if !self.listens_at.borrow().is_none_or(|address| address.ip().is_loopback()) {
                    let message = "anybody in the network could push records";
                    let help =
                        "write `auth:`, such as `auth: { bearer: { token: ${PUSH_TOKEN} } }`, or listen on 127.0.0.1";
                    self.report(Problem::new(Code::OpenToAnybody, span, message).help(help));
                }
                Some(Callers::Anybody)
            }
        };
        let (tenth, minute) = (SECOND / 10, 60 * SECOND);
        let idempotency = &raw.idempotency;
        Some(Ingress {
            schema: match schema {
                Some(schema) => Some(Arc::new(schema?)),
                None => None,
            },
            callers: callers?,
            mode: match raw.mode.as_ref().map(|mode| mode.value) {
                Some(RawMode::Sync) => Mode::Sync,
                Some(RawMode::Async) | None => Mode::Async,
            },
            deadline: self.time(raw.deadline.as_ref(), 3 * SECOND, tenth..=4 * SECOND),
            rate: raw.rate.as_ref().map(|rate| self.rate(&rate.value)),
            body_bytes_max: self.size(raw.body_max.as_ref(), 1 << 20, 1 << 10..=32 << 20) as usize,
            body_time_max: self.time(raw.body_time.as_ref(), 10 * SECOND, tenth..=2 * minute),
            records_max: self.number(raw.records_max.as_ref(), 100, 1..=10_000) as usize,
            depth_max: self.number(raw.depth_max.as_ref(), 32, 1..=100) as usize,
            waiting_max: self.number(raw.waiting_max.as_ref(), 10_000, 1..=1_000_000) as usize,
            keep: self.time(raw.keep.as_ref(), DAY, minute..=90 * DAY),
            idempotency: Idempotency {
                keep: self.time(idempotency.keep.as_ref(), DAY, minute..=30 * DAY),
                max: self.number(idempotency.max.as_ref(), 100_000, 1..=1_000_000) as usize,
                required: idempotency.required.unwrap_or(false),
            },
        })
    }

    fn record_schema(&self, raw: &Spanned<String>) -> Option<RecordSchema> {
        let path = self.place(raw);
        self.schemas.borrow_mut().push(path.clone());
        let parsed = match files::text(&path) {
            Ok(text) => RecordSchema::parse(&text).map_err(|why| (format!("the schema cannot be used: {why}"), "")),
            Err((_, message, help)) => Err((message, help)),
        };
        match parsed {
            Ok(schema) => Some(schema),
            Err((message, help)) => {
                let help = if help.is_empty() { "mend the file; it is a JSON Schema of draft 2020-12" } else { help };
                self.report(Problem::new(Code::SchemaFile, raw.span, message).help(help));
                None
            }
        }
    }

    fn rate(&self, raw: &RawRate) -> Rate {
        Rate {
            requests: self.number(Some(&raw.requests), 1, 1..=1_000_000) as u32,
            per: self.time(raw.per.as_ref(), SECOND, SECOND / 10..=3_600 * SECOND),
        }
    }

    fn callers(&self, raw: &RawCallers) -> Option<Callers> {
        Some(match raw {
            RawCallers::Bearer(bearer) => Callers::Bearer(self.texts("token", &bearer.token)?),
            RawCallers::ApiKey(key) => {
                let values = self.texts("value", &key.value);
                let header = match &key.header {
                    Some(header) => self.header(header)?,
                    None => http::HeaderName::from_static("x-api-key"),
                };
                Callers::ApiKey { header, values: values? }
            }
            RawCallers::StandardWebhooks(raw) => {
                let bare = |text: &str| STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok();
                let secrets = self.secrets(&raw.secret, bare, "base64, with or without `whsec_` before it");
                let tolerance = self.tolerance(raw.tolerance.as_ref());
                Callers::StandardWebhooks(StandardWebhooks { secrets: secrets?, tolerance })
            }
            RawCallers::Hmac(raw) => Callers::Signed(Box::new(self.signed(raw)?)),
        })
    }

    fn tolerance(&self, raw: Option<&Spanned<Time>>) -> Duration {
        self.time(raw, 300 * SECOND, SECOND..=3_600 * SECOND)
    }

    fn signed(&self, raw: &RawSigned) -> Option<Signed> {
        let read = |text: &str| match raw.secret_encoding {
            None | Some(RawSecretEncoding::Text) => Some(text.as_bytes().to_vec()),
            Some(RawSecretEncoding::Base64) => STANDARD.decode(text.trim()).ok(),
            Some(RawSecretEncoding::Hex) => crate::model::from_hex(text.trim()),
        };
        let secrets = self.secrets(&raw.secret, read, "as `secret_encoding` says");
        let signed = raw.signed.as_ref().map_or(Some(vec![SignedPart::Body]), |signed| self.signed_parts(signed));
        let timestamp = match raw.timestamp.as_ref().map(|timestamp| &timestamp.value) {
            Some(RawTimestampAt::Header(header)) => Some(TimestampAt::Header(self.header(header)?)),
            Some(RawTimestampAt::Element(element)) => Some(TimestampAt::Element(element.value.clone())),
            None => None,
        };
        let header = self.header(&raw.header);
        let signed = signed?;
        match (signed.contains(&SignedPart::Timestamp), &raw.timestamp) {
            (true, None) => {
                let help = "say where the time stands: `timestamp: { header: X-Timestamp }` or `{ element: t }`";
                self.missing_key(raw.header.span, raw.header.span, "timestamp", help);
            }
            (false, Some(timestamp)) => {
                let message = "a time that is not signed proves nothing";
                self.conflict(timestamp.span, message, "name it in `signed`, such as `{timestamp}.{body}`");
            }
            _ => {}
        }
        Some(Signed {
            header: header?,
            secrets: secrets?,
            hash: hash(raw.algorithm),
            encoding: encoding(raw.encoding),
            prefix: raw.prefix.clone().unwrap_or_default(),
            element: raw.element.clone(),
            signed,
            timestamp,
            tolerance: self.tolerance(raw.tolerance.as_ref()),
        })
    }

    fn signed_parts(&self, raw: &Spanned<String>) -> Option<Vec<SignedPart>> {
        let mut parts = Vec::new();
        let mut rest = raw.value.as_str();
        while let Some((text, hole)) = rest.split_once('{') {
            let (name, after) = hole.split_once('}').unwrap_or((hole, ""));
            if !text.is_empty() {
                parts.push(SignedPart::Text(text.to_owned()));
            }
            parts.push(match name {
                "timestamp" => SignedPart::Timestamp,
                "body" => SignedPart::Body,
                _ => {
                    let message = format!("`{{{name}}}` is nothing that can be signed");
                    let problem = Problem::new(Code::SignedText, raw.span, message);
                    self.report(problem.help("write `{timestamp}`, `{body}` and text between them"));
                    return None;
                }
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(SignedPart::Text(rest.to_owned()));
        }
        if !parts.contains(&SignedPart::Body) {
            let problem = Problem::new(Code::SignedText, raw.span, "the body is not signed");
            self.report(
                problem.help("name `{body}`, or anybody could send another body under a signature that was seen"),
            );
            return None;
        }
        Some(parts)
    }

    fn texts(&self, key: &str, raw: &Spanned<OneOrMany<Secret>>) -> Option<Vec<SecretString>> {
        let good = raw.value.0.iter().filter(|secret| {
            let text = secret.value.0.expose_secret();
            self.is_long_enough(secret, text.len()) || text.contains(HOLE)
        });
        let texts: Vec<SecretString> = good.map(|secret| secret.value.0.clone()).collect();
        if raw.value.0.is_empty() {
            self.missing_key(raw.span, raw.span, key, format!("write `{key}: ${{NAME}}` and set the variable NAME"));
        }
        (!texts.is_empty()).then_some(texts)
    }

    fn is_long_enough(&self, secret: &Spanned<Secret>, bytes: usize) -> bool {
        let text = secret.value.0.expose_secret();
        if bytes < SECRET_BYTES_MIN && !text.contains(HOLE) {
            let message = format!("a secret of {bytes} bytes can be guessed");
            let help = format!("use a random one of 32 bytes; at least {SECRET_BYTES_MIN} are needed");
            self.report(Problem::new(Code::OutOfRange, secret.span, message).help(help));
            return false;
        }
        true
    }

    fn secrets(
        &self,
        raw: &Spanned<OneOrMany<Secret>>,
        read: impl Fn(&str) -> Option<Vec<u8>>,
        like: &str,
    ) -> Option<Vec<SecretSlice<u8>>> {
        let mut all = Vec::new();
        for secret in &raw.value.0 {
            let text = secret.value.0.expose_secret();
            match read(text) {
                Some(bytes) if self.is_long_enough(secret, bytes.len()) => all.push(bytes.into()),
                Some(_) => {}
                None if text.contains(HOLE) => all.push(Vec::new().into()),
                None => {
                    let problem =
                        Problem::new(Code::SecretForm, secret.span, format!("the secret is not written {like}"));
                    self.report(problem.help("copy it again from where the sender shows it"));
                }
            }
        }
        if raw.value.0.is_empty() {
            self.missing_key(raw.span, raw.span, "secret", "write `secret: ${NAME}` and set the variable NAME");
        }
        (!all.is_empty()).then_some(all)
    }
}
