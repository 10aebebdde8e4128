//! Cases: a connection is made of the connector and stand-ins, and every part keeps its place for what is said when the play
//! differs.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::{
    check::Check,
    compile_connection::Connectors,
    diagnostic::Problem,
    plan::{Api, Connection, Incremental},
    plan_case::{Answered, Case, Exchange, Expect, Expected, ExpectedBody, ExpectedVerdict, Given, Place, Subject},
    raw_auth::RawAuth,
    raw_case::{
        RawCase, RawCaseAnswer, RawExchange, RawExpect, RawExpectedRequest, RawExpectedVerdict, RawGiven,
        RawVerdictKind,
    },
    raw_workspace::RawConnection,
    shape::{Named, OneOrMany, Spanned},
    source::Span,
    stand_in,
};
use crate::model::{Code, Cursor, Fields, Key};

/// When a case begins that does not say when.
const NOW: &str = "2026-01-15T00:00:00Z";
/// A case that reads more pages has lost its way.
const PAGES_MAX: u64 = 1000;
const DAY: Duration = Duration::from_secs(86_400);
/// The largest file of an answer.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl Check<'_> {
    pub fn case(
        &self,
        name: &str,
        raw: &Spanned<RawCase>,
        connectors: &Connectors,
        auth: Option<&Spanned<RawAuth>>,
        folder: &Path,
    ) -> Option<Case> {
        let (owner, raw) = (raw.span, &raw.value);
        self.version(&raw.version);
        let api = self.case_api(owner, raw, connectors, auth)?;
        let given = raw.given.as_ref();
        let subject = self.subject(owner, raw, &api, given);
        let now = given.and_then(|given| given.now.as_ref()).and_then(|now| self.moment(now));
        let exchanges: Vec<Option<Exchange>> =
            raw.exchanges.iter().map(|exchange| self.exchange(exchange, &api, folder)).collect();
        Some(Case {
            name: name.to_owned(),
            description: raw.description.clone(),
            subject: subject?,
            now: now.or_else(|| NOW.parse().ok())?,
            exchanges: exchanges.into_iter().collect::<Option<_>>()?,
            expect: self.expectation(&raw.expect.value),
            place: self.spot(raw.expect.span),
            api: api.into(),
        })
    }

    /// The connector's account: the case's own settings over stand-ins.
    fn case_api(
        &self,
        owner: Span,
        raw: &RawCase,
        connectors: &Connectors,
        auth: Option<&Spanned<RawAuth>>,
    ) -> Option<Api> {
        let (connector, _) = connectors.first_key_value()?;
        let name = Spanned { value: connector.clone(), span: raw.version.span };
        let given = raw.connection.as_ref();
        let own = given.and_then(|given| given.auth.clone());
        let stand_in = || {
            let auth = auth?;
            Some(Spanned { value: stand_in::credentials(&auth.value, raw.version.span)?, span: raw.version.span })
        };
        let connection = RawConnection {
            connector: Some(name.clone()),
            jsonl: None,
            csv: None,
            parquet: None,
            s3: None,
            postgres: None,
            mysql: None,
            sqlite: None,
            base_url: given.and_then(|given| given.base_url.clone()),
            config: given.and_then(|given| given.config.clone()),
            auth: own.or_else(stand_in),
            budget: Vec::new(),
            timeouts: None,
            retry: None,
            breaker: None,
            egress: None,
            ca: None,
            trace_context: None,
            client_certificate: None,
            body_max: None,
            probe: None,
        };
        match self.connection(&name, &Spanned { value: connection, span: owner }, connectors)? {
            Connection::Api(api) => Some(stand_in::signed_in((*api).clone())),
            Connection::Folder(_) | Connection::Postgres(_) | Connection::Sqlite(_) | Connection::Mysql(_) => None,
        }
    }

    fn subject(&self, owner: Span, raw: &RawCase, api: &Api, given: Option<&RawGiven>) -> Option<Subject> {
        let of = format!("of the connector `{}` are", api.connector);
        match (&raw.stream, &raw.operation) {
            (Some(name), None) => {
                let Some(stream) = api.streams.get(&name.value) else {
                    self.unknown("stream", name, api.streams.keys().map(String::as_str), &format!("the streams {of}"));
                    return None;
                };
                if let Some(record) = given.and_then(|given| given.records.first()) {
                    self.conflict(
                        record.span,
                        "a stream writes no records",
                        "remove `records`, or name an `operation`",
                    );
                }
                let cursor = given.and_then(|given| given.cursor.as_ref()).map(|cursor| match stream.incremental {
                    Some(Incremental::Token { .. }) => Cursor::Token(cursor.value.clone()),
                    Some(Incremental::Field(_)) | None => cursor_of(&cursor.value),
                });
                let pages_max = given.and_then(|given| given.pages.as_ref()).map_or(PAGES_MAX, |pages| pages.value);
                Some(Subject::Stream { stream: stream.clone(), cursor, pages_max })
            }
            (None, Some(name)) => {
                let Some(operation) = api.operations.get(&name.value) else {
                    let known = api.operations.keys().map(String::as_str);
                    self.unknown("operation", name, known, &format!("the operations {of}"));
                    return None;
                };
                let records = given.map(|given| self.given_records(given)).unwrap_or_default();
                if records.is_empty() {
                    let problem = Problem::new(Code::CaseNothing, name.span, "there is no record to write");
                    self.absent(owner, problem.help("give some under `given: { records: .. }`"));
                }
                Some(Subject::Operation { operation: operation.clone(), records })
            }
            _ => {
                let problem = Problem::new(Code::CaseNothing, raw.version.span, "the case names nothing to play");
                self.absent(owner, problem.help("name one `stream` or one `operation` of the connector"));
                None
            }
        }
    }

    fn given_records(&self, given: &RawGiven) -> Vec<Given> {
        let records = given.records.iter().enumerate();
        let record = |(at, raw): (usize, &Spanned<super::raw_case::RawGivenRecord>)| {
            let json = self.json(&raw.value.fields);
            let Ok(fields) = Fields::parse(json.as_bytes()) else {
                let problem = Problem::new(Code::WrongType, raw.value.fields.span, "a record is a map of fields");
                self.report(problem.help("write `fields: { name: value }`"));
                return None;
            };
            let key = raw.value.key.as_ref().map_or_else(|| (at + 1).to_string(), |key| key.value.clone());
            Some(Given { key: Key::new(key), fields, sink_id: raw.value.sink_id.as_ref().map(|id| id.value.clone()) })
        };
        records.filter_map(record).collect()
    }

    fn exchange(&self, raw: &Spanned<RawExchange>, api: &Api, folder: &Path) -> Option<Exchange> {
        let wait = |time: Option<&_>| time.map(|time| self.time(Some(time), DAY, Duration::ZERO..=DAY));
        Some(Exchange {
            place: self.spot(raw.value.request.span),
            request: self.expected(&raw.value.request, api)?,
            after: wait(raw.value.after.as_ref()),
            within: wait(raw.value.within.as_ref()),
            answer: self.answered(&raw.value.answer, folder)?,
        })
    }

    fn expected(&self, raw: &Spanned<RawExpectedRequest>, api: &Api) -> Option<Expected> {
        let RawExpectedRequest { get, post, put, patch, delete, query, headers, json, form, text } = &raw.value;
        let methods = [
            (Method::GET, get),
            (Method::POST, post),
            (Method::PUT, put),
            (Method::PATCH, patch),
            (Method::DELETE, delete),
        ];
        let mut given = methods.into_iter().filter_map(|(method, path)| path.as_ref().map(|path| (method, path)));
        let (Some((method, path)), None) = (given.next(), given.next()) else {
            let help = "give its path with one of `get`, `post`, `put`, `patch` and `delete`";
            self.absent(
                raw.span,
                Problem::new(Code::MissingKey, raw.span, "the request has not one method").help(help),
            );
            return None;
        };
        let base = api.base_url.as_str().trim_end_matches('/');
        let url = if path.value.starts_with('/') { format!("{base}{}", path.value) } else { path.value.clone() };
        let Some(url) = Url::parse(&url).ok().filter(|url| url.query().is_none()) else {
            let problem = Problem::new(Code::BadPath, path.span, "this is no path");
            self.report(problem.help("begin with `/`, or write a whole URL; parameters belong under `query:`"));
            return None;
        };
        let bodies = [json.as_ref().map(|json| json.span), text.as_ref().map(|text| text.span)];
        let bodies = bodies.into_iter().flatten().count() + usize::from(form.is_some());
        if bodies > 1 {
            self.conflict(raw.span, "the request has two bodies", "keep one of `json`, `form` and `text`");
        }
        let body = match (json, form, text) {
            (Some(json), ..) => ExpectedBody::Json(self.value(json)),
            (_, Some(form), _) => ExpectedBody::Form(pairs(form)),
            (.., Some(text)) => ExpectedBody::Text(text.value.clone()),
            _ => ExpectedBody::None,
        };
        let headers =
            headers.iter().filter_map(|(name, value)| Some((self.header(name)?, value.value.clone()))).collect();
        Some(Expected { method, url, query: pairs(query), headers, body })
    }

    /// The answer; inside nothing where none comes.
    fn answered(&self, raw: &Spanned<RawCaseAnswer>, folder: &Path) -> Option<Option<Answered>> {
        let RawCaseAnswer { status, headers: named, json, text, file, lost } = &raw.value;
        if lost.is_some() {
            return Some(None);
        }
        let mut headers = HeaderMap::new();
        for (name, value) in named.iter() {
            let Ok(text) = HeaderValue::from_str(&value.value) else {
                self.report(Problem::new(Code::BadPath, value.span, "a header's value must be one line"));
                continue;
            };
            headers.append(self.header(name)?, text);
        }
        let body = match (json, text, file) {
            (Some(json), None, None) => Bytes::from(self.json(json)),
            (None, Some(text), None) => Bytes::from(text.value.clone()),
            (None, None, Some(file)) => self.answer_file(file, folder)?,
            (None, None, None) => Bytes::new(),
            _ => {
                self.conflict(raw.span, "the answer has two bodies", "keep one of `json`, `text` and `file`");
                return None;
            }
        };
        Some(Some(Answered { status: self.status(status.as_ref(), StatusCode::OK), headers, body }))
    }

    fn answer_file(&self, file: &Spanned<String>, folder: &Path) -> Option<Bytes> {
        let refused = |message: String| {
            let problem = Problem::new(Code::CaseFile, file.span, message);
            self.report(problem.help("name a file in the folder of the cases, of 1 MiB at the most"));
        };
        let is_name = !file.value.is_empty() && !file.value.contains(['/', '\\']) && file.value != "..";
        if !is_name {
            refused("this is no name of a file beside the case".to_owned());
            return None;
        }
        let path = folder.join("cases").join(&file.value);
        match std::fs::metadata(&path).map(|data| data.len()) {
            Ok(length) if length > FILE_BYTES_MAX => {
                refused(format!("the file has {length} bytes"));
                None
            }
            Ok(_) => std::fs::read(&path).map(Bytes::from).map_err(|error| refused(error.to_string())).ok(),
            Err(error) => {
                refused(format!("the file cannot be read: {error}"));
                None
            }
        }
    }

    fn expectation(&self, raw: &RawExpect) -> Expect {
        let texts = |list: &Vec<Spanned<String>>| list.iter().map(|text| text.value.clone()).collect();
        Expect {
            records: raw
                .records
                .as_ref()
                .map(|list| list.iter().map(|record| (self.spot(record.span), self.value(record))).collect()),
            keys: raw.keys.as_ref().map(texts),
            gone: raw.gone.as_ref().map(texts),
            refused: raw.refused.as_ref().map(|list| list.iter().filter_map(|code| self.fault_code(code)).collect()),
            cursor: raw.cursor.as_ref().map(|cursor| (self.spot(cursor.span), cursor_of(&cursor.value))),
            verdicts: raw
                .verdicts
                .as_ref()
                .map(|list| list.iter().map(|raw| (self.spot(raw.span), self.verdict(&raw.value))).collect()),
            fault: raw.fault.as_ref().and_then(|code| Some((self.spot(code.span), self.fault_code(code)?))),
        }
    }

    fn verdict(&self, raw: &RawExpectedVerdict) -> ExpectedVerdict {
        let is = match raw.is {
            RawVerdictKind::Created => "created",
            RawVerdictKind::Updated => "updated",
            RawVerdictKind::Deleted => "deleted",
            RawVerdictKind::Rejected => "rejected",
            RawVerdictKind::Parked => "parked",
        };
        let text = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.value.clone());
        let code = raw.code.as_ref().and_then(|code| self.fault_code(code));
        ExpectedVerdict { is, id: text(&raw.id), code, says: text(&raw.says) }
    }

    fn fault_code(&self, raw: &Spanned<String>) -> Option<Code> {
        let code = raw.value.parse().ok();
        if code.is_none() {
            let problem = Problem::new(Code::UnknownName, raw.span, format!("there is no code `{}`", raw.value));
            self.report(problem.help("`renkei explain` lists all codes"));
        }
        code
    }

    fn moment(&self, raw: &Spanned<String>) -> Option<DateTime<Utc>> {
        let at = DateTime::parse_from_rfc3339(&raw.value).ok();
        if at.is_none() {
            let problem = Problem::new(Code::WrongType, raw.span, "this is no time");
            self.report(problem.help("write it as 2026-01-15T09:00:00Z"));
        }
        at.map(|at| at.to_utc())
    }

    fn value(&self, tree: &Spanned<super::shape::Tree>) -> Value {
        serde_json::from_str(&self.json(tree)).unwrap_or(Value::Null)
    }

    /// Where something stands, for what is said while it is played.
    fn spot(&self, span: Span) -> Place {
        let position = self.sources.position(span);
        let file = self.sources.file(span.file).map(|file| file.path.clone()).unwrap_or_default();
        Place { file, line: position.line, column: position.column }
    }
}

fn pairs(named: &Named<OneOrMany<String>>) -> Vec<(String, String)> {
    let each = |(name, values): &(Spanned<String>, OneOrMany<String>)| {
        values.0.iter().map(|value| (name.value.clone(), value.value.clone())).collect::<Vec<_>>()
    };
    named.iter().flat_map(each).collect()
}

/// A time, a whole number, or else a token.
fn cursor_of(text: &str) -> Cursor {
    match (DateTime::parse_from_rfc3339(text), text.parse()) {
        (Ok(at), _) => Cursor::Instant(at.to_utc()),
        (_, Ok(number)) => Cursor::Integer(number),
        _ => Cursor::Token(text.to_owned()),
    }
}
