//! Objects in a bucket of S3, or of a server that speaks its language.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>, and `ListObjectsV2`, `DeleteObject`, `HeadObject` beside it, read
//! 2026-11-30.
//!
//! An object is put on the condition that there is none of its name (`If-None-Match: *`), so of two writers one is refused. A put whose
//! answer was lost is refused too, because the first attempt took effect: so each object carries the hash of its bytes, by which it is
//! recognised.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use sha2::{Digest, Sha256};
use url::Url;

use crate::{
    config::plan::S3,
    http::{Answer, Call, Client, Ruling, xml},
    model::{Blame, Code, Fault},
};

const HASH: HeaderName = HeaderName::from_static("x-amz-meta-renkei-sha256");
/// The most that a server lists at once.
const LISTED_MAX: usize = 1000;
/// Pages of one listing.
const PAGES_MAX: usize = 10_000;

/// Objects of one name and ending.
pub struct BucketPlace {
    client: Client,
    bucket: Url,
    /// What their names begin with: `raw/shop/orders.`.
    lead: String,
    ending: &'static str,
    media_type: &'static str,
}

impl BucketPlace {
    pub fn new(client: Client, bucket: &S3, name: &str, (ending, media_type): (&'static str, &'static str)) -> Self {
        let lead = format!("{}{name}.", bucket.prefix);
        Self { client, bucket: bucket.api.base_url.clone(), lead, ending, media_type }
    }

    pub async fn agree(&self, next: Option<u64>) -> Result<u64, Fault> {
        let found = self.present(next.unwrap_or_default()).await?;
        match (next, found.first()) {
            (None, Some(first)) => Err(self.unknown(*first, "no checkpoint knows of it")),
            (None, None) => Ok(0),
            (Some(next), _) => {
                // From the end, so that whoever is killed here leaves no gap that hides the rest.
                for number in found.into_iter().rev() {
                    self.delete(number).await?;
                }
                Ok(next)
            }
        }
    }

    pub async fn put(&self, number: u64, bytes: Bytes) -> Result<(), Fault> {
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let hash = HeaderValue::try_from(hash).unwrap_or_else(|_| HeaderValue::from_static(""));
        let mut call = self.call(Method::PUT, &self.key(number), "");
        call.headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        call.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        call.headers.insert(HASH, hash.clone());
        call.body = bytes;
        let answer = self.client.execute(&call).await?;
        if answer.status != StatusCode::PRECONDITION_FAILED {
            return self.accepted(answer, "put an object").map(drop);
        }
        let head = self.client.execute(&self.call(Method::HEAD, &self.key(number), "")).await?;
        match head.headers.get(HASH) == Some(&hash) {
            true => Ok(()),
            false => Err(self.unknown(number, "somebody else put it")),
        }
    }

    /// The numbers of the objects from one on, in their order.
    async fn present(&self, from: u64) -> Result<Vec<u64>, Fault> {
        let mut numbers = Vec::new();
        // Names of one length are in the order of their numbers.
        let after = from.checked_sub(1).map(|before| format!("&start-after={}", encoded(&self.key(before), false)));
        let first = format!("list-type=2&max-keys={LISTED_MAX}&prefix={}", encoded(&self.lead, false));
        let mut query = format!("{first}{}", after.unwrap_or_default());
        for _ in 0..PAGES_MAX {
            let answer = self.client.execute(&self.call(Method::GET, "", &query)).await?;
            let answer = self.accepted(answer, "list objects")?;
            let texts = |name| xml::texts(&answer.body, name).ok_or_else(|| no_list(&answer));
            numbers.extend(texts("Key")?.iter().filter_map(|key| self.number_of(key)).filter(|number| *number >= from));
            match texts("NextContinuationToken")?.first() {
                Some(token) => query = format!("{first}&continuation-token={}", encoded(token, false)),
                None => {
                    numbers.sort_unstable();
                    return Ok(numbers);
                }
            }
        }
        Err(Fault::halt(Code::FileSink, Blame::Remote, "the list of objects has no end")
            .help("Nothing was changed. Give the connection a `prefix` of its own."))
    }

    async fn delete(&self, number: u64) -> Result<(), Fault> {
        let answer = self.client.execute(&self.call(Method::DELETE, &self.key(number), "")).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(()),
            _ => self.accepted(answer, "delete an object").map(drop),
        }
    }

    fn key(&self, number: u64) -> String {
        format!("{}{number:09}.{}", self.lead, self.ending)
    }

    fn number_of(&self, key: &str) -> Option<u64> {
        let digits = key.strip_prefix(&self.lead)?.strip_suffix(self.ending)?.strip_suffix('.')?;
        digits.parse().ok().filter(|number| self.key(*number) == key)
    }

    fn call(&self, method: Method, key: &str, query: &str) -> Call {
        call(&self.bucket, method, key, query)
    }

    fn accepted(&self, answer: Answer, doing: &str) -> Result<Answer, Fault> {
        accepted(answer, &format!("{doing} of {}*", self.lead))
    }

    fn unknown(&self, number: u64, why: &str) -> Fault {
        let message = format!("the object {} is there, and {why}", self.key(number));
        Fault::halt(Code::FileChanged, Blame::Host, message).help(format!(
            "It was not touched: renkei neither overwrites nor continues objects that it does not know. Another pipeline or another state \
             directory may write here, or the state they were written with is gone. Move {}* away, give the pipeline another file name, or \
             put the state directory back, and run again.",
            self.lead
        ))
    }
}

/// Puts an object of no use and deletes it again. Returns where it stood.
pub async fn look_at_bucket(client: &Client, bucket: &S3) -> Result<String, Fault> {
    let key = format!("{}.renkei-doctor", bucket.prefix);
    let url = &bucket.api.base_url;
    let list = format!("list-type=2&max-keys=1&prefix={}", encoded(&key, false));
    for (method, key, query, doing) in [
        (Method::GET, "", list.as_str(), "list objects"),
        (Method::PUT, key.as_str(), "", "put an object"),
        (Method::DELETE, key.as_str(), "", "delete an object"),
    ] {
        accepted(client.execute(&call(url, method, key, query)).await?, doing)?;
    }
    Ok(format!("{url}/{}", bucket.prefix))
}

/// `key` empty: the bucket itself.
fn call(bucket: &Url, method: Method, key: &str, query: &str) -> Call {
    let mut url = bucket.clone();
    url.set_path(&format!("{}/{}", bucket.path().trim_end_matches('/'), encoded(key, true)));
    url.set_query(Some(query).filter(|query| !query.is_empty()));
    Call {
        name: "objects".into(),
        route: if key.is_empty() { "/".into() } else { "/{key}".into() },
        method,
        url,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        // What is put twice is the same, and what is deleted twice is gone.
        repeatable: true,
        timeout: None,
        deadline: None,
        answers: Vec::new(),
        hides: Vec::new(),
        unsigned: false,
        spool: None,
    }
}

fn accepted(answer: Answer, doing: &str) -> Result<Answer, Fault> {
    match &answer.ruling {
        Ruling::Accepted => Ok(answer),
        Ruling::Refused(fault) => Err(Fault::halt(Code::FileSink, Blame::Config, format!("failed to {doing}: {}", fault.message))
            .help(
                "Everything that was committed is safe. Check the connection's bucket, region, endpoint and keys; the keys need the \
                 rights s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject.",
            )),
    }
}

fn no_list(answer: &Answer) -> Fault {
    let message = format!("the answer to a list of objects ({}) is no list", answer.status.as_u16());
    Fault::halt(Code::FileSink, Blame::Remote, message).help("Nothing was changed. Check the connection's `endpoint`.")
}

/// As S3 wants paths and parameters, and as they are signed: all but unreserved letters of RFC 3986, and the slashes of paths.
fn encoded(text: &str, is_path: bool) -> String {
    let mut all = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => all.push(byte.into()),
            b'/' if is_path => all.push('/'),
            _ => all.push_str(&format!("%{byte:02X}")),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_they_are_signed() {
        assert_eq!(encoded("raw/a b+c=名~.jsonl", true), "raw/a%20b%2Bc%3D%E5%90%8D~.jsonl");
        assert_eq!(encoded("raw/x", false), "raw%2Fx");
        let bucket = Url::parse("http://localhost:9000/lake").unwrap();
        let url = call(&bucket, Method::PUT, "raw/a b", "prefix=raw%2F").url;
        assert_eq!(url.as_str(), "http://localhost:9000/lake/raw/a%20b?prefix=raw%2F");
        assert_eq!(call(&bucket, Method::GET, "", "").url.as_str(), "http://localhost:9000/lake/");
    }
}
