//! What became of an attempt. Pure: an attempt's outcome and the rules go in, one judgement comes out, each but
//! `Accepted` with the fault to report if it is the last word.
//!
//! The call's own rules come first, then the connector's, then the defaults:
//!
//! | outcome | judgement |
//! |---|---|
//! | 2xx | accepted |
//! | 401 | unauthorized: new credentials, once |
//! | 403 that carries Retry-After or says that no quota is left; 429 | throttled, and nothing was done |
//! | 503 with Retry-After | throttled, and it may have taken effect: who says it may stand in front of the server |
//! | 403 | final: the account may not |
//! | 408, 425, other 5xx but 501 and 505 | again |
//! | everything else that was answered | refused |
//! | could not connect | again, and nothing was sent |
//! | no answer in time, broken, cut short | again, and it may have taken effect |
//! | TLS, egress, redirect, too large | final |

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;

use super::{Response, SendError, breaker::Health, redact, retry_after, told, trouble};
use crate::{
    config::plan::{AnswerRule, Meaning, When},
    model::{Disposition, Fault},
};

#[derive(Debug)]
pub enum Judgement {
    Accepted(Response),
    /// Answered, understood, and refused. The caller may know more about it.
    Refused(Response, Fault),
    Unauthorized(Fault),
    /// Asked to slow down. `sent`: it may have taken effect all the same.
    Throttled {
        after: Option<Duration>,
        sent: bool,
        fault: Fault,
    },
    /// Worth another attempt, if sending twice is safe or nothing was sent.
    Again {
        after: Option<Duration>,
        sent: bool,
        fault: Fault,
    },
    Final(Fault),
}

impl Judgement {
    /// What it says about the server.
    pub fn health(&self) -> Health {
        match self {
            Self::Accepted(_) | Self::Refused(..) | Self::Unauthorized(_) => Health::Answered,
            Self::Again { .. } => Health::Failed,
            Self::Throttled { .. } | Self::Final(_) => Health::Unknown,
        }
    }

    /// The server said that it did not take the request on.
    pub fn had_no_effect(&self) -> bool {
        matches!(self, Self::Unauthorized(_) | Self::Throttled { sent: false, .. })
    }

    /// What is said about it.
    pub fn fault_mut(&mut self) -> Option<&mut Fault> {
        match self {
            Self::Accepted(_) => None,
            Self::Refused(_, fault) | Self::Unauthorized(fault) | Self::Final(fault) => Some(fault),
            Self::Throttled { fault, .. } | Self::Again { fault, .. } => Some(fault),
        }
    }
}

/// Judges an attempt. `rules` are tried in order; `now` is our own time of day.
pub fn judge(
    outcome: Result<Response, SendError>,
    rules: &[&[AnswerRule]],
    secrets: &[SecretString],
    now: DateTime<Utc>,
) -> Judgement {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(error) => return unanswered(&error),
    };
    let rule = rules.iter().copied().flatten().find(|rule| matches(&rule.when, &answer));
    if matches!(rule, Some(AnswerRule { is: Meaning::Accept, .. })) || (rule.is_none() && answer.status.is_success()) {
        return Judgement::Accepted(answer);
    }
    if rule.is_none()
        && let Some(why) = client_refused(&answer)
    {
        return Judgement::Final(trouble::unanswered(&SendError::ClientRefused(why.to_owned())));
    }
    // Only now, because it parses the body, and an accepted page is not parsed here.
    let said = redact::message(&answer.body, secrets);
    match rule {
        Some(rule) => by_rule(&rule.is, answer, said.as_deref(), now),
        None => by_status(answer, said.as_deref(), now),
    }
}

fn unanswered(error: &SendError) -> Judgement {
    let fault = trouble::unanswered(error);
    match error {
        SendError::Unreachable(_) => Judgement::Again { after: None, sent: false, fault },
        SendError::Timeout | SendError::Broken(_) | SendError::Truncated { .. } => {
            Judgement::Again { after: None, sent: true, fault }
        }
        SendError::Tls(_)
        | SendError::ClientCertificate(_)
        | SendError::ClientRefused(_)
        | SendError::Egress(_)
        | SendError::BodyTooLarge { .. }
        | SendError::Unkept { .. }
        | SendError::Redirect { .. } => Judgement::Final(fault),
    }
}

fn by_rule(meaning: &Meaning, answer: Response, said: Option<&str>, now: DateTime<Utc>) -> Judgement {
    let status = answer.status;
    let asked = || retry_after::retry_after(&answer.headers, now);
    match meaning {
        Meaning::Accept => Judgement::Accepted(answer),
        Meaning::Retry { after } => {
            Judgement::Again { after: asked().or(*after), sent: true, fault: trouble::server_error(status, said) }
        }
        Meaning::Throttle { after } => Judgement::Throttled {
            sent: false,
            after: asked().or(*after).or_else(|| retry_after::reset(&answer.headers, now)),
            fault: trouble::throttled(status, said),
        },
        Meaning::Reject => Judgement::Refused(answer, trouble::refused(status, said)),
        Meaning::Missing => Judgement::Refused(answer, trouble::missing(status, said)),
        Meaning::Park => Judgement::Refused(answer, trouble::refused(status, said).with(Disposition::Park)),
        Meaning::Credentials => Judgement::Unauthorized(trouble::unauthorized(status, said)),
        Meaning::Halt => Judgement::Final(trouble::refused(status, said).with(Disposition::Halt)),
    }
}

fn by_status(answer: Response, said: Option<&str>, now: DateTime<Utc>) -> Judgement {
    let status = answer.status;
    let asked = retry_after::retry_after(&answer.headers, now);
    let throttled = |sent| Judgement::Throttled {
        sent,
        after: asked.or_else(|| retry_after::reset(&answer.headers, now)),
        fault: trouble::throttled(status, said),
    };
    match status {
        StatusCode::UNAUTHORIZED => Judgement::Unauthorized(trouble::unauthorized(status, said)),
        StatusCode::TOO_MANY_REQUESTS => throttled(false),
        StatusCode::FORBIDDEN if asked.is_some() || told::spent(&answer.headers) => throttled(false),
        StatusCode::FORBIDDEN => Judgement::Final(trouble::forbidden(status, said)),
        StatusCode::SERVICE_UNAVAILABLE if asked.is_some() => throttled(true),
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => {
            Judgement::Refused(answer, trouble::refused(status, said))
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
            Judgement::Again { after: asked, sent: true, fault: trouble::server_error(status, said) }
        }
        _ if status.is_server_error() => {
            Judgement::Again { after: asked, sent: true, fault: trouble::server_error(status, said) }
        }
        _ => Judgement::Refused(answer, trouble::refused(status, said)),
    }
}

/// nginx takes a request without a good client certificate and then answers it with a page of its own, under 400 or its
/// private statuses (seen of nginx 1.22.1). No application saw it.
fn client_refused(answer: &Response) -> Option<&'static str> {
    let says = |text: &[u8]| answer.body.len() < 4096 && answer.body.windows(text.len()).any(|part| part == text);
    match answer.status.as_u16() {
        496 => Some("it wants one"),
        495 => Some("it is not accepted"),
        400 if says(b"<title>400 No required SSL certificate was sent</title>") => Some("it wants one"),
        400 if says(b"<title>400 The SSL certificate error</title>") => Some("it is not accepted"),
        _ => None,
    }
}

/// Whether an answer looks as the rule says. All given conditions must hold.
fn matches(when: &When, answer: &Response) -> bool {
    meets(when, answer.status, &answer.headers, &answer.body)
}

/// Whether an answer meets all conditions.
pub fn meets(when: &When, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> bool {
    let status = status.as_u16();
    let status_ok = when.status.is_empty() || when.status.iter().any(|(from, to)| (*from..=*to).contains(&status));
    let header_ok = when.header.as_ref().is_none_or(|(name, text)| {
        let wanted = text.to_lowercase();
        let holds =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).to_lowercase().contains(&wanted);
        headers.get_all(name).iter().any(holds)
    });
    status_ok && header_ok && when.body.as_ref().is_none_or(|(path, texts)| body_matches(path, texts, body))
}

fn body_matches(path: &crate::model::Path, texts: &[String], body: &[u8]) -> bool {
    let Some(raw) = std::str::from_utf8(body).ok().and_then(|body| path.find(body)) else { return false };
    let value = match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => text,
        Err(_) => raw.get().to_owned(),
    };
    if texts.is_empty() { raw.get() != "null" } else { texts.contains(&value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Blame, Code, Path};
    use bytes::Bytes;
    use http::header;

    fn now() -> DateTime<Utc> {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn answer(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &'static str,
    ) -> Result<Response, SendError> {
        Ok(Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
            body: Bytes::from_static(body.as_bytes()),
        })
    }

    fn by_default(outcome: Result<Response, SendError>) -> Judgement {
        judge(outcome, &[], &[], now())
    }

    fn rule(when: When, is: Meaning) -> Vec<AnswerRule> {
        vec![AnswerRule { when, is }]
    }

    #[test]
    fn each_status_has_its_default() {
        for status in [200, 201, 204, 206] {
            assert!(matches!(by_default(answer(status, &[], "")), Judgement::Accepted(_)));
        }
        for (status, code) in [(400, Code::Refused), (404, Code::NotFound), (409, Code::Refused), (410, Code::NotFound)]
            .into_iter()
            .chain([(422, Code::Refused), (304, Code::Refused), (501, Code::Refused), (505, Code::Refused)])
        {
            let Judgement::Refused(_, fault) = by_default(answer(status, &[], "")) else { panic!("{status}") };
            assert_eq!((fault.code, fault.disposition), (code, Disposition::Reject), "{status}");
        }
        for status in [408, 425, 500, 502, 503, 504, 520] {
            let judgement = by_default(answer(status, &[], ""));
            assert!(matches!(judgement, Judgement::Again { after: None, sent: true, .. }), "{status}");
        }
        let Judgement::Unauthorized(fault) = by_default(answer(401, &[], "")) else { panic!() };
        assert_eq!((fault.code, fault.exit_code()), (Code::Unauthorized, 4));
        let Judgement::Final(fault) = by_default(answer(403, &[], "")) else { panic!() };
        assert_eq!((fault.code, fault.blame), (Code::Forbidden, Blame::Credentials));
    }

    #[test]
    fn throttling_is_seen_in_429_in_403_with_quota_headers_and_in_503_with_retry_after() {
        let after = |outcome| match by_default(outcome) {
            Judgement::Throttled { after, .. } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after(answer(429, &[], "")), None);
        assert_eq!(after(answer(429, &[("retry-after", "3")], "")), Some(Duration::from_secs(3)));
        assert_eq!(after(answer(429, &[("x-ratelimit-reset", "4")], "")), Some(Duration::from_secs(4)));
        let both = [("retry-after", "3"), ("x-ratelimit-reset", "40")];
        assert_eq!(after(answer(429, &both, "")), Some(Duration::from_secs(3)));
        assert_eq!(after(answer(503, &[("retry-after", "5")], "")), Some(Duration::from_secs(5)));
        assert_eq!(after(answer(403, &[("retry-after", "6")], "")), Some(Duration::from_secs(6)));
        let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "7")];
        assert_eq!(after(answer(403, &spent, "")), Some(Duration::from_secs(7)));
    }

    #[test]
    fn only_a_503_leaves_open_whether_a_throttled_request_took_effect() {
        for (status, effect) in [(429, false), (403, false), (503, true)] {
            let judgement = by_default(answer(status, &[("retry-after", "1")], ""));
            assert_eq!(judgement.had_no_effect(), !effect, "{status}");
        }
    }

    #[test]
    fn an_attempt_without_an_answer_says_whether_it_may_have_taken_effect() {
        let judged = |error| by_default(Err(error));
        assert!(matches!(judged(SendError::Unreachable("x".into())), Judgement::Again { sent: false, .. }));
        for error in
            [SendError::Timeout, SendError::Broken("x".into()), SendError::Truncated { status: StatusCode::OK }]
        {
            assert!(matches!(judged(error), Judgement::Again { sent: true, .. }));
        }
        for (error, code) in [
            (SendError::Tls("x".into()), Code::Tls),
            (SendError::Egress("x".into()), Code::Egress),
            (SendError::BodyTooLarge { status: StatusCode::OK }, Code::BodyTooLarge),
            (SendError::Redirect { to: "x".into() }, Code::Redirect),
        ] {
            let Judgement::Final(fault) = judged(error) else { panic!() };
            assert_eq!((fault.code, fault.disposition), (code, Disposition::Halt));
        }
    }

    #[test]
    fn the_connectors_rules_come_before_the_defaults_and_the_calls_before_both() {
        let status = |from, to| When { status: vec![(from, to)], ..When::default() };
        let quota = When {
            status: vec![(403, 403)],
            body: Some((Path::parse("[0].errorCode").unwrap(), vec!["REQUEST_LIMIT_EXCEEDED".into()])),
            ..When::default()
        };
        let salesforce = answer(403, &[], r#"[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]"#);
        let connector = rule(quota, Meaning::Throttle { after: Some(Duration::from_secs(60)) });
        let judged = judge(salesforce.clone(), &[&connector], &[], now());
        assert!(matches!(judged, Judgement::Throttled { after: Some(after), .. } if after.as_secs() == 60));
        let call = rule(status(400, 499), Meaning::Accept);
        assert!(matches!(judge(salesforce.clone(), &[&call, &connector], &[], now()), Judgement::Accepted(_)));
        assert!(matches!(judge(answer(403, &[], "[]"), &[&connector], &[], now()), Judgement::Final(_)));
    }

    #[test]
    fn each_kind_of_condition_holds_where_it_says_and_nowhere_else() {
        let path = |text: &str| Path::parse(text).unwrap();
        let none = When::default;
        let header = |text: &str| When { header: Some((header::SERVER.clone(), text.to_owned())), ..none() };
        let body = |at: &str, texts: &[&str]| When {
            body: Some((path(at), texts.iter().map(|text| (*text).to_owned()).collect())),
            ..none()
        };
        let status = |status: &[(u16, u16)]| When { status: status.to_vec(), ..none() };
        let both = When { status: vec![(403, 403)], ..body("error.code", &["quota"]) };
        let served = [("server", "Cloud EDGE/7")];
        let text = r#"{"error":{"code":"quota","n":7,"is":true,"nothing":null},"list":[{"id":"a"}]}"#;
        for (when, status, expected) in [
            (status(&[(403, 403)]), 403, true),
            (status(&[(403, 403)]), 404, false),
            (status(&[(500, 599), (403, 403)]), 503, true),
            (header(""), 200, true),
            (header("edge/"), 200, true),
            (header("origin"), 200, false),
            (body("error.code", &[]), 200, true),
            (body("error.nothing", &[]), 200, false),
            (body("error.absent", &[]), 200, false),
            (body("error.code", &["daily", "quota"]), 200, true),
            (body("error.code", &["daily"]), 200, false),
            (body("error.n", &["7"]), 200, true),
            (body("error.is", &["true"]), 200, true),
            (body("list[0].id", &["a"]), 200, true),
            (both.clone(), 403, true),
            (both, 400, false),
        ] {
            let Ok(answer) = answer(status, &served, text) else { panic!() };
            assert_eq!(matches(&when, &answer), expected, "{when:?} of {status}");
        }
        let Ok(page) = answer(200, &[], "<html>") else { panic!() };
        assert!(!matches(&body("error", &[]), &page) && !matches(&header(""), &page));
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let when = |from, to| When { status: vec![(from, to)], ..When::default() };
        let rules = [
            AnswerRule { when: when(409, 409), is: Meaning::Park },
            AnswerRule { when: when(400, 499), is: Meaning::Halt },
            AnswerRule { when: when(400, 400), is: Meaning::Accept },
        ];
        let judged = |status| judge(answer(status, &[], ""), &[&rules], &[], now());
        assert!(matches!(judged(409), Judgement::Refused(_, fault) if fault.disposition == Disposition::Park));
        assert!(matches!(judged(400), Judgement::Final(_)), "the later rule is never asked");
        assert!(matches!(judged(500), Judgement::Again { .. }), "what no rule fits has its default");
    }

    #[test]
    fn a_problem_of_rfc_9457_says_what_is_wrong_whatever_its_status() {
        let problem = r##"{"type":"https://example.com/probs/not-valid","title":"Your request is not valid.","status":422,
            "errors":[{"detail":"must be a positive integer","pointer":"#/age"}]}"##;
        let typed = [("content-type", "application/problem+json")];
        let said = "Your request is not valid: must be a positive integer (#/age)";
        let Judgement::Refused(_, fault) = by_default(answer(422, &typed, problem)) else { panic!() };
        assert_eq!(fault.message, format!("the server refused the request (422): {said}"));
        let Judgement::Again { fault, .. } = by_default(answer(503, &typed, problem)) else { panic!() };
        assert_eq!(fault.message, format!("the server failed (503): {said}"));
        let Judgement::Final(fault) = by_default(answer(403, &typed, problem)) else { panic!() };
        assert_eq!(fault.message, format!("the account may not do this (403): {said}"));
        // Its own word about the status is advice; the answer's counts.
        let lying = r#"{"title":"Fine","status":200}"#;
        assert!(matches!(by_default(answer(400, &typed, lying)), Judgement::Refused(..)));
    }

    #[test]
    fn a_success_that_says_no_is_a_refusal_where_a_rule_knows_it() {
        let body = |path: &str, texts: &[&str]| When {
            body: Some((Path::parse(path).unwrap(), texts.iter().map(|text| (*text).to_owned()).collect())),
            ..When::default()
        };
        let slack = answer(200, &[], r#"{"ok":false,"error":"not_in_channel","warning":null}"#);
        let judged = |when, is| judge(slack.clone(), &[&rule(when, is)], &[], now());
        let Judgement::Refused(_, fault) = judged(body("ok", &["false"]), Meaning::Reject) else { panic!() };
        assert_eq!(fault.message, "the server refused the request (200): not_in_channel");
        assert!(matches!(judged(body("error", &[]), Meaning::Halt), Judgement::Final(_)));
        assert!(matches!(judged(body("warning", &[]), Meaning::Halt), Judgement::Accepted(_)));
        assert!(matches!(judged(body("absent", &[]), Meaning::Halt), Judgement::Accepted(_)));
    }

    #[test]
    fn each_meaning_becomes_its_judgement() {
        let header = When { header: Some((header::SERVER.clone(), "edge".into())), ..When::default() };
        let judged =
            |is| judge(answer(400, &[("server", "cloud edge 7")], ""), &[&rule(header.clone(), is)], &[], now());
        assert!(matches!(judged(Meaning::Retry { after: None }), Judgement::Again { after: None, sent: true, .. }));
        assert!(matches!(judged(Meaning::Throttle { after: None }), Judgement::Throttled { after: None, .. }));
        let Judgement::Refused(_, fault) = judged(Meaning::Park) else { panic!() };
        assert_eq!(fault.disposition, Disposition::Park);
        let Judgement::Final(fault) = judged(Meaning::Halt) else { panic!() };
        assert_eq!(fault.disposition, Disposition::Halt);
        assert!(matches!(judged(Meaning::Credentials), Judgement::Unauthorized(_)));
        assert!(matches!(judged(Meaning::Reject), Judgement::Refused(_, fault) if fault.code == Code::Refused));
        let Judgement::Refused(_, fault) = judged(Meaning::Missing) else { panic!() };
        assert_eq!((fault.code, fault.disposition), (Code::NotFound, Disposition::Reject));
        assert!(matches!(judged(Meaning::Accept), Judgement::Accepted(_)));
    }
}
