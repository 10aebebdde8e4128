//! Credentials that never change while we run: a header or a query parameter. A 401 to them is the last word.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    http::{Request, Signer},
    model::{Blame, BoxFuture, Code, Fault},
};

/// One header.
pub struct FixedHeader {
    name: HeaderName,
    value: HeaderValue,
    secrets: Vec<SecretString>,
}

/// One query parameter.
pub struct FixedQuery {
    parameter: String,
    value: SecretString,
}

pub fn bearer(token: &SecretString) -> Result<FixedHeader, Fault> {
    let value = format!("Bearer {}", token.expose_secret());
    Ok(FixedHeader { name: header::AUTHORIZATION, value: sensitive(&value)?, secrets: vec![token.clone()] })
}

pub fn basic(user: &str, password: &SecretString) -> Result<FixedHeader, Fault> {
    let pair = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
    let value = sensitive(&format!("Basic {pair}"))?;
    // Some vendors take the key as the user, with an empty password; so the user is a secret too.
    let secrets = vec![password.clone(), SecretString::from(user), SecretString::from(pair)];
    Ok(FixedHeader { name: header::AUTHORIZATION, value, secrets })
}

pub fn header(name: &HeaderName, value: &SecretString) -> Result<FixedHeader, Fault> {
    Ok(FixedHeader { name: name.clone(), value: sensitive(value.expose_secret())?, secrets: vec![value.clone()] })
}

pub fn query(parameter: &str, value: &SecretString) -> FixedQuery {
    FixedQuery { parameter: parameter.to_owned(), value: value.clone() }
}

/// A header's value that HTTP/2 does not index and nobody prints.
pub fn sensitive(text: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        Fault::halt(Code::Unauthorized, Blame::Credentials, "the credentials hold a character that no header can carry")
            .help("Nothing was sent. Look for a line break or an invisible character at the end of the secret.")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl Signer for FixedHeader {
    fn sign<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<(), Fault>> {
        request.headers.insert(&self.name, self.value.clone());
        request.secrets.extend(self.secrets.iter().cloned());
        Box::pin(async { Ok(()) })
    }

    fn refused<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }
}

impl Signer for FixedQuery {
    fn sign<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<(), Fault>> {
        // A page link often brings the key along; it must not stand there twice.
        let others: Vec<(String, String)> =
            request.url.query_pairs().into_owned().filter(|(name, _)| *name != self.parameter).collect();
        if others.len() < request.url.query_pairs().count() {
            request.url.query_pairs_mut().clear().extend_pairs(others);
        }
        request.url.query_pairs_mut().append_pair(&self.parameter, self.value.expose_secret());
        request.secrets.push(self.value.clone());
        Box::pin(async { Ok(()) })
    }

    fn refused<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }
}
