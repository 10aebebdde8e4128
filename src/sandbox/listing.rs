//! `GET /shop/customers`: one page of the listing, and the token that finds the next one. The listing goes on after the
//! last record of the page before, wherever that record has moved to since.

use std::ops::Bound::{Excluded, Unbounded};

use chrono::{DateTime, Utc};
use http::StatusCode;

use super::{
    call::{Answer, Call, Refusal, bad_parameter, bytes, error},
    config::WorldConfig,
    shop::Shop,
    token::PageToken,
};

pub(super) fn customers(shop: &mut Shop, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
    let limit = call.page_size("limit", config.page_size, config.page_size_max)?;
    let (since, before) = (instant(call, "updated_since")?, instant(call, "updated_before")?);
    let from = match call.parameter("cursor") {
        None => PageToken { at: i64::MIN, id: 0, since, before, issued_ms: 0 },
        Some(text) => go_on(&text, since, before, call.now, config)?,
    };
    let with_deleted = call.parameter("include_deleted").as_deref() == Some("true");
    shop.drift(call.now, config);
    Ok(page(shop, &from, limit, with_deleted, call.now, config))
}

fn page(
    shop: &Shop,
    from: &PageToken,
    limit: usize,
    with_deleted: bool,
    now: DateTime<Utc>,
    config: &WorldConfig,
) -> Answer {
    let mut body = String::from(r#"{"data":["#);
    let (mut count, mut last, mut next) = (0, (from.at, from.id), None);
    // In the ordered listing the place is the instant itself, so the filter is a range and no row is looked at twice.
    let start = match (config.unordered, from.since) {
        (false, Some(since)) if since > from.at => Excluded((since - 1, usize::MAX)),
        _ if from.at == i64::MIN => Unbounded,
        _ => Excluded((from.at, from.id)),
    };
    for listed in shop.listed(start) {
        let updated = listed.updated_at.timestamp_micros();
        let beyond = from.before.is_some_and(|before| updated >= before);
        if beyond && !config.unordered {
            break;
        }
        if listed.deleted && !with_deleted {
            continue;
        }
        if beyond || from.since.is_some_and(|since| updated < since) {
            continue;
        }
        if count == limit {
            let (at, id) = last;
            next = Some(PageToken { at, id, issued_ms: now.timestamp_millis(), ..from.clone() }.write());
            break;
        }
        if count > 0 {
            body.push(',');
        }
        body.push_str(listed.json);
        (count, last) = (count + 1, listed.place);
    }
    match next {
        Some(next) => body.push_str(&format!(r#"],"next_cursor":"{next}","has_more":true}}"#)),
        None => body.push_str(r#"],"next_cursor":null,"has_more":false}"#),
    }
    bytes(StatusCode::OK, body.into_bytes())
}

/// Reads the token and checks it against the filters, which may be left out because the token knows them.
pub(super) fn go_on(
    text: &str,
    since: Option<i64>,
    before: Option<i64>,
    now: DateTime<Utc>,
    config: &WorldConfig,
) -> Result<PageToken, Refusal> {
    let Some(token) = PageToken::read(text) else {
        return Err(error(StatusCode::BAD_REQUEST, "invalid_cursor", "the cursor is not one of ours"));
    };
    let fits = |given: Option<i64>, known: Option<i64>| given.is_none() || given == known;
    if !fits(since, token.since) || !fits(before, token.before) {
        return Err(error(
            StatusCode::BAD_REQUEST,
            "cursor_mismatch",
            "the cursor belongs to a listing with other filters",
        ));
    }
    let age_ms = now.timestamp_millis().saturating_sub(token.issued_ms);
    match config.page_token_ttl {
        Some(ttl) if age_ms > i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX) => {
            Err(error(StatusCode::GONE, "cursor_expired", "start the listing again"))
        }
        _ => Ok(token),
    }
}

/// Microseconds of an RFC 3339 parameter.
pub(super) fn instant(call: &Call, name: &str) -> Result<Option<i64>, Refusal> {
    match call.parameter(name) {
        None => Ok(None),
        Some(text) => match DateTime::parse_from_rfc3339(&text) {
            Ok(at) => Ok(Some(at.timestamp_micros())),
            Err(_) => Err(bad_parameter(name, "is not an RFC 3339 time (is a + written as %2B?)")),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use serde_json::Value;

    use super::*;
    use crate::sandbox::probe::{Probe, calm, json};

    fn text<'a>(records: &'a [Value], field: &str) -> Vec<&'a str> {
        records.iter().map(|record| record[field].as_str().unwrap()).collect()
    }

    fn ids(records: &[Value]) -> HashSet<&str> {
        text(records, "id").into_iter().collect()
    }

    #[test]
    fn pages_hold_every_customer_once_in_the_order_of_their_change() {
        let mut probe = Probe::new(calm());
        for limit in [1, 3, 7, 20, 200] {
            let all = probe.walk(&format!("limit={limit}"));
            let times = text(&all, "updated_at");
            assert!(times.is_sorted(), "{times:?}");
            assert_eq!((all.len(), ids(&all).len()), (20, 20), "limit {limit}");
        }
        let all = probe.walk("");
        assert_eq!(all[0]["updated_at"], all[3]["updated_at"], "an import gives many records one time");
    }

    #[test]
    fn a_window_is_half_open() {
        let mut probe = Probe::new(calm());
        let all = probe.walk("");
        let (from, to) = (all[4]["updated_at"].as_str().unwrap(), all[12]["updated_at"].as_str().unwrap());
        for limit in [1, 3, 50] {
            let window = probe.walk(&format!("updated_since={from}&updated_before={to}&limit={limit}"));
            assert_eq!(window, all[4..12], "limit {limit}");
        }
    }

    #[test]
    fn a_cursor_knows_its_filters_and_fits_no_others() {
        let mut probe = Probe::new(calm());
        let all = probe.walk("");
        let since = all[4]["updated_at"].as_str().unwrap();
        let first = probe.read(&format!("/shop/customers?limit=4&updated_since={since}"));
        let cursor = first["next_cursor"].as_str().unwrap();
        let rest = probe.read(&format!("/shop/customers?limit=200&cursor={cursor}"));
        assert_eq!(rest["data"].as_array().unwrap()[..], all[8..]);
        let other = probe.get(&format!("/shop/customers?cursor={cursor}&updated_since=2020-01-01T00:00:00Z"));
        assert_eq!((other.status().as_u16(), json(&other)["error"].as_str()), (400, Some("cursor_mismatch")));
        let damaged = probe.get(&format!("/shop/customers?cursor=x{cursor}"));
        assert_eq!((damaged.status().as_u16(), json(&damaged)["error"].as_str()), (400, Some("invalid_cursor")));
    }

    #[test]
    fn an_old_cursor_is_gone_when_tokens_expire() {
        let mut probe = Probe::new(WorldConfig { page_token_ttl: Some(Duration::from_secs(10)), ..calm() });
        let first = probe.read("/shop/customers?limit=4");
        let path = format!("/shop/customers?cursor={}", first["next_cursor"].as_str().unwrap());
        probe.later(10_000);
        assert_eq!(probe.get(&path).status(), 200);
        probe.later(1);
        let gone = probe.get(&path);
        assert_eq!((gone.status().as_u16(), json(&gone)["error"].as_str()), (410, Some("cursor_expired")));
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused_and_large_pages_are_cut() {
        let mut probe = Probe::new(WorldConfig { page_size_max: 5, ..calm() });
        assert_eq!(probe.read("/shop/customers?limit=1000")["data"].as_array().unwrap().len(), 5);
        for query in
            ["limit=0", "limit=-1", "limit=x", "updated_since=yesterday", "updated_since=2026-01-01T00:00:00+09:00"]
        {
            assert_eq!(probe.get(&format!("/shop/customers?{query}")).status(), 400, "{query}");
        }
        assert_eq!(probe.walk("updated_since=2000-01-01T00:00:00%2B09:00").len(), 20);
    }

    #[test]
    fn an_unordered_listing_is_complete_and_its_pages_say_nothing_about_the_rest() {
        let mut probe = Probe::new(WorldConfig { unordered: true, ..calm() });
        let all = probe.walk("limit=3");
        assert_eq!(ids(&all).len(), 20);
        assert!(!text(&all, "updated_at").is_sorted());
        let since = "2025-12-31T23:57:00.000Z";
        let late = all.iter().filter(|record| record["updated_at"].as_str().unwrap() >= since).count();
        assert!(late > 0 && late < 20);
        assert_eq!(probe.walk(&format!("limit=3&updated_since={since}")).len(), late);
    }
}
