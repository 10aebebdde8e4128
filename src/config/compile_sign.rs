//! Session logins and request signatures: templates of the connector, secrets of the connection.

use std::time::Duration;

use http::{HeaderName, Method, header};
use secrecy::SecretString;

use super::{
    check::Check,
    compile_auth::{At, either},
    compile_body::{RawRequest, unknown_field},
    diagnostic::Problem,
    plan::{Auth, Encoding, Hash, Hmac, Lifetime, RequestPlan, Session, SessionToken, TimestampFormat},
    raw_sign::{
        RawEncoding, RawHash, RawHmac, RawLifetime, RawLogin, RawSecretEncoding, RawSession, RawSessionToken,
        RawTimestamp,
    },
    shape::{Named, Secret, Source, Spanned},
    source::Span,
};
use crate::{
    expr::{CompileError, Template},
    model::Code,
};

const LOGIN_ROOTS: [&str; 2] = ["config", "secrets"];
const SEND_ROOTS: [&str; 2] = ["config", "token"];
const SIGNED_ROOTS: [&str; 12] = [
    "method",
    "host",
    "path",
    "query",
    "sorted_query",
    "headers",
    "body",
    "body_hash",
    "timestamp",
    "nonce",
    "config",
    "secrets",
];

impl Check<'_> {
    pub fn session(&self, at: At, given: &RawSession, declared: &RawSession) -> Option<Auth> {
        let login = either(&given.login, &declared.login);
        if login.is_none() {
            self.missing_key(
                at.0,
                at.1,
                "login",
                "write the login request, such as `login: { post: /login, body: { .. } }`",
            );
        }
        let secrets = self.named_secrets(&given.secrets, &declared.secrets);
        let login = login.and_then(|login| self.login(&login.value, &secrets));
        let token = either(&given.token, &declared.token);
        if token.is_none() {
            let help =
                "say where the answer has the token: `token: { body: path }`, `{ header: name }` or `{ cookie: name }`";
            self.missing_key(at.0, at.1, "token", help);
        }
        let token = token.and_then(|token| self.session_token(&token.value));
        let lifetime = either(&given.lifetime, &declared.lifetime).map(|raw| self.lifetime(&raw.value));
        let send = match either(&given.send, &declared.send) {
            Some(send) => self.signing_headers(send, &SEND_ROOTS),
            None => self.send_back(at, token.as_ref()),
        };
        Some(Auth::Session(Box::new(Session {
            login: login?,
            token: token?,
            lifetime: lifetime.unwrap_or(Lifetime::Unknown),
            send,
            secrets,
        })))
    }

    /// A cookie goes back as it came.
    fn send_back(&self, at: At, token: Option<&SessionToken>) -> Vec<(HeaderName, Template)> {
        match token {
            Some(SessionToken::Cookie(name)) => {
                let back = Template::compile(&format!("{name}={{{{ token }}}}"));
                back.map(|template| vec![(header::COOKIE, template)]).unwrap_or_default()
            }
            _ => {
                let help = "name the headers that carry the token: `send: { X-Session: \"{{ token }}\" }`";
                self.missing_key(at.0, at.1, "send", help);
                Vec::new()
            }
        }
    }

    fn login(&self, raw: &RawLogin, secrets: &[(String, SecretString)]) -> Option<RequestPlan> {
        let body = match &raw.body {
            Some(body) => Some(self.body(body, &LOGIN_ROOTS)?),
            None => None,
        };
        let query = Named::default();
        let request =
            RawRequest { method: Method::POST, path: &raw.post, query: &query, headers: &raw.headers, timeout: None };
        let request = self.request(&request, body, &LOGIN_ROOTS)?;
        let names: Vec<&str> = secrets.iter().map(|(name, _)| name.as_str()).collect();
        self.secrets_are_given(raw.post.span, unknown_field(&request, "secrets", &names, "secret"));
        Some(request)
    }

    fn session_token(&self, raw: &RawSessionToken) -> Option<SessionToken> {
        Some(match raw {
            RawSessionToken::Body(path) => SessionToken::Body(self.path(path)),
            RawSessionToken::Header(name) => SessionToken::Header(self.header(name)?),
            RawSessionToken::Cookie(name) => {
                let proper = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
                if name.value.is_empty() || !name.value.chars().all(proper) {
                    let problem = Problem::new(Code::BadPath, name.span, "this cannot be a cookie's name");
                    self.report(problem.help("write the name alone, such as `session_id`"));
                    return None;
                }
                SessionToken::Cookie(name.value.clone())
            }
        })
    }

    fn lifetime(&self, raw: &RawLifetime) -> Lifetime {
        let second = Duration::from_secs(1);
        match raw {
            RawLifetime::Fixed(time) => {
                Lifetime::Fixed(self.time(Some(time), 60 * second, second..=366 * 86_400 * second))
            }
            RawLifetime::Seconds(path) => Lifetime::Seconds(self.path(path)),
            RawLifetime::Until(path) => Lifetime::Until(self.path(path)),
        }
    }

    pub fn hmac(&self, at: At, given: &RawHmac, declared: &RawHmac) -> Option<Auth> {
        let secret = self.secret(at, "secret", &given.secret, &declared.secret);
        let string = either(&given.string, &declared.string);
        if string.is_none() {
            let help = "write what is signed, such as `string: \"{{ method }}\\n{{ path }}\\n{{ timestamp }}\"`";
            self.missing_key(at.0, at.1, "string", help);
        }
        let headers = either(&given.headers, &declared.headers);
        if headers.is_none_or(Named::is_empty) {
            let help = "name the headers that carry the signature: `headers: { X-Signature: \"{{ signature }}\" }`";
            self.missing_key(at.0, at.1, "headers", help);
        }
        let template = string.and_then(|string| self.template(string, &SIGNED_ROOTS));
        let with_signature = [&SIGNED_ROOTS[..], &["signature"]].concat();
        let headers = headers.map(|headers| self.signing_headers(headers, &with_signature)).unwrap_or_default();
        let secrets = self.named_secrets(&given.secrets, &declared.secrets);
        let names: Vec<&str> = secrets.iter().map(|(name, _)| name.as_str()).collect();
        let mut templates = headers.iter().map(|(_, template)| template).chain(&template);
        let all_given = templates.try_for_each(|template| template.check_fields("secrets", &names, "secret"));
        self.secrets_are_given(at.0, all_given);
        let body_hash = given.body_hash.or(declared.body_hash).unwrap_or_default();
        Some(Auth::Hmac(Box::new(Hmac {
            hash: hash(given.algorithm.or(declared.algorithm)),
            secret: secret?.0.clone(),
            secret_encoding: match given.secret_encoding.or(declared.secret_encoding) {
                None | Some(RawSecretEncoding::Text) => None,
                Some(RawSecretEncoding::Hex) => Some(Encoding::Hex),
                Some(RawSecretEncoding::Base64) => Some(Encoding::Base64),
            },
            string: template?,
            body_hash: hash(body_hash.algorithm),
            body_encoding: encoding(body_hash.encoding),
            timestamp: match given.timestamp.or(declared.timestamp) {
                None | Some(RawTimestamp::EpochSeconds) => TimestampFormat::EpochSeconds,
                Some(RawTimestamp::EpochMillis) => TimestampFormat::EpochMillis,
                Some(RawTimestamp::Rfc3339) => TimestampFormat::Rfc3339,
                Some(RawTimestamp::HttpDate) => TimestampFormat::HttpDate,
            },
            encoding: encoding(given.encoding.or(declared.encoding)),
            headers,
            secrets,
        })))
    }

    /// Headers of signers, which may be `Authorization`.
    fn signing_headers(&self, headers: &Named<Spanned<Source>>, roots: &[&str]) -> Vec<(HeaderName, Template)> {
        let one = |(name, value): &(Spanned<String>, Spanned<Source>)| {
            let (header, template) = (self.header(name), self.template(value, roots));
            let reserved = header.as_ref().is_some_and(|header| {
                matches!(header.as_str(), "host" | "content-length" | "transfer-encoding" | "connection" | "te")
            });
            if reserved {
                self.conflict(name.span, format!("the header `{}` is set by renkei itself", name.value), "remove it");
            }
            header.zip(template)
        };
        headers.iter().filter_map(one).collect()
    }

    fn named_secrets(
        &self,
        given: &Option<Named<Spanned<Secret>>>,
        declared: &Option<Named<Spanned<Secret>>>,
    ) -> Vec<(String, SecretString)> {
        let own = given.iter().flat_map(Named::iter);
        let vendors = declared.iter().flat_map(Named::iter);
        let mut all: Vec<(String, SecretString)> = Vec::new();
        for (name, secret) in own.chain(vendors) {
            if !all.iter().any(|(known, _)| *known == name.value) {
                all.push((name.value.clone(), secret.value.0.clone()));
            }
        }
        all
    }

    /// Every `secrets.<name>` of the templates must be there.
    fn secrets_are_given(&self, at: Span, checked: Result<(), CompileError>) {
        if let Err(error) = checked {
            let help = "give it in the connection's `auth`, under `secrets`, as a reference such as `${NAME}`";
            self.report(Problem::new(Code::MissingKey, at, error.message).help(help));
        }
    }
}

pub fn hash(raw: Option<RawHash>) -> Hash {
    match raw {
        Some(RawHash::Sha1) => Hash::Sha1,
        None | Some(RawHash::Sha256) => Hash::Sha256,
        Some(RawHash::Sha512) => Hash::Sha512,
    }
}

pub fn encoding(raw: Option<RawEncoding>) -> Encoding {
    match raw {
        None | Some(RawEncoding::Hex) => Encoding::Hex,
        Some(RawEncoding::Base64) => Encoding::Base64,
        Some(RawEncoding::Base64url) => Encoding::Base64Url,
    }
}
