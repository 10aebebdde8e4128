//! OAuth 2.0: the grant, the client and its endpoints, from what the connector and the connection say.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use super::{
    check::Check,
    compile_auth::{At, Given, either},
    diagnostic::Problem,
    fill::HOLE,
    plan::{Auth, ClientAuth, CodeGrant, Grant, JwtBearer, OAuth2, SigningKey},
    raw_auth::{
        RawAuthorizationCode, RawClientAuth, RawDeviceCode, RawGrant, RawJwtBearer, RawOauth2, RawPrivateKeyJwt,
        RawRefreshToken, RawSecretIn,
    },
    shape::{Named, OneOrMany, Secret, Spanned},
};
use crate::model::Code;

const REDIRECT_URI: &str = "http://127.0.0.1/callback";

impl Check<'_> {
    pub fn oauth2(&self, all: &Given<'_>, at: At, given: &RawOauth2, declared: &RawOauth2) -> Option<Auth> {
        let token_url = either(&given.token_url, &declared.token_url);
        if token_url.is_none() {
            let help = "write the vendor's token endpoint, a URL or a path under the base URL";
            self.missing_key(at.0, at.1, "token_url", help);
        }
        let token_url = token_url.and_then(|url| self.place_of(url, all.base_url));
        let client_id = either(&given.client_id, &declared.client_id).map(|id| id.value.clone());
        let grant = self.grant(all, at, (given, declared), &client_id, token_url.as_ref());
        let raw_grant = either(&given.grant, &declared.grant).map(|grant| &grant.value);
        if client_id.is_none() && !matches!(raw_grant, Some(RawGrant::JwtBearer(_))) {
            self.missing_key(at.0, at.1, "client_id", "write `client_id:` in the connection's `auth`");
            return None;
        }
        let client = self.client(all, at, (given, declared), token_url.as_ref());
        if matches!((&grant, &client), (Some(Grant::ClientCredentials), Some(ClientAuth::Public))) {
            self.secret(at, "client_secret", &None, &None);
        }
        let texts = |list: &OneOrMany<String>| list.0.iter().map(|text| text.value.clone()).collect();
        let parameters = either(&given.parameters, &declared.parameters).map(|all| self.fields(all));
        Some(Auth::OAuth2(Box::new(OAuth2 {
            grant: grant?,
            token_url: token_url?,
            client_id: client_id.unwrap_or_default(),
            client: client?,
            scopes: either(&given.scopes, &declared.scopes).map(texts).unwrap_or_default(),
            parameters: parameters.unwrap_or_default(),
        })))
    }

    /// Fields that we write ourselves cannot be added.
    fn fields(&self, all: &Named<Spanned<String>>) -> Vec<(String, String)> {
        const OWN: [&str; 14] = [
            "grant_type",
            "code",
            "redirect_uri",
            "client_id",
            "client_secret",
            "client_assertion",
            "state",
            "scope",
            "client_assertion_type",
            "assertion",
            "refresh_token",
            "code_challenge",
            "code_verifier",
            "response_type",
        ];
        for (name, _) in all.iter().filter(|(name, _)| OWN.contains(&name.value.as_str())) {
            self.conflict(name.span, format!("`{}` is written by renkei itself", name.value), "remove it");
        }
        all.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect()
    }

    fn client(
        &self,
        all: &Given<'_>,
        at: At,
        (given, declared): (&RawOauth2, &RawOauth2),
        token_url: Option<&Url>,
    ) -> Option<ClientAuth> {
        let secret = either(&given.client_secret, &declared.client_secret);
        let way = either(&given.client_auth, &declared.client_auth);
        let Some(way) = way else {
            return Some(match (secret.map(|secret| secret.value.0.clone()), given.secret_in.or(declared.secret_in)) {
                (None, _) => ClientAuth::Public,
                (Some(secret), Some(RawSecretIn::Body)) => ClientAuth::Post { secret },
                (Some(secret), None | Some(RawSecretIn::Header)) => ClientAuth::Basic { secret },
            });
        };
        if let Some(secret) = secret {
            let help = "keep `client_secret`, or `client_auth` as the vendor's app is registered";
            self.conflict(secret.span, "the client proves itself in two ways", help);
        }
        match &way.value {
            RawClientAuth::TlsClientAuth(_) => {
                if !all.has_certificate {
                    let help = "write `client_certificate:` beside `auth` in the connection";
                    self.missing_key(at.0, at.1, "client_certificate", help);
                }
                Some(ClientAuth::Tls)
            }
            RawClientAuth::PrivateKeyJwt(one) => {
                let other = match declared.client_auth.as_ref().map(|auth| &auth.value) {
                    Some(RawClientAuth::PrivateKeyJwt(other)) => other.clone(),
                    _ => RawPrivateKeyJwt::default(),
                };
                let pem = self.secret(at, "private_key", &one.private_key, &other.private_key);
                let audience = either(&one.audience, &other.audience).map(|audience| audience.value.clone());
                let key = SigningKey {
                    pem: pem?.0.clone(),
                    password: password(&one.password, &other.password),
                    id: either(&one.key_id, &other.key_id).map(|id| id.value.clone()),
                };
                Some(ClientAuth::PrivateKeyJwt { key, audience: audience.or(token_url.map(Url::to_string))? })
            }
        }
    }

    fn grant(
        &self,
        all: &Given<'_>,
        at: At,
        (given, declared): (&RawOauth2, &RawOauth2),
        client_id: &Option<String>,
        token_url: Option<&Url>,
    ) -> Option<Grant> {
        let (own, vendors) = (given.grant.as_ref(), declared.grant.as_ref().map(|grant| &grant.value));
        let Some(first) = own.map(|grant| &grant.value).or(vendors) else {
            let help = "write `grant: { client_credentials: {} }`, `{ refresh_token: { token: ${NAME} } }`, \
                        `{ authorization_code: { .. } }`, `{ device_code: { .. } }` or `{ jwt_bearer: { .. } }`";
            self.missing_key(at.0, at.1, "grant", help);
            return None;
        };
        match (first, vendors) {
            (RawGrant::ClientCredentials(_), None | Some(RawGrant::ClientCredentials(_))) => {
                Some(Grant::ClientCredentials)
            }
            (RawGrant::RefreshToken(one), Some(RawGrant::RefreshToken(other))) => self.refresh(at, one, other),
            (RawGrant::RefreshToken(one), None) => self.refresh(at, one, &RawRefreshToken::default()),
            (RawGrant::AuthorizationCode(one), Some(RawGrant::AuthorizationCode(other))) => {
                self.browser(all, at, one, other)
            }
            (RawGrant::AuthorizationCode(one), None) => self.browser(all, at, one, &RawAuthorizationCode::default()),
            (RawGrant::DeviceCode(one), Some(RawGrant::DeviceCode(other))) => self.device(all, at, one, other),
            (RawGrant::DeviceCode(one), None) => self.device(all, at, one, &RawDeviceCode::default()),
            (RawGrant::JwtBearer(one), Some(RawGrant::JwtBearer(other))) => {
                self.jwt(at, (one, other), client_id, token_url)
            }
            (RawGrant::JwtBearer(one), None) => self.jwt(at, (one, &RawJwtBearer::default()), client_id, token_url),
            // A person's consent is the same, however the first refresh token came about.
            (RawGrant::RefreshToken(one), Some(RawGrant::AuthorizationCode(_) | RawGrant::DeviceCode(_))) => {
                self.refresh(at, one, &RawRefreshToken::default())
            }
            _ => {
                let span = own.map_or(at.0, |grant| grant.span);
                self.conflict(span, "the connector declares another grant", "use the connector's grant");
                None
            }
        }
    }

    fn refresh(&self, at: At, given: &RawRefreshToken, declared: &RawRefreshToken) -> Option<Grant> {
        Some(Grant::RefreshToken { token: self.secret(at, "token", &given.token, &declared.token)?.0.clone() })
    }

    fn browser(
        &self,
        all: &Given<'_>,
        at: At,
        given: &RawAuthorizationCode,
        declared: &RawAuthorizationCode,
    ) -> Option<Grant> {
        let page = either(&given.authorize_url, &declared.authorize_url);
        if page.is_none() {
            self.missing_key(
                at.0,
                at.1,
                "authorize_url",
                "write the page that people sign in at, as the vendor documents",
            );
        }
        let authorize_url = page.and_then(|url| self.place_of(url, all.base_url));
        let redirect_uri = match either(&given.redirect_uri, &declared.redirect_uri) {
            Some(uri) => self.redirect_uri(uri),
            None => Url::parse(REDIRECT_URI).ok(),
        };
        let parameters = either(&given.parameters, &declared.parameters).map(|all| self.fields(all));
        Some(Grant::AuthorizationCode(CodeGrant {
            authorize_url: authorize_url?,
            redirect_uri: redirect_uri?,
            issuer: either(&given.issuer, &declared.issuer).map(|issuer| issuer.value.clone()),
            parameters: parameters.unwrap_or_default(),
        }))
    }

    /// The code travels in it, so it goes to this machine or is encrypted.
    fn redirect_uri(&self, uri: &Spanned<String>) -> Option<Url> {
        let url = self.url(uri)?;
        let host = url.host_str().unwrap_or_default();
        let local = matches!(host, "127.0.0.1" | "localhost" | "[::1]") || uri.value.contains(HOLE);
        if url.scheme() == "http" && !local {
            let problem = Problem::new(Code::BadPath, uri.span, "codes would travel unencrypted to this host");
            self.report(problem.help("use https, or http://127.0.0.1/callback, which renkei listens at itself"));
        }
        Some(url)
    }

    fn device(&self, all: &Given<'_>, at: At, given: &RawDeviceCode, declared: &RawDeviceCode) -> Option<Grant> {
        let url = either(&given.device_url, &declared.device_url);
        if url.is_none() {
            self.missing_key(
                at.0,
                at.1,
                "device_url",
                "write the endpoint that gives device codes, as the vendor documents",
            );
        }
        Some(Grant::DeviceCode { device_url: self.place_of(url?, all.base_url)? })
    }

    fn jwt(
        &self,
        at: At,
        (given, declared): (&RawJwtBearer, &RawJwtBearer),
        client_id: &Option<String>,
        token_url: Option<&Url>,
    ) -> Option<Grant> {
        let key = either(&given.private_key, &declared.private_key);
        let secret = self.secret(at, "private_key", &given.private_key, &declared.private_key)?;
        let file = match key.filter(|_| secret.0.expose_secret().trim_start().starts_with('{')) {
            Some(key) => Some(self.key_file(key)?),
            None => None,
        };
        let (file_issuer, file_id, pem) = match file {
            Some(file) => (Some(file.client_email), file.private_key_id, file.private_key.into()),
            None => (None, None, secret.0.clone()),
        };
        let text = |own: &Option<Spanned<String>>, vendors: &Option<Spanned<String>>| {
            either(own, vendors).map(|text| text.value.clone())
        };
        let issuer = text(&given.issuer, &declared.issuer).or(file_issuer).or_else(|| client_id.clone());
        if issuer.is_none() {
            self.missing_key(at.0, at.1, "issuer", "write who signs the assertion: the claim `iss`");
        }
        let issuer = issuer?;
        let claims = either(&given.claims, &declared.claims);
        let second = Duration::from_secs(1);
        Some(Grant::JwtBearer(JwtBearer {
            key: SigningKey {
                pem,
                password: password(&given.password, &declared.password),
                id: text(&given.key_id, &declared.key_id).or(file_id),
            },
            subject: text(&given.subject, &declared.subject).unwrap_or_else(|| issuer.clone()),
            issuer,
            audience: text(&given.audience, &declared.audience).or(token_url.map(Url::to_string))?,
            claims: claims.map(|claims| self.claims(claims)).unwrap_or_default(),
            lifetime: self.time(either(&given.lifetime, &declared.lifetime), 300 * second, 10 * second..=3600 * second),
        }))
    }

    fn claims(&self, claims: &Named<Spanned<super::shape::Tree>>) -> Vec<(String, String)> {
        for (name, _) in claims.iter() {
            if matches!(name.value.as_str(), "iss" | "sub" | "aud" | "exp" | "iat" | "nbf" | "jti") {
                let help = "use `issuer`, `subject`, `audience` and `lifetime`";
                self.conflict(name.span, format!("the claim `{}` is written by renkei itself", name.value), help);
            }
        }
        claims.iter().map(|(name, value)| (name.value.clone(), self.json(value))).collect()
    }

    /// The JSON key file of a service account.
    fn key_file(&self, key: &Spanned<Secret>) -> Option<KeyFile> {
        let text = key.value.0.expose_secret();
        let json: Option<Value> = serde_json::from_str(text).ok();
        let field = |name: &str| json.as_ref().and_then(|json| json.get(name)?.as_str()).map(str::to_owned);
        let whole = field("client_email").zip(field("private_key"));
        if whole.is_none() && !text.contains(HOLE) {
            // The text is not quoted, because it holds the key.
            let problem = Problem::new(Code::KeyFile, key.span, "this is no key file of a service account");
            self.report(
                problem.help("it needs `client_email` and `private_key`; download it again, or give the key as PEM"),
            );
        }
        let (client_email, private_key) = whole?;
        Some(KeyFile { client_email, private_key, private_key_id: field("private_key_id") })
    }
}

struct KeyFile {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
}

fn password(given: &Option<Spanned<Secret>>, declared: &Option<Spanned<Secret>>) -> Option<secrecy::SecretString> {
    either(given, declared).map(|password| password.value.0.clone())
}
