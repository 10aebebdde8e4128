//! The token endpoint of one connection: what is asked of it, and along which path.
//!
//! A request goes along our own client, with its timeouts, retries and egress. Who asks is proved by [`ClientSigner`] at
//! each attempt anew.

use std::sync::Arc;

use bytes::Bytes;
use chrono::TimeDelta;
use http::{HeaderMap, HeaderValue, Method, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use super::{
    Ground,
    answer::{self, Refusal, Reply},
    client::ClientSigner,
    keeper::Granted,
};
use crate::{
    config::plan::{AnswerRule, Api, Meaning, OAuth2, When},
    http::{Answer, Call, Client, Policy, Seams, Transport, redacted},
    model::Fault,
};

/// A server's clock that is further off than this may be why it refused a signed time.
const SKEW: TimeDelta = TimeDelta::seconds(30);

pub struct Endpoint {
    client: Client,
    signer: Arc<ClientSigner>,
    url: Url,
    scopes: String,
    parameters: Vec<(String, String)>,
}

/// A field of a form.
type Field<'a> = (&'a str, &'a str);

impl Endpoint {
    /// The token endpoint.
    pub fn new(api: &Api, oauth2: &OAuth2, transport: Arc<dyn Transport>, ground: &Ground) -> Result<Self, Fault> {
        Self::at(&oauth2.token_url, api, oauth2, transport, ground)
    }

    /// Another endpoint of the same authorization server.
    pub fn at(
        url: &Url,
        api: &Api,
        oauth2: &OAuth2,
        transport: Arc<dyn Transport>,
        ground: &Ground,
    ) -> Result<Self, Fault> {
        let Ground { clock, entropy, .. } = ground.clone();
        let signer = Arc::new(ClientSigner::new(oauth2, clock.clone())?);
        let seams = Seams { transport, signer: signer.clone(), clock, entropy };
        let client = Client::new(Policy::for_tokens(api, url), seams);
        let (scopes, parameters) = (oauth2.scopes.join(" "), oauth2.parameters.clone());
        Ok(Self { client, signer, url: url.clone(), scopes, parameters })
    }

    /// RFC 6749, 4.4: the client's own credentials are the grant.
    pub async fn client_credentials(&self) -> Result<Granted, Fault> {
        self.granted(&[("grant_type", "client_credentials"), ("scope", &self.scopes)], &[]).await
    }

    /// RFC 7523: a signed assertion is the grant. The signer adds it.
    pub async fn jwt_bearer(&self) -> Result<Granted, Fault> {
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        self.granted(&[("grant_type", grant), ("scope", &self.scopes)], &[]).await
    }

    /// RFC 6749, 6: spends a refresh token. A refusal of it says that it is dead.
    pub async fn refresh(&self, token: &SecretString) -> Result<Granted, Fault> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.expose_secret()), ("scope", &self.scopes)];
        match self.ask(&form, std::slice::from_ref(token)).await? {
            Reply::Granted(granted) => Ok(granted),
            Reply::Refused(refusal) => Err(refusal.fault(&self.name(), true)),
        }
    }

    /// RFC 6749, 4.1.3 and RFC 7636: spends an authorization code.
    pub async fn code(&self, code: &SecretString, verifier: &SecretString, redirect: &str) -> Result<Granted, Fault> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", redirect),
            ("code_verifier", verifier.expose_secret()),
        ];
        self.granted(&form, &[code.clone(), verifier.clone()]).await
    }

    /// RFC 8628, 3.4: asks whether a person has signed in by now.
    pub async fn device(&self, code: &SecretString) -> Result<Result<Granted, Refusal>, Fault> {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let form = [("grant_type", grant), ("device_code", code.expose_secret())];
        Ok(match self.ask(&form, std::slice::from_ref(code)).await? {
            Reply::Granted(granted) => Ok(granted),
            Reply::Refused(refusal) => Err(refusal),
        })
    }

    /// RFC 8628, 3.1, at the device endpoint: the codes that a person and we need.
    pub async fn device_codes(&self) -> Result<Map<String, Value>, Fault> {
        let answer = self.send(&[("scope", &self.scopes)], &[]).await?;
        answer::object(&answer, &self.name(), &self.signer.secrets())
    }

    pub fn name(&self) -> String {
        redacted(&self.url, &self.signer.secrets())
    }

    async fn granted(&self, form: &[Field<'_>], spent: &[SecretString]) -> Result<Granted, Fault> {
        match self.ask(form, spent).await? {
            Reply::Granted(granted) => Ok(granted),
            Reply::Refused(refusal) => Err(refusal.fault(&self.name(), false)),
        }
    }

    /// Asks; once more where the refusal may be about a time of day that we know better by now.
    async fn ask(&self, form: &[Field<'_>], spent: &[SecretString]) -> Result<Reply, Fault> {
        let signed_at = self.client.server_now();
        let asked = tokio::time::Instant::now();
        let reply = self.read(&self.send(form, spent).await?);
        if !matches!(reply, Reply::Refused(_)) || !self.signer.tells_time() {
            return Ok(reply);
        }
        let elapsed = TimeDelta::from_std(asked.elapsed()).unwrap_or_default();
        let off = (self.client.server_now() - signed_at - elapsed).abs();
        if off <= SKEW {
            return Ok(reply);
        }
        tracing::warn!(
            seconds = off.num_seconds(),
            "our clock differs from the authorization server's; signing by its time"
        );
        Ok(self.read(&self.send(form, spent).await?))
    }

    fn read(&self, answer: &Answer) -> Reply {
        answer::read(answer, &self.name(), &self.signer.secrets())
    }

    /// Sends a form; a field without a value is left out. `spent` is what of it must not be shown.
    async fn send(&self, form: &[Field<'_>], spent: &[SecretString]) -> Result<Answer, Fault> {
        self.signer.prepare(spent, self.client.server_now());
        let more = self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let fields = form.iter().copied().chain(more).filter(|(_, value)| !value.is_empty());
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let call = Call {
            name: "token".into(),
            route: self.url.path().into(),
            method: Method::POST,
            url: self.url.clone(),
            headers,
            body: Bytes::from(body),
            // A refresh whose answer was lost has one way on, and that is to send it again: the next run would.
            repeatable: true,
            timeout: None,
            deadline: None,
            answers: refusals_are_answers(),
            hides: Vec::new(),
            unsigned: false,
            spool: None,
        };
        self.client.execute(&call).await
    }
}

/// What a token endpoint refuses, it explains in the body; that is read here. Being too fast is left to the client.
fn refusals_are_answers() -> Vec<AnswerRule> {
    let status = vec![(400, 407), (409, 424), (426, 428), (430, 494), (497, 499)];
    vec![AnswerRule { when: When { status, ..When::default() }, is: Meaning::Accept }]
}
