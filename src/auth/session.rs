//! A session: a login request gives a token or a cookie, and requests carry it until it ends or is refused.
//!
//! The keeper sees to it that one login serves everybody. What the login is made of is constant, so it is built once.

use std::{convert::Infallible, sync::Arc};

use http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{
    Ground,
    answer::{until, whole_seconds},
    fixed::sensitive,
    keeper::{Granted, Issuer, Keeper, Needs},
    vault::TokenKey,
};
use crate::{
    config::plan::{AnswerRule, Api, Lifetime, Meaning, Session, SessionToken, When},
    expr::{EvalError, Scope, object},
    http::{Answer, Call, Client, Policy, Request, Seams, Signer, Transport, render, said},
    model::{Blame, BoxFuture, Code, Fault, Fields},
};

/// Puts the session's token on requests.
pub struct SessionSigner {
    keeper: Keeper,
    session: Session,
    settings: Fields,
}

impl SessionSigner {
    pub fn new(api: &Api, session: &Session, transport: Arc<dyn Transport>, ground: &Ground) -> Result<Self, Fault> {
        let keeper = keeper(api, session, transport, ground)?;
        Ok(Self { keeper, session: session.clone(), settings: api.settings.clone() })
    }

    /// The headers that carry a token.
    fn headers(&self, token: &SecretString) -> Result<HeaderMap, Fault> {
        let scope = Scope::new().json("config", self.settings.as_str()).text("token", token.expose_secret());
        let mut headers = HeaderMap::new();
        for (name, template) in &self.session.send {
            let value = template.render(&scope).map_err(|error| unsigned(name.as_str(), &error))?;
            headers.insert(name, sensitive(&value.unwrap_or_default())?);
        }
        Ok(headers)
    }
}

/// The keeper of the session's token.
pub fn keeper(api: &Api, session: &Session, transport: Arc<dyn Transport>, ground: &Ground) -> Result<Keeper, Fault> {
    let login = Login::new(api, session, transport, ground)?;
    // Passwords can be guessed, so what they tell apart is kept inside the sealed record and not in its name.
    let mut hasher = Sha256::new();
    for (name, secret) in &session.secrets {
        hasher.update(format!("{name}\0{}\0", secret.expose_secret()));
    }
    let made_with = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let key = TokenKey::new(&api.name, &["session", api.base_url.as_str(), &session.login.route]);
    Ok(Keeper::new(&api.name, Box::new(login), key, Some(made_with), ground))
}

/// Logs in.
struct Login {
    client: Client,
    call: Call,
    token: SessionToken,
    lifetime: Lifetime,
    secrets: Vec<SecretString>,
}

impl Login {
    fn new(api: &Api, session: &Session, transport: Arc<dyn Transport>, ground: &Ground) -> Result<Self, Fault> {
        let named = Named::new(&session.secrets);
        let scope = Scope::new().json("config", api.settings.as_str()).json("secrets", named.json());
        let mut call = render::call(api, &session.login, &"login".into(), &scope, true)
            .map_err(|reason| Fault::halt(Code::Unsigned, Blame::Config, reason.message).help(UNSIGNED))?;
        // The connector's own rules first: some vendors refuse a login with 200.
        call.answers = api.answers.iter().cloned().chain([refusals_are_answers()]).collect();
        let secrets: Vec<SecretString> = session.secrets.iter().map(|(_, secret)| secret.clone()).collect();
        let Ground { clock, entropy, .. } = ground.clone();
        let seams = Seams { transport, signer: Arc::new(Hushed(secrets.clone())), clock, entropy };
        let client = Client::new(Policy::for_tokens(api, &api.base_url), seams);
        Ok(Self { client, call, token: session.token.clone(), lifetime: session.lifetime.clone(), secrets })
    }

    fn granted(&self, answer: &Answer) -> Result<Granted, Fault> {
        let said = said(&answer.body, &self.secrets).map(|said| format!(": {said}")).unwrap_or_default();
        if !answer.status.is_success() {
            let message = format!("the login was refused ({}){said}", answer.status.as_u16());
            return Err(Fault::halt(Code::SessionRefused, Blame::Credentials, message)
                .help("Check the connection's `secrets`, then run again. Nothing is lost: the cursor has not moved."));
        }
        let token =
            self.token(answer).ok_or_else(|| unusable(&format!("the token is not where `token` says{said}")))?;
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(unusable("its token is empty or holds a character that no header can carry"));
        }
        Ok(Granted { access: Ok(token.into()), refresh: None, lives_seconds: self.lives_seconds(answer), scopes: None })
    }

    fn token(&self, answer: &Answer) -> Option<String> {
        match &self.token {
            SessionToken::Body(path) => text_at(path, &answer.body),
            SessionToken::Header(name) => answer.headers.get(name)?.to_str().ok().map(str::to_owned),
            SessionToken::Cookie(name) => cookie(&answer.headers, name).map(|(value, _)| value),
        }
    }

    fn lives_seconds(&self, answer: &Answer) -> Option<u64> {
        match (&self.lifetime, &self.token) {
            (Lifetime::Fixed(time), _) => Some(time.as_secs()),
            (Lifetime::Seconds(path), _) => whole_seconds(&text_at(path, &answer.body)?.into()),
            // By the server's own time of day, because the end is by its clock.
            (Lifetime::Until(path), _) => {
                let now = answer.server_time.unwrap_or_else(|| self.client.server_now());
                Some(u64::try_from((until(&text_at(path, &answer.body)?)? - now).num_seconds()).unwrap_or(0))
            }
            (Lifetime::Unknown, SessionToken::Cookie(name)) => cookie(&answer.headers, name)?.1,
            (Lifetime::Unknown, _) => None,
        }
    }
}

impl Issuer for Login {
    fn needs(&self) -> Needs {
        Needs::Nothing
    }

    fn issue<'a>(&'a self, _: Option<&'a SecretString>) -> BoxFuture<'a, Result<Granted, Fault>> {
        Box::pin(async move { self.granted(&self.client.execute(&self.call).await?) })
    }
}

impl Signer for SessionSigner {
    fn sign<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let token = self.keeper.fresh().await?;
            request.headers.extend(self.headers(&token)?);
            request.secrets.push(token);
            request.secrets.extend(self.session.secrets.iter().map(|(_, secret)| secret.clone()));
            Ok(())
        })
    }

    fn refused<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async move {
            let token = self.keeper.fresh().await?;
            let carried = self.headers(&token)?.iter().all(|(name, value)| request.headers.get(name) == Some(value));
            // Another token by now: somebody logged in again meanwhile.
            if carried {
                self.keeper.after(token).await?;
            }
            Ok(true)
        })
    }

    fn keep(&self) -> BoxFuture<'_, Infallible> {
        Box::pin(self.keeper.keep_fresh())
    }
}

/// Signs nothing, and names what of a request must not be shown.
struct Hushed(Vec<SecretString>);

impl Signer for Hushed {
    fn sign<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<(), Fault>> {
        request.secrets.extend(self.0.iter().cloned());
        Box::pin(async { Ok(()) })
    }

    fn refused<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }
}

/// Secrets as templates see them: one JSON object, wiped when it is dropped.
pub struct Named(zeroize::Zeroizing<String>);

impl Named {
    pub fn new(secrets: &[(String, SecretString)]) -> Self {
        let quoted: Vec<(&str, String)> = secrets
            .iter()
            .map(|(name, secret)| (name.as_str(), serde_json::Value::from(secret.expose_secret()).to_string()))
            .collect();
        let entries: Vec<_> = quoted.iter().map(|(name, json)| ((*name).into(), json.as_str().into())).collect();
        Self(object(&entries).into())
    }

    pub fn json(&self) -> &str {
        &self.0
    }
}

/// What a login refuses, it explains in its answer. Being too fast is left to the client.
fn refusals_are_answers() -> AnswerRule {
    let status = vec![(400, 407), (409, 424), (426, 428), (430, 494), (497, 499)];
    AnswerRule { when: When { status, ..When::default() }, is: Meaning::Accept }
}

/// A text or number at a path of a JSON body.
fn text_at(path: &crate::model::Path, body: &[u8]) -> Option<String> {
    let raw = path.find(std::str::from_utf8(body).ok()?)?;
    match serde_json::from_str(raw.get()).ok()? {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A cookie's value, and its age where the server names one. The last one of a name counts, and one that is taken back does
/// not.
fn cookie(headers: &HeaderMap, name: &str) -> Option<(String, Option<u64>)> {
    let all = headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let (value, age) = all.rev().find_map(|cookie| {
        let mut parts = cookie.split(';');
        let (found, value) = parts.next()?.split_once('=')?;
        let age =
            parts.filter_map(|part| part.split_once('=')).find(|(key, _)| key.trim().eq_ignore_ascii_case("max-age"));
        (found.trim() == name)
            .then(|| (value.trim().trim_matches('"').to_owned(), age.map(|(_, age)| age.trim().to_owned())))
    })?;
    let age = age.map(|age| age.parse::<i64>().unwrap_or(0));
    (age != Some(0) && age.is_none_or(|age| age > 0)).then(|| (value, age.and_then(|age| u64::try_from(age).ok())))
}

const UNSIGNED: &str = "Nothing was sent. Mend the template or the secret of the connection's `auth`, then run again.";

/// The fault of a template that failed. Its message quotes no value.
pub fn unsigned(what: &str, error: &EvalError) -> Fault {
    Fault::halt(Code::Unsigned, Blame::Config, format!("{what}: {error}")).help(UNSIGNED)
}

fn unusable(why: &str) -> Fault {
    Fault::halt(Code::SessionAnswer, Blame::Remote, format!("the login's answer cannot be used: {why}")).help(
        "Nothing is lost: the cursor has not moved. Compare what the login answers with `token` of the connector, then \
         run again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_with_its_age_and_one_that_is_taken_back_is_none() {
        let found = |cookies: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(header::SET_COOKIE, cookie.parse().unwrap());
            }
            cookie(&headers, "sid")
        };
        assert_eq!(found(&["a=1", "sid=x=y; Path=/; HttpOnly"]), Some(("x=y".to_owned(), None)));
        assert_eq!(found(&["sid=\"q\"; max-age=60"]), Some(("q".to_owned(), Some(60))));
        assert_eq!(found(&["sid=old", "sid=new"]), Some(("new".to_owned(), None)));
        for none in [&["sid=x; Max-Age=0"][..], &["sid=x; Max-Age=-1"], &["sid=x; Max-Age=soon"], &["sidx=1"], &[]] {
            assert_eq!(found(none), None, "{none:?}");
        }
    }
}
