//! Credentials: the connector declares the kind and what is the same for everybody, the connection adds the account's
//! own. What both say, the connection decides.

use url::Url;

use super::{
    check::Check,
    diagnostic::Problem,
    fill::HOLE,
    plan::{Auth, Grant, OAuth2},
    raw_shared::{RawApiKey, RawAuth, RawBasic, RawBearer, RawGrant, RawOauth2, RawRefreshToken, RawSecretIn},
    shape::{OneOrMany, Secret, Spanned},
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
}

/// Where something is missing, and in what.
#[derive(Clone, Copy)]
struct At(Span, Span);

impl Check<'_> {
    /// Nothing when something is missing or wrong, which is reported.
    pub fn auth(&self, given: &Given<'_>) -> Option<Auth> {
        let Given { connector, connection, base_url, .. } = *given;
        let at = At(connection.map_or(given.name, |auth| auth.span), given.owner);
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
        match &first.value {
            RawAuth::Bearer(given) => {
                let declared = match declared {
                    Some(RawAuth::Bearer(declared)) => declared.clone(),
                    _ => RawBearer::default(),
                };
                self.bearer(at, given, &declared)
            }
            RawAuth::Basic(given) => {
                let declared = match declared {
                    Some(RawAuth::Basic(declared)) => declared.clone(),
                    _ => RawBasic::default(),
                };
                self.basic(at, given, &declared)
            }
            RawAuth::ApiKey(given) => {
                let declared = match declared {
                    Some(RawAuth::ApiKey(declared)) => declared.clone(),
                    _ => RawApiKey::default(),
                };
                self.api_key(at, given, &declared)
            }
            RawAuth::Oauth2(given) => {
                let declared = match declared {
                    Some(RawAuth::Oauth2(declared)) => declared.clone(),
                    _ => RawOauth2::default(),
                };
                self.oauth2(at, given, &declared, base_url)
            }
        }
    }

    fn secret<'s>(
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

    fn oauth2(&self, at: At, given: &RawOauth2, declared: &RawOauth2, base_url: Option<&Url>) -> Option<Auth> {
        let grant = self.grant(at, given, declared);
        let token_url = given.token_url.as_ref().or(declared.token_url.as_ref());
        if token_url.is_none() {
            self.missing_key(
                at.0,
                at.1,
                "token_url",
                "write the vendor's token endpoint, a URL or a path under the base URL",
            );
        }
        let token_url = token_url.and_then(|url| self.token_url(url, base_url));
        let client_id = given.client_id.as_ref().or(declared.client_id.as_ref());
        if client_id.is_none() {
            self.missing_key(at.0, at.1, "client_id", "write `client_id:` in the connection's `auth`");
        }
        let client_secret = given.client_secret.as_ref().or(declared.client_secret.as_ref());
        let needs_secret = matches!(grant, Some(Grant::ClientCredentials));
        let secret_missing = needs_secret && client_secret.is_none();
        if secret_missing {
            self.secret(at, "client_secret", &None, &None);
        }
        let texts = |list: &OneOrMany<String>| list.0.iter().map(|text| text.value.clone()).collect();
        Some(Auth::OAuth2(OAuth2 {
            grant: grant?,
            token_url: token_url?,
            client_id: client_id?.value.clone(),
            client_secret: client_secret.map(|secret| secret.value.0.clone()),
            secret_in_body: matches!(given.secret_in.or(declared.secret_in), Some(RawSecretIn::Body)),
            scopes: given.scopes.as_ref().or(declared.scopes.as_ref()).map(texts).unwrap_or_default(),
        }))
    }

    fn grant(&self, at: At, given: &RawOauth2, declared: &RawOauth2) -> Option<Grant> {
        let none = RawRefreshToken::default();
        match (given.grant.as_ref().map(|grant| &grant.value), declared.grant.as_ref().map(|grant| &grant.value)) {
            (None, None) => {
                let help =
                    "write `grant: { client_credentials: {} }` or `grant: { refresh_token: { token: ${NAME} } }`";
                self.missing_key(at.0, at.1, "grant", help);
                None
            }
            (Some(RawGrant::ClientCredentials(_)), Some(RawGrant::RefreshToken(_)))
            | (Some(RawGrant::RefreshToken(_)), Some(RawGrant::ClientCredentials(_))) => {
                self.conflict(at.0, "the connector declares another grant", "use the connector's grant");
                None
            }
            (Some(RawGrant::ClientCredentials(_)), _) | (None, Some(RawGrant::ClientCredentials(_))) => {
                Some(Grant::ClientCredentials)
            }
            (Some(RawGrant::RefreshToken(given)), Some(RawGrant::RefreshToken(declared))) => {
                self.refresh(at, given, declared)
            }
            (Some(RawGrant::RefreshToken(one)), None) | (None, Some(RawGrant::RefreshToken(one))) => {
                self.refresh(at, one, &none)
            }
        }
    }

    fn refresh(&self, at: At, given: &RawRefreshToken, declared: &RawRefreshToken) -> Option<Grant> {
        Some(Grant::RefreshToken { token: self.secret(at, "token", &given.token, &declared.token)?.0.clone() })
    }

    /// A URL, or a path that is joined to the base URL.
    fn token_url(&self, url: &Spanned<String>, base_url: Option<&Url>) -> Option<Url> {
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
    }
}
