//! Credentials: the connector declares the kind and what is the same for everybody, the connection adds the account's
//! own. What both say, the connection decides.

use std::time::Duration;

use url::Url;

use super::{
    check::Check,
    diagnostic::Problem,
    fill::HOLE,
    plan::{Auth, CertificateFiles, ClientCertificate},
    raw_auth::{RawApiKey, RawAuth, RawBasic, RawBearer, RawClientCertificate, RawOauth2},
    raw_sign::{RawHmac, RawSession},
    shape::{Secret, Spanned},
    source::Span,
};
use crate::model::Code;

/// What an account's credentials are made of.
pub struct Given<'a> {
    pub connector: Option<&'a Spanned<RawAuth>>,
    pub connection: Option<&'a Spanned<RawAuth>>,
    /// The connection's name.
    pub name: Span,
    /// The connection.
    pub owner: Span,
    pub base_url: Option<&'a Url>,
    /// The connection shows a client certificate.
    pub has_certificate: bool,
}

/// Where something is missing, and in what.
#[derive(Clone, Copy)]
pub struct At(pub Span, pub Span);

/// The connection's own setting, else the connector's.
pub fn either<'a, T>(given: &'a Option<T>, declared: &'a Option<T>) -> Option<&'a T> {
    given.as_ref().or(declared.as_ref())
}

impl Check<'_> {
    /// Nothing when something is missing or wrong, which is reported.
    pub fn auth(&self, all: &Given<'_>) -> Option<Auth> {
        let Given { connector, connection, .. } = *all;
        let at = At(connection.map_or(all.name, |auth| auth.span), all.owner);
        let Some(first) = connection.or(connector) else { return Some(Auth::None) };
        if let (Some(declared), Some(given)) = (connector, connection)
            && kind(&declared.value) != kind(&given.value)
        {
            let message = format!("the credentials are of the kind `{}`", kind(&given.value));
            let help = format!("the connector wants `{}`", kind(&declared.value));
            let problem = Problem::new(Code::Conflict, given.span, message).help(help);
            self.report(problem.related(declared.span, "it is declared here"));
            return None;
        }
        let declared = connector.map(|auth| &auth.value);
        match (&first.value, declared) {
            (RawAuth::Bearer(given), Some(RawAuth::Bearer(declared))) => self.bearer(at, given, declared),
            (RawAuth::Bearer(given), _) => self.bearer(at, given, &RawBearer::default()),
            (RawAuth::Basic(given), Some(RawAuth::Basic(declared))) => self.basic(at, given, declared),
            (RawAuth::Basic(given), _) => self.basic(at, given, &RawBasic::default()),
            (RawAuth::ApiKey(given), Some(RawAuth::ApiKey(declared))) => self.api_key(at, given, declared),
            (RawAuth::ApiKey(given), _) => self.api_key(at, given, &RawApiKey::default()),
            (RawAuth::Oauth2(given), Some(RawAuth::Oauth2(declared))) => self.oauth2(all, at, given, declared),
            (RawAuth::Oauth2(given), _) => self.oauth2(all, at, given, &RawOauth2::default()),
            (RawAuth::Session(given), Some(RawAuth::Session(declared))) => self.session(at, given, declared),
            (RawAuth::Session(given), _) => self.session(at, given, &RawSession::default()),
            (RawAuth::Hmac(given), Some(RawAuth::Hmac(declared))) => self.hmac(at, given, declared),
            (RawAuth::Hmac(given), _) => self.hmac(at, given, &RawHmac::default()),
        }
    }

    pub fn secret<'s>(
        &self,
        at: At,
        key: &str,
        given: &'s Option<Spanned<Secret>>,
        declared: &'s Option<Spanned<Secret>>,
    ) -> Option<&'s Secret> {
        let secret = given.as_ref().or(declared.as_ref());
        if secret.is_none() {
            self.missing_key(
                at.0,
                at.1,
                key,
                format!("write `{key}: ${{NAME}}` in the connection's `auth` and set the variable NAME"),
            );
        }
        let secret = secret?;
        if secrecy::ExposeSecret::expose_secret(&secret.value.0).is_empty() {
            let message = format!("the secret `{key}` is empty");
            let problem = Problem::new(Code::MissingVariable, secret.span, message);
            self.report(problem.help("set the variable or file it refers to"));
        }
        Some(&secret.value)
    }

    fn bearer(&self, at: At, given: &RawBearer, declared: &RawBearer) -> Option<Auth> {
        Some(Auth::Bearer { token: self.secret(at, "token", &given.token, &declared.token)?.0.clone() })
    }

    fn basic(&self, at: At, given: &RawBasic, declared: &RawBasic) -> Option<Auth> {
        let user = given.user.as_ref().or(declared.user.as_ref());
        if user.is_none() {
            self.missing_key(at.0, at.1, "user", "write `user:` in the connection's `auth`");
        }
        let password = self.secret(at, "password", &given.password, &declared.password);
        Some(Auth::Basic { user: user?.value.clone(), password: password?.0.clone() })
    }

    fn api_key(&self, at: At, given: &RawApiKey, declared: &RawApiKey) -> Option<Auth> {
        let value = self.secret(at, "value", &given.value, &declared.value).map(|value| value.0.clone());
        let own = given.header.is_some() || given.query.is_some();
        let place = if own { given } else { declared };
        match (&place.header, &place.query) {
            (Some(header), None) => {
                let header = self.header(header);
                Some(Auth::ApiKeyHeader { header: header?, value: value? })
            }
            (None, Some(query)) => Some(Auth::ApiKeyQuery { parameter: query.value.clone(), value: value? }),
            (Some(_), Some(query)) => {
                self.conflict(query.span, "the key travels in two places", "keep either `header` or `query`");
                None
            }
            (None, None) => {
                self.missing_key(
                    at.0,
                    at.1,
                    "header",
                    "write `header: X-Api-Key` or `query: api_key`, as the vendor documents",
                );
                None
            }
        }
    }

    /// The certificate that the connection shows, from files that are there or not: they may come and change later.
    pub fn client_certificate(&self, raw: &Spanned<RawClientCertificate>) -> Option<ClientCertificate> {
        let RawClientCertificate { pem, pkcs12, warn_before } = &raw.value;
        let day = Duration::from_secs(86_400);
        let warn_before = self.time(warn_before.as_ref(), 30 * day, Duration::ZERO..=366 * day);
        let password = |password: &Option<Spanned<Secret>>| password.as_ref().map(|secret| secret.value.0.clone());
        let files = match (pem, pkcs12) {
            (Some(pem), None) => CertificateFiles::Pem {
                certificate: self.place(&pem.certificate),
                key: self.place(pem.key.as_ref().unwrap_or(&pem.certificate)),
                password: password(&pem.password),
            },
            (None, Some(pkcs12)) => {
                CertificateFiles::Pkcs12 { file: self.place(&pkcs12.file), password: password(&pkcs12.password) }
            }
            (Some(_), Some(_)) => {
                self.conflict(raw.span, "the certificate stands in two places", "keep either `pem` or `pkcs12`");
                return None;
            }
            (None, None) => {
                let help =
                    "write `pem: { certificate: client.pem, key: client.key }` or `pkcs12: { file: client.p12 }`";
                self.missing_key(raw.span, raw.span, "pem", help);
                return None;
            }
        };
        Some(ClientCertificate { files, warn_before })
    }

    /// A URL, or a path that is joined to the base URL.
    pub fn place_of(&self, url: &Spanned<String>, base_url: Option<&Url>) -> Option<Url> {
        if !url.value.starts_with('/') || url.value.contains(HOLE) {
            return self.url(url);
        }
        let mut whole = base_url?.clone();
        let path = format!("{}{}", whole.path().trim_end_matches('/'), url.value);
        whole.set_path(&path);
        Some(whole)
    }
}

fn kind(auth: &RawAuth) -> &'static str {
    match auth {
        RawAuth::Bearer(_) => "bearer",
        RawAuth::Basic(_) => "basic",
        RawAuth::ApiKey(_) => "api_key",
        RawAuth::Oauth2(_) => "oauth2",
        RawAuth::Session(_) => "session",
        RawAuth::Hmac(_) => "hmac",
    }
}
