//! AWS Signature Version 4: requests that S3 and whoever speaks its language take.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>, read 2026-11-30.
//!
//! The signature is made of the request as the server sees it: path and query as they are on the wire, the names of the headers that
//! it vouches for, and the hash of the body. Each attempt is signed anew, by the server's time of day as far as its answers told it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue};
use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};

use super::fixed::sensitive;
use crate::{
    config::plan::AwsKeys,
    http::{Request, Signer},
    model::{BoxFuture, Clock, Fault},
};

const BODY_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

pub struct AwsSigner {
    keys: AwsKeys,
    clock: Arc<dyn Clock>,
}

impl AwsSigner {
    pub fn new(keys: &AwsKeys, clock: Arc<dyn Clock>) -> Self {
        Self { keys: keys.clone(), clock }
    }

    fn put(&self, request: &mut Request) -> Result<(), Fault> {
        let AwsKeys { id, secret, token, .. } = &self.keys;
        let at = self.clock.now() + request.offset;
        let body_hash = hex(digest::digest(&digest::SHA256, &request.body).as_ref());
        let stamp = at.format("%Y%m%dT%H%M%SZ").to_string();
        for (name, text) in [(BODY_HASH, &body_hash), (DATE, &stamp)] {
            request.headers.insert(name, sensitive(text)?);
        }
        if let Some(token) = token {
            request.headers.insert(TOKEN, sensitive(token.expose_secret())?);
        }
        let signature = self.signature(request, at, &body_hash);
        let (names, _) = vouched(request);
        let value =
            format!("AWS4-HMAC-SHA256 Credential={id}/{},SignedHeaders={names},Signature={signature}", self.scope(at));
        request.headers.insert(http::header::AUTHORIZATION, sensitive(&value)?);
        request.secrets.extend([secret.clone(), SecretString::from(signature)]);
        request.secrets.extend(token.clone());
        Ok(())
    }

    /// What the key is good for: a day, a region, a service.
    fn scope(&self, at: DateTime<Utc>) -> String {
        format!("{}/{}/s3/aws4_request", at.format("%Y%m%d"), self.keys.region)
    }

    fn signature(&self, request: &Request, at: DateTime<Utc>, body_hash: &str) -> String {
        let (names, headers) = vouched(request);
        let (path, query) = (request.url.path(), sorted(request.url.query().unwrap_or_default()));
        let canonical = format!("{}\n{path}\n{query}\n{headers}\n{names}\n{body_hash}", request.method);
        let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let (stamp, scope) = (at.format("%Y%m%dT%H%M%SZ"), self.scope(at));
        let string = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{canonical}");
        let first = format!("AWS4{}", self.keys.secret.expose_secret()).into_bytes();
        let key = scope.split('/').fold(first, |key, part| keyed(&key, part));
        hex(&keyed(&key, &string))
    }
}

/// The headers that the signature vouches for: their names, and one line for each.
fn vouched(request: &Request) -> (String, String) {
    let url = &request.url;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = format!("{}{port}", url.host_str().unwrap_or_default());
    let own = |(name, value): (&HeaderName, &HeaderValue)| {
        let is_vouched = name.as_str().starts_with("x-amz-") || name == http::header::RANGE;
        let value = value.to_str().ok().filter(|_| is_vouched)?;
        Some((name.to_string(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    let mut all: Vec<(String, String)> = request.headers.iter().filter_map(own).collect();
    all.push(("host".to_owned(), host));
    all.sort();
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let lines: String = all.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    (names.join(";"), lines)
}

/// A query's parameters by name, each with its `=`. Whoever made it encoded them as S3 wants it.
fn sorted(query: &str) -> String {
    let pair = |pair: &str| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") };
    let mut all: Vec<String> = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
    all.sort();
    all.join("&")
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Signer for AwsSigner {
    fn sign<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<(), Fault>> {
        let put = self.put(request);
        Box::pin(async { put })
    }

    fn refused<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::TimeDelta;
    use http::{HeaderMap, Method};

    use super::*;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> DateTime<Utc> {
            "2013-05-24T01:00:00Z".parse().unwrap()
        }
    }

    fn signed(url: &str, range: Option<&'static str>, token: Option<&str>) -> Request {
        let keys = AwsKeys {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            token: token.map(SecretString::from),
            region: "us-east-1".to_owned(),
        };
        let mut headers = HeaderMap::new();
        headers.extend(range.map(|range| (http::header::RANGE, HeaderValue::from_static(range))));
        let mut request = Request {
            method: Method::GET,
            url: url.parse().unwrap(),
            headers,
            body: Bytes::new(),
            body_bytes_max: 0,
            spool: None,
            secrets: Vec::new(),
            // The server's clock is an hour behind ours.
            offset: TimeDelta::hours(-1),
            offset_learned: TimeDelta::zero(),
        };
        AwsSigner::new(&keys, Arc::new(Noon)).put(&mut request).unwrap();
        request
    }

    /// The examples of the page that is named above.
    #[test]
    fn requests_are_signed_as_aws_signs_them() {
        let host = "https://examplebucket.s3.amazonaws.com";
        for (path, range, signature) in [
            ("/test.txt", Some("bytes=0-9"), "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
            ("/?lifecycle", None, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("/?prefix=J&max-keys=2", None, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ] {
            let request = signed(&format!("{host}{path}"), range, None);
            let value = request.headers[http::header::AUTHORIZATION].to_str().unwrap().to_owned();
            assert!(value.ends_with(&format!("Signature={signature}")), "{path}: {value}");
            assert!(request.headers[http::header::AUTHORIZATION].is_sensitive());
        }
    }

    #[test]
    fn a_lent_key_sends_its_token_and_vouches_for_it() {
        let request = signed("https://b.example.com:9000/x", None, Some("lent"));
        let value = request.headers[http::header::AUTHORIZATION].to_str().unwrap();
        let names = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
        assert!(value.contains(names), "{value}");
        assert_eq!((request.headers["x-amz-security-token"].as_bytes(), request.secrets.len()), (&b"lent"[..], 3));
        assert!(vouched(&request).1.starts_with("host:b.example.com:9000\n"));
    }
}
