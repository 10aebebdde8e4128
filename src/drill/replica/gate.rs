//! Who may come in. Credentials that can be renewed are refused until they were; those that cannot, until somebody puts them back.

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{
    super::leaves::put,
    call::{Answer, Asked, answer},
};
use crate::config::plan::{Auth, Lifetime, Session, SessionToken};

/// Seconds that a token lives: longer than any drill.
const TOKEN_SECONDS: u64 = 3_600;

#[derive(Clone, Debug)]
pub struct Gate {
    kind: Kind,
    /// The number of the token that counts.
    token: u32,
    /// Fixed credentials are refused.
    shut: bool,
    /// Tokens given out.
    pub issued: u32,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Everybody.
    Open,
    Fixed,
    Token,
    Session(Box<Session>),
}

impl Gate {
    pub fn of(auth: &Auth) -> Self {
        let kind = match auth {
            Auth::None => Kind::Open,
            Auth::Bearer { .. }
            | Auth::Basic { .. }
            | Auth::ApiKeyHeader { .. }
            | Auth::ApiKeyQuery { .. }
            | Auth::Hmac(_)
            | Auth::Aws(_) => Kind::Fixed,
            Auth::OAuth2(_) => Kind::Token,
            Auth::Session(session) => Kind::Session(session.clone()),
        };
        Self { kind, token: 1, shut: false, issued: 0 }
    }

    pub fn is_open(&self) -> bool {
        matches!(self.kind, Kind::Open)
    }

    fn text(&self) -> String {
        format!("drill-token-{:06}", self.token)
    }

    /// Whether the request carries what counts now.
    pub fn admits(&self, asked: &Asked) -> bool {
        match self.kind {
            Kind::Open => true,
            Kind::Fixed => !self.shut,
            Kind::Token | Kind::Session(_) => {
                let token = self.text();
                asked.headers.values().filter_map(|value| value.to_str().ok()).any(|value| value.contains(&token))
            }
        }
    }

    /// What counted does not count any more.
    pub fn revoke(&mut self) {
        match self.kind {
            Kind::Open => {}
            Kind::Fixed => self.shut = true,
            Kind::Token | Kind::Session(_) => self.token += 1,
        }
    }

    /// A person puts fixed credentials back.
    pub fn mend(&mut self) {
        self.shut = false;
    }

    /// The answer of a token endpoint.
    pub fn token(&mut self) -> Answer {
        self.issued += 1;
        let body = json!({ "access_token": self.text(), "token_type": "Bearer", "expires_in": TOKEN_SECONDS });
        answer(StatusCode::OK, &body)
    }

    /// The answer to a login, where the connector says that it has its token.
    pub fn login(&mut self, now: DateTime<Utc>) -> Answer {
        self.issued += 1;
        let Kind::Session(session) = &self.kind else { return answer(StatusCode::OK, &json!({})) };
        let mut body = json!({});
        if let SessionToken::Body(path) = &session.token {
            put(&mut body, path.steps(), Value::String(self.text()));
        }
        match &session.lifetime {
            Lifetime::Seconds(path) => put(&mut body, path.steps(), json!(TOKEN_SECONDS)),
            Lifetime::Until(path) => put(&mut body, path.steps(), json!((now + TimeDelta::days(1)).to_rfc3339())),
            Lifetime::Unknown | Lifetime::Fixed(_) => {}
        }
        let mut given = answer(StatusCode::OK, &body);
        let carried = match &session.token {
            SessionToken::Body(_) => None,
            SessionToken::Header(name) => Some((name.clone(), self.text())),
            SessionToken::Cookie(name) => Some((header::SET_COOKIE, format!("{name}={}; Path=/", self.text()))),
        };
        if let Some((name, value)) = carried
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            given.headers_mut().insert(name, value);
        }
        given
    }
}
