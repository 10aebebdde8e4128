//! Buckets: an account of S3, or of a server that speaks its language, becomes an `Api` whose base URL is the bucket.

use std::{sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use url::Url;

use super::{
    check::Check,
    diagnostic::Problem,
    fill::HOLE,
    plan::{AnswerRule, Api, Auth, AwsKeys, Files, Folder, Meaning, Place, S3, Timeouts, When},
    raw_s3::{RawFiles, RawS3},
    raw_workspace::RawConnection,
    shape::Spanned,
};
use crate::model::Code;

/// An object is larger than what is sent to most APIs.
const ATTEMPT: Duration = Duration::from_secs(60);
/// Of an object's name, which has 1024 in all.
const PREFIX_BYTES_MAX: usize = 800;

impl Check<'_> {
    pub(super) fn s3(&self, name: &Spanned<String>, typed: &Spanned<RawS3>, raw: &RawConnection) -> Option<Folder> {
        let s3 = &typed.value;
        let base_url = self.bucket_url(s3);
        let prefix = self.prefix(s3.prefix.as_ref());
        let keys = self.keys(s3);
        let form = match s3.format.as_ref().map(|format| format.value) {
            None | Some(RawFiles::Jsonl) => Files::JsonLines,
            Some(RawFiles::Csv) => Files::Csv(self.separator(s3.separator.as_ref())),
            Some(RawFiles::Parquet) => Files::Parquet,
        };
        if let Some(separator) = s3.separator.as_ref().filter(|_| !matches!(form, Files::Csv(_))) {
            self.conflict(separator.span, "`separator` belongs to CSV", "write `format: csv`, or remove it");
        }
        let rotate_bytes = self.whole_file(s3.rotate.as_ref());
        let attempt = raw.timeouts.as_ref().and_then(|timeouts| timeouts.attempt.as_ref());
        let timeouts = self.timeouts(raw.timeouts.as_ref(), None);
        let timeouts = Timeouts { attempt: attempt.map_or(ATTEMPT, |_| timeouts.attempt), ..timeouts };
        // Two writes of one object at the same time: the other one may still fail.
        let status = vec![(409, 409)];
        let conflict = AnswerRule { when: When { status, ..When::default() }, is: Meaning::Retry { after: None } };
        let api = Api {
            connector: "s3".to_owned(),
            auth: Auth::Aws(Box::new(keys?)),
            timeouts,
            retry: self.retry(raw.retry.as_ref(), None),
            breaker: self.breaker(raw.breaker.as_ref(), None),
            answers: vec![conflict],
            egress: self.egress(raw, None),
            ca: raw.ca.as_ref().map(|ca| self.place(ca)),
            ..Api::new(&name.value, base_url?)
        };
        let place = Place::S3(Arc::new(S3 { api: Arc::new(api), prefix }));
        Some(Folder { name: name.value.clone(), place, rotate_bytes, form })
    }

    /// Where the bucket is: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>, read 2026-11-30.
    fn bucket_url(&self, s3: &RawS3) -> Option<Url> {
        let bucket = self.bucket_name(&s3.bucket)?;
        let region = self.region(&s3.region)?;
        let endpoint = match &s3.endpoint {
            Some(endpoint) => self.url(endpoint)?,
            // The regions of China are a partition of their own.
            None if region.starts_with("cn-") => Url::parse(&format!("https://s3.{region}.amazonaws.com.cn")).ok()?,
            None => Url::parse(&format!("https://s3.{region}.amazonaws.com")).ok()?,
        };
        if let Some(typed) = &s3.endpoint {
            self.warn_plain_http(typed, &endpoint);
        }
        // A certificate of `*.s3.example.com` is none for `a.b.s3.example.com`.
        let path_style = s3.path_style.unwrap_or(s3.endpoint.is_some() || bucket.contains('.'));
        let mut url = endpoint.clone();
        if path_style {
            url.set_path(&format!("{}/{bucket}", endpoint.path().trim_end_matches('/')));
        } else if url.set_host(Some(&format!("{bucket}.{}", endpoint.host_str()?))).is_err() {
            let message = "the bucket cannot stand in front of this host";
            let problem = Problem::new(Code::BadPath, s3.endpoint.as_ref()?.span, message);
            self.report(problem.help("write `path_style: true`"));
            return None;
        }
        Some(url)
    }

    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>, read 2026-11-30. Old buckets may have more.
    fn bucket_name<'n>(&self, name: &'n Spanned<String>) -> Option<&'n str> {
        let proper = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let (text, length) = (name.value.as_str(), name.value.len());
        if text.contains(HOLE) {
            return Some("bucket");
        }
        if (3..=255).contains(&length) && text.chars().all(proper) && text.trim_matches(['.', '-']) == text {
            return Some(text);
        }
        let problem = Problem::new(Code::BadPath, name.span, "this is no name of a bucket");
        self.report(
            problem.help("write it alone: 3 to 63 lower case letters, digits, `-` and `.`; folders stand in `prefix`"),
        );
        None
    }

    fn region<'n>(&self, name: &'n Spanned<String>) -> Option<&'n str> {
        let proper = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let text = name.value.as_str();
        if text.contains(HOLE) {
            return Some("us-east-1");
        }
        if !text.is_empty() && text.len() <= 64 && text.chars().all(proper) {
            return Some(text);
        }
        let problem = Problem::new(Code::BadPath, name.span, "this is no region");
        self.report(problem.help("write it as AWS does, such as `ap-northeast-1`; other servers take `us-east-1`"));
        None
    }

    fn prefix(&self, typed: Option<&Spanned<String>>) -> String {
        let Some(typed) = typed else { return String::new() };
        let text = typed.value.trim_end_matches('/');
        let is_odd = text.split('/').any(|part| part.is_empty() || part == "." || part == "..");
        if !text.is_empty() && (is_odd || text.len() > PREFIX_BYTES_MAX || text.chars().any(char::is_control)) {
            let problem = Problem::new(Code::BadPath, typed.span, "names of objects cannot begin so");
            self.report(problem.help("write it as a path below the bucket, such as `raw/shop`"));
        }
        if text.is_empty() { String::new() } else { format!("{text}/") }
    }

    fn keys(&self, s3: &RawS3) -> Option<AwsKeys> {
        let id = &s3.access_key_id;
        let proper = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ',' | '=') || c == HOLE;
        if id.value.is_empty() || !id.value.chars().all(proper) {
            let problem = Problem::new(Code::BadPath, id.span, "this is no access key id");
            self.report(
                problem.help("write it as it was given to you, or as a reference such as `${AWS_ACCESS_KEY_ID}`"),
            );
            return None;
        }
        let secret = &s3.secret_access_key;
        if secret.value.0.expose_secret().is_empty() {
            let problem = Problem::new(Code::MissingVariable, secret.span, "the secret `secret_access_key` is empty");
            self.report(problem.help("set the variable or file it refers to"));
            return None;
        }
        let token = s3.session_token.as_ref().map(|token| token.value.0.clone());
        Some(AwsKeys {
            id: id.value.clone(),
            secret: secret.value.0.clone(),
            token: token.filter(|token| !token.expose_secret().is_empty()),
            region: s3.region.value.clone(),
        })
    }
}
