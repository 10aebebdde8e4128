//! What was seen, and what it is taken for.

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use url::Url;

use super::{Line, State, network};
use crate::http::{Look, SendError, keys::Dates};

fn now() -> DateTime<Utc> {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn look(certificate: Option<Dates>) -> Look {
    Look {
        status: http::StatusCode::OK,
        headers: HeaderMap::new(),
        certificate,
        peer: None,
        took: std::time::Duration::ZERO,
    }
}

fn reach(url: &str, addresses: Result<Vec<std::net::IpAddr>, SendError>, look: Result<Look, SendError>) -> Vec<Line> {
    network::reach(&Url::parse(url).unwrap(), &addresses, Some(&look), now())
}

fn states(lines: &[Line]) -> Vec<State> {
    lines.iter().map(|line| line.state).collect()
}

#[test]
fn a_certificate_with_a_short_life_is_not_warned_of_while_it_is_renewed_in_time() {
    let dates = |life: i64, left: i64| Dates {
        subject: "CN=a".to_owned(),
        not_before: now() - TimeDelta::hours(life - left),
        not_after: now() + TimeDelta::hours(left),
    };
    for (life, left, state) in [
        (24 * 90, 24 * 8, State::Ok),
        (24 * 90, 24 * 6, State::Warning),
        (24 * 6, 48, State::Ok),
        (24 * 6, 24, State::Warning),
    ] {
        let lines = reach("https://a.test/", Ok(vec!["192.0.2.1".parse().unwrap()]), Ok(look(Some(dates(life, left)))));
        assert_eq!(states(&lines), [State::Ok, State::Ok, state], "{life} {left}");
    }
}

#[test]
fn a_name_that_only_a_proxy_resolves_is_well_where_the_server_answers() {
    let unresolved = || Err(SendError::Unreachable("no such name".to_owned()));
    let lines = reach("https://a.test/", unresolved(), Ok(look(None)));
    assert_eq!(states(&lines), [State::Ok, State::Ok, State::Ok]);
    assert!(lines[0].seen.contains("proxy"));
    let lines = reach("https://a.test/", unresolved(), unresolved().map(|_: Vec<std::net::IpAddr>| look(None)));
    assert_eq!(states(&lines), [State::Failed, State::NotTried, State::NotTried]);
}

#[test]
fn a_server_that_does_not_answer_a_look_is_not_given_up() {
    for error in [SendError::Timeout, SendError::Broken("reset".to_owned())] {
        let lines = reach("http://127.0.0.1:1/", Ok(vec!["127.0.0.1".parse().unwrap()]), Err(error));
        assert_eq!(states(&lines), [State::Ok, State::Warning, State::Ok]);
    }
}

#[test]
fn credentials_in_the_clear_are_warned_of_except_on_this_machine() {
    let far = reach("http://a.test/", Ok(vec!["192.0.2.1".parse().unwrap()]), Ok(look(None)));
    assert_eq!(far[2].state, State::Warning);
    let near = reach("http://localhost:1/", Ok(vec!["127.0.0.1".parse().unwrap()]), Ok(look(None)));
    assert_eq!(near[2].state, State::Ok);
}

#[test]
fn a_clock_is_compared_with_an_answer_that_no_cache_gave() {
    let told = |date: &'static str, age: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        headers.insert("date", date.parse().unwrap());
        age.map(|age| headers.insert("age", age.parse().unwrap()));
        network::clock(Some(&headers), now())
    };
    assert_eq!(told("Tue, 24 Nov 2026 12:00:20 GMT", None).state, State::Ok);
    let behind = told("Tue, 24 Nov 2026 12:00:31 GMT", None);
    assert_eq!((behind.state, behind.seen.contains("31 s behind")), (State::Warning, true), "{}", behind.seen);
    assert_eq!(told("Tue, 24 Nov 2026 11:00:00 GMT", Some("3600")).state, State::NotTried);
    assert_eq!(told("noon", None).state, State::NotTried);
    assert_eq!(network::clock(None, now()).state, State::NotTried);
}
