//! Token requests. The only file that knows the oauth2 crate: it builds the request and reads the answer, and the
//! request itself goes along our own path, with its timeouts, retries and egress.
//!
//! Real token endpoints stray from RFC 6749 in harmless ways that the crate refuses: a life written as text, no token
//! type, 201 for 200, a JSON answer labelled as something else, an error with status 200. Those are set right before the
//! crate reads the answer; anything else is an error.

use std::sync::{Mutex, PoisonError};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use oauth2::{
    AsyncHttpClient, AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, RefreshToken, RequestTokenError,
    Scope, TokenResponse as _, TokenUrl,
    basic::{BasicClient, BasicErrorResponse, BasicErrorResponseType, BasicTokenResponse, BasicTokenType},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::{Url, form_urlencoded::byte_serialize};

use crate::{
    config::plan::{AnswerRule, Grant, Meaning, OAuth2, When},
    http::{Answer, Call, Client, Request, Signer, redacted, scrub},
    model::{Blame, BoxFuture, Code, Fault},
};

/// What a token endpoint gave.
pub struct Granted {
    pub access: SecretString,
    pub refresh: Option<SecretString>,
    pub lives_seconds: Option<u64>,
}

/// Asks for a token. `refresh` is the refresh token to spend; without one the client's own credentials are the grant.
pub async fn exchange(client: &Client, oauth2: &OAuth2, refresh: Option<&SecretString>) -> Result<Granted, Fault> {
    let asked = BasicClient::new(ClientId::new(oauth2.client_id.clone()))
        .set_token_uri(TokenUrl::from_url(oauth2.token_url.clone()))
        .set_auth_type(if oauth2.secret_in_body { AuthType::RequestBody } else { AuthType::BasicAuth });
    let asked = match &oauth2.client_secret {
        Some(secret) => asked.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())),
        None => asked,
    };
    let scopes: Vec<Scope> = oauth2.scopes.iter().cloned().map(Scope::new).collect();
    let endpoint = Endpoint { client: client.clone(), url: oauth2.token_url.clone() };
    let answered = match refresh {
        None => asked.exchange_client_credentials().add_scopes(scopes).request_async(&endpoint).await,
        Some(token) => {
            let token = RefreshToken::new(token.expose_secret().to_owned());
            asked.exchange_refresh_token(&token).add_scopes(scopes).request_async(&endpoint).await
        }
    };
    let secrets = secrets(oauth2, refresh);
    read(answered, &redacted(&oauth2.token_url, &secrets), &secrets)
}

fn read(
    answered: Result<BasicTokenResponse, RequestTokenError<Fault, BasicErrorResponse>>,
    from: &str,
    secrets: &[SecretString],
) -> Result<Granted, Fault> {
    match answered {
        Ok(token) => granted(&token, from),
        Err(RequestTokenError::Request(fault)) => Err(fault),
        Err(RequestTokenError::ServerResponse(no)) => Err(refused(&no, from, secrets)),
        // The text of a parse error may quote the answer, so only the place in it is told.
        Err(RequestTokenError::Parse(error, _)) => Err(unusable(from, &format!("at `{}`", error.path()))),
        Err(RequestTokenError::Other(_)) => Err(unusable(from, "it is not JSON")),
    }
}

fn granted(token: &BasicTokenResponse, from: &str) -> Result<Granted, Fault> {
    let access = token.access_token().secret().as_str();
    let carried_otherwise = match token.token_type() {
        BasicTokenType::Bearer => false,
        BasicTokenType::Mac => true,
        // Vendors write their own words here and mean a bearer token; DPoP is the one that does not.
        BasicTokenType::Extension(name) => name.eq_ignore_ascii_case("dpop"),
    };
    if carried_otherwise {
        return Err(unusable(from, "its token is no bearer token"));
    }
    if access.is_empty() || !access.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable(from, "its access token is empty or holds a character that no header can carry"));
    }
    let refresh = token.refresh_token().map(|token| token.secret().as_str()).filter(|token| !token.is_empty());
    Ok(Granted {
        access: access.into(),
        refresh: refresh.map(SecretString::from),
        lives_seconds: token.expires_in().map(|life| life.as_secs()),
    })
}

fn refused(no: &BasicErrorResponse, from: &str, secrets: &[SecretString]) -> Fault {
    let said: String = scrub(&no.to_string(), secrets).chars().filter(|c| !c.is_control()).take(200).collect();
    let help = match no.error() {
        BasicErrorResponseType::InvalidGrant => {
            "The refresh token is expired, revoked or already used. Sign in again at the vendor, put the new refresh \
             token where the connection reads it, and run again. Nothing is lost: the cursor has not moved."
        }
        BasicErrorResponseType::InvalidScope => {
            "The account does not give these scopes. Compare `scopes` with what the vendor's app may ask for. Nothing \
             is lost: the cursor has not moved."
        }
        _ => {
            "Check client id, client secret and token URL of the connection, then run again. Nothing is lost: the \
             cursor has not moved."
        }
    };
    Fault::halt(Code::TokenRefused, Blame::Credentials, format!("the token endpoint {from} refused: {said}")).help(help)
}

fn unusable(from: &str, why: &str) -> Fault {
    Fault::halt(
        Code::TokenAnswer,
        Blame::Remote,
        format!("the answer of the token endpoint {from} cannot be used: {why}"),
    )
    .help(
        "Nothing is lost: the cursor has not moved. Check that `token_url` is the vendor's token endpoint and not a \
         page for people, then run again.",
    )
}

/// The crate's way out: our own client. A type and not a closure, because the compiler cannot see that a closure's
/// future may change threads.
struct Endpoint {
    client: Client,
    url: Url,
}

impl<'c> AsyncHttpClient<'c> for Endpoint {
    type Error = Fault;
    type Future = BoxFuture<'c, Result<HttpResponse, Fault>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let (head, body) = request.into_parts();
        let call = Call {
            name: "token".into(),
            route: self.url.path().into(),
            method: head.method,
            url: self.url.clone(),
            headers: head.headers,
            body: Bytes::from(body),
            // A refresh whose answer was lost has one way on, and that is to send it again: the next run would.
            repeatable: true,
            timeout: None,
            deadline: None,
            answers: refusals_are_answers(),
            hides: Vec::new(),
        };
        Box::pin(async move { Ok(set_right(self.client.execute(&call).await?)) })
    }
}

/// What a token endpoint refuses, it explains in the body; that is read here. Being too fast is left to the client.
fn refusals_are_answers() -> Vec<AnswerRule> {
    let status = vec![(400, 407), (409, 424), (426, 428), (430, 499)];
    vec![AnswerRule { when: When { status, ..When::default() }, is: Meaning::Accept }]
}

fn set_right(answer: Answer) -> HttpResponse {
    let Ok(Value::Object(mut json)) = serde_json::from_slice(&answer.body) else {
        return response(answer.status, answer.headers, answer.body.to_vec());
    };
    let failed = json.contains_key("error") && !json.contains_key("access_token");
    let status = match answer.status {
        status if status.is_success() && failed => StatusCode::BAD_REQUEST,
        status if status.is_success() => StatusCode::OK,
        status => status,
    };
    if json.contains_key("access_token") {
        json.entry("token_type").or_insert_with(|| "bearer".into());
    }
    if let Some(life) = json.get("expires_in").and_then(whole_seconds) {
        json.insert("expires_in".to_owned(), life.into());
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response(status, headers, serde_json::to_vec(&json).unwrap_or_default())
}

/// A life as text or as a decimal, in whole seconds. A negative one is left alone, so that it is refused.
fn whole_seconds(life: &Value) -> Option<u64> {
    let seconds = match life {
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        Value::Number(number) => number.as_f64()?,
        _ => return None,
    };
    (seconds >= 0.0).then_some(seconds as u64)
}

fn response(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> HttpResponse {
    let mut response = HttpResponse::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Everything in a token request that must not be shown, the pair of HTTP Basic included.
fn secrets(oauth2: &OAuth2, refresh: Option<&SecretString>) -> Vec<SecretString> {
    let configured = match &oauth2.grant {
        Grant::ClientCredentials => None,
        Grant::RefreshToken { token } => Some(token),
    };
    let pair = oauth2.client_secret.as_ref().map(|secret| {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&oauth2.client_id), encoded(secret.expose_secret()));
        SecretString::from(STANDARD.encode(pair))
    });
    oauth2.client_secret.iter().chain(refresh).chain(configured).cloned().chain(pair).collect()
}

/// Signs nothing, because the crate has put the client's secret where it belongs; it names what must not be shown.
pub struct TokenSecrets {
    pub configured: Vec<SecretString>,
    /// The rotated refresh token that is being spent.
    spent: Mutex<Option<SecretString>>,
}

impl TokenSecrets {
    pub fn new(oauth2: &OAuth2) -> Self {
        Self { configured: secrets(oauth2, None), spent: Mutex::default() }
    }

    pub fn spend(&self, refresh: Option<&SecretString>) {
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner) = refresh.cloned();
    }
}

impl Signer for TokenSecrets {
    fn sign<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<(), Fault>> {
        request.secrets.extend(self.configured.iter().cloned());
        request.secrets.extend(self.spent.lock().unwrap_or_else(PoisonError::into_inner).clone());
        Box::pin(async { Ok(()) })
    }

    fn refused<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }
}
