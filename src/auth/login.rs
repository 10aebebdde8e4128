//! Signing in with a person: a browser that comes back to us (RFC 6749 with PKCE, RFC 8252), or a code that is typed on
//! another device (RFC 8628).
//!
//! The hard idea is that what comes back may come from anybody. It counts only with the state that we made for this one
//! sign-in, and the code in it is worthless without the verifier that never left this process.

use std::{net::SocketAddr, time::Duration};

use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, RedirectUrl, Scope, basic::BasicClient};
use secrecy::SecretString;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep, sleep_until};
use url::Url;

use super::{
    answer::{unusable, whole_seconds},
    endpoint::Endpoint,
    keeper::Granted,
    loopback::Loopback,
    redirect::Expected,
};
use crate::{
    config::plan::{CodeGrant, OAuth2},
    model::{Blame, BoxFuture, Code, Disposition, Fault},
};

/// A person has so long to sign in with a browser.
const BROWSER_MAX: Duration = Duration::from_secs(600);
/// No device code is waited for longer.
const DEVICE_MAX: Duration = Duration::from_secs(1800);
/// Between two questions whether a person signed in: RFC 8628, 3.2 and 3.5.
const INTERVAL: Duration = Duration::from_secs(5);
const INTERVAL_MAX: Duration = Duration::from_secs(60);

/// Whoever signs in.
pub trait Person: Send + Sync {
    fn show(&self, prompt: &Prompt);

    /// The address that the person pastes. It never ends where nobody can.
    fn pasted(&self) -> BoxFuture<'_, String>;
}

/// What a person has to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Prompt {
    /// Open this page. The browser comes back to where we listen, if we do; else its address is to be pasted.
    Browser { url: String, listening: Option<SocketAddr> },
    /// Open this page on any device and type the code.
    Device { url: String, code: String, url_with_code: Option<String>, lives: Duration },
}

/// Signs in with a browser.
pub async fn browser(
    endpoint: &Endpoint,
    oauth2: &OAuth2,
    grant: &CodeGrant,
    person: &dyn Person,
) -> Result<Granted, Fault> {
    let listener = Loopback::listen(&grant.redirect_uri).await;
    let redirect = listener.as_ref().map_or_else(|| grant.redirect_uri.clone(), |listener| listener.uri().clone());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state) = page(oauth2, grant, &redirect, challenge)?;
    let expected = Expected { redirect, state: state.secret().clone(), issuer: grant.issuer.clone() };
    let listening = listener.as_ref().map(Loopback::address);
    person.show(&Prompt::Browser { url: url.into(), listening });
    let code = tokio::select! {
        code = came_back(listener, &expected) => code?,
        pasted = person.pasted() => expected.code_in_text(&pasted)?,
        () = sleep(BROWSER_MAX) => return Err(expired("no browser came back within 10 minutes")),
    };
    let verifier = SecretString::from(verifier.into_secret());
    endpoint.code(&code, &verifier, expected.redirect.as_str()).await
}

async fn came_back(listener: Option<Loopback>, expected: &Expected) -> Result<SecretString, Fault> {
    match listener {
        Some(listener) => listener.code(expected).await,
        None => std::future::pending().await,
    }
}

/// The page to open, and the state that must come back.
fn page(
    oauth2: &OAuth2,
    grant: &CodeGrant,
    redirect: &Url,
    challenge: PkceCodeChallenge,
) -> Result<(Url, CsrfToken), Fault> {
    let redirect = RedirectUrl::new(redirect.to_string()).map_err(|_| {
        Fault::halt(Code::BadPath, Blame::Config, "the redirect URI is no URL").help("mend `redirect_uri`")
    })?;
    let client = BasicClient::new(ClientId::new(oauth2.client_id.clone()))
        .set_auth_uri(AuthUrl::from_url(grant.authorize_url.clone()))
        .set_redirect_uri(redirect);
    let mut page = client.authorize_url(CsrfToken::new_random).set_pkce_challenge(challenge);
    page = page.add_scopes(oauth2.scopes.iter().cloned().map(Scope::new));
    for (name, value) in &grant.parameters {
        page = page.add_extra_param(name, value);
    }
    Ok(page.url())
}

/// Signs in on another device. `codes` is the endpoint that gives codes, `tokens` the one that is asked for the outcome.
pub async fn device(codes: &Endpoint, tokens: &Endpoint, person: &dyn Person) -> Result<Granted, Fault> {
    let given = Codes::read(&codes.device_codes().await?)
        .ok_or_else(|| unusable(&codes.name(), "it has no `device_code`, `user_code` and `verification_uri`"))?;
    let Codes { device, user, url, url_with_code, lives, mut interval } = given;
    let end = Instant::now() + lives;
    person.show(&Prompt::Device { url, code: user, url_with_code, lives });
    loop {
        sleep_until((Instant::now() + interval).min(end)).await;
        if Instant::now() >= end {
            return Err(expired("the code ended before anybody signed in"));
        }
        match tokens.device(&device).await {
            Ok(Ok(granted)) => return Ok(granted),
            Ok(Err(refusal)) => match refusal.error.as_str() {
                "authorization_pending" => {}
                "slow_down" => interval = (interval + INTERVAL).min(INTERVAL_MAX),
                "access_denied" => return Err(refused(&refusal.fault(&tokens.name(), false).message)),
                "expired_token" => return Err(expired("the code ended before anybody signed in")),
                _ => return Err(refusal.fault(&tokens.name(), false)),
            },
            // The server is down for a moment; the person may still be typing.
            Err(fault) if matches!(fault.disposition, Disposition::Retry { .. }) => {
                interval = (interval * 2).min(INTERVAL_MAX);
            }
            Err(fault) => return Err(fault),
        }
    }
}

/// What a device endpoint gave: RFC 8628, 3.2.
struct Codes {
    device: SecretString,
    user: String,
    url: String,
    url_with_code: Option<String>,
    lives: Duration,
    interval: Duration,
}

impl Codes {
    fn read(json: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| json.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let page = |name: &str| {
            let url = Url::parse(text(name)?).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            url.map(String::from)
        };
        let seconds = |name: &str| json.get(name).and_then(whole_seconds).map(Duration::from_secs);
        Some(Self {
            device: text("device_code")?.into(),
            user: text("user_code")?.to_owned(),
            // Google still writes the name of an early draft.
            url: page("verification_uri").or_else(|| page("verification_url"))?,
            url_with_code: page("verification_uri_complete"),
            lives: seconds("expires_in").unwrap_or(DEVICE_MAX).min(DEVICE_MAX),
            interval: seconds("interval").unwrap_or(INTERVAL).clamp(Duration::from_secs(1), INTERVAL_MAX),
        })
    }
}

fn expired(why: &str) -> Fault {
    Fault::halt(Code::LoginExpired, Blame::Credentials, format!("nobody signed in in time: {why}"))
        .help("Nothing was kept: what the connection had before, it still has. Type the command again.")
}

pub fn refused(said: &str) -> Fault {
    Fault::halt(Code::LoginRefused, Blame::Credentials, format!("the sign-in was refused: {said}")).help(
        "Nothing was kept: what the connection had before, it still has. Compare client id, scopes and redirect URI with \
         the vendor's app, then type the command again.",
    )
}
