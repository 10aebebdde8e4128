//! The admin API: where it listens, and who may speak to it.

use std::net::{Ipv4Addr, SocketAddr};

use secrecy::{ExposeSecret, SecretString};

use super::{
    check::Check,
    diagnostic::Problem,
    fill::HOLE,
    plan_admin::{AdminPlan, TlsFiles},
    raw_admin::RawAdmin,
    shape::{Secret, Spanned},
};
use crate::model::Code;

/// Where it listens unless somebody says otherwise.
const PORT: u16 = 7365;
/// A shorter token can be tried out.
const TOKEN_CHARS_MIN: usize = 16;

impl Check<'_> {
    pub fn admin(&self, raw: &Spanned<RawAdmin>) -> AdminPlan {
        let span = raw.span;
        let raw = &raw.value;
        let address = raw.address.as_ref().and_then(|address| self.address(address));
        let address = address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
        let token = raw.token.as_ref().and_then(|token| self.token(token));
        if !address.ip().is_loopback() && raw.token.is_none() {
            let at = raw.address.as_ref().map_or(span, |address| address.span);
            let message = format!("the admin API would let everybody in who reaches {}", address.ip());
            let problem = Problem::new(Code::AdminOpen, at, message);
            let help = "write `token: \"${RENKEI_ADMIN_TOKEN}\"` beside it, or listen on 127.0.0.1";
            self.absent(span, problem.help(help));
        }
        let tls = raw.tls.as_ref();
        let tls = tls.map(|tls| TlsFiles { certificate: self.place(&tls.certificate), key: self.place(&tls.key) });
        AdminPlan { address, token, tls }
    }

    fn token(&self, token: &Spanned<Secret>) -> Option<SecretString> {
        let text = token.value.0.expose_secret();
        if text.contains(HOLE) {
            return Some(token.value.0.clone());
        }
        let is_sendable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.chars().count() < TOKEN_CHARS_MIN || !is_sendable {
            let why = if is_sendable { "is too short" } else { "holds what cannot be sent in a header" };
            let problem = Problem::new(Code::AdminToken, token.span, format!("the admin API's token {why}"));
            let help = format!(
                "use at least {TOKEN_CHARS_MIN} letters and digits, such as what `openssl rand -hex 24` prints"
            );
            self.report(problem.help(help));
            return None;
        }
        Some(token.value.0.clone())
    }
}
