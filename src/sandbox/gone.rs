//! How the shop tells what is gone: a list of deletions, and a list of the ids of everything that exists.

use std::{fmt::Write as _, ops::Bound};

use http::StatusCode;

use super::{
    call::{Answer, Call, Refusal, bytes, rfc3339},
    config::WorldConfig,
    listing::{go_on, instant},
    shop::Shop,
    token::PageToken,
};

/// `GET /shop/customers/deleted?deleted_since=&deleted_before=&cursor=&limit=`: deletions in the order of their times. That of a
/// customer who came back stays in the list, as it does with most vendors.
pub(super) fn tombstones(shop: &mut Shop, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
    let limit = call.page_size("limit", config.page_size, config.page_size_max)?;
    let (since, before) = (instant(call, "deleted_since")?, instant(call, "deleted_before")?);
    let from = start(call, since, before, config)?;
    shop.drift(call.now, config);
    let first = match from.since {
        Some(since) if since > from.at => Bound::Included((since, 0)),
        _ => Bound::Excluded((from.at, from.id)),
    };
    let end = from.before.map_or(Bound::Unbounded, |before| Bound::Excluded((before, 0)));
    let is_empty = from.before.is_some_and(|before| before <= from.since.unwrap_or(from.at).max(from.at));
    let found: Vec<_> = match is_empty {
        true => Vec::new(),
        false => shop.tombstones.range((first, end)).take(limit + 1).copied().collect(),
    };
    let entry = |&(at, index): &(i64, usize)| {
        let at = chrono::DateTime::from_timestamp_micros(at).unwrap_or_default();
        format!(r#"{{"id":"cus_{:06}","deleted_at":"{}"}}"#, index + 1, rfc3339(at))
    };
    Ok(page(&found, limit, &from, call, entry))
}

/// `GET /shop/customers/ids?cursor=&limit=`: the ids of everybody who is not deleted, in an order that never changes and says
/// nothing: who is new may stand anywhere.
pub(super) fn ids(shop: &mut Shop, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
    let limit = call.page_size("limit", config.page_size, config.page_size_max)?;
    let from = start(call, None, None, config)?;
    shop.drift(call.now, config);
    let place = |index: usize| ((fastrand::Rng::with_seed(config.seed ^ index as u64).u64(..) >> 1) as i64, index);
    let there = (0..shop.rows()).filter(|index| shop.at(*index).is_some());
    let mut found: Vec<_> = there.map(place).filter(|place| *place > (from.at, from.id)).collect();
    found.sort_unstable();
    found.truncate(limit + 1);
    Ok(page(&found, limit, &from, call, |&(_, index)| format!(r#"{{"id":"cus_{:06}"}}"#, index + 1)))
}

fn start(call: &Call, since: Option<i64>, before: Option<i64>, config: &WorldConfig) -> Result<PageToken, Refusal> {
    match call.parameter("cursor") {
        None => Ok(PageToken { at: i64::MIN, id: 0, since, before, issued_ms: 0 }),
        Some(text) => go_on(&text, since, before, call.now, config),
    }
}

/// At most `limit` of what was found, and a token if there is more.
fn page(
    found: &[(i64, usize)],
    limit: usize,
    from: &PageToken,
    call: &Call,
    entry: impl Fn(&(i64, usize)) -> String,
) -> Answer {
    let shown = &found[..found.len().min(limit)];
    let next = shown.last().filter(|_| found.len() > limit).map(|&(at, id)| PageToken {
        at,
        id,
        issued_ms: call.now.timestamp_millis(),
        ..from.clone()
    });
    let entries: Vec<String> = shown.iter().map(entry).collect();
    let mut body = format!(r#"{{"data":[{}],"#, entries.join(","));
    // Writing to a String cannot fail.
    let _ = match next {
        Some(next) => write!(body, r#""next_cursor":"{}","has_more":true}}"#, next.write()),
        None => write!(body, r#""next_cursor":null,"has_more":false}}"#),
    };
    bytes(StatusCode::OK, body.into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::sandbox::probe::{Probe, calm};

    fn turn(probe: &mut Probe, ids: &[&str]) {
        probe.later(1_000);
        assert_eq!(probe.write("POST", "/sandbox/delete", &json!({ "ids": ids })).1["turned"], ids.len());
    }

    fn all(probe: &mut Probe, path: &str) -> Vec<Value> {
        let (mut found, mut query) = (Vec::new(), String::new());
        loop {
            let page = probe.read(&format!("{path}limit=2{query}"));
            found.extend(page["data"].as_array().unwrap().clone());
            let Some(cursor) = page["next_cursor"].as_str() else { return found };
            query = format!("&cursor={cursor}");
        }
    }

    #[test]
    fn a_deleted_customer_leaves_the_lists_and_enters_that_of_deletions() {
        let mut probe = Probe::new(calm());
        let before = probe.now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        turn(&mut probe, &["cus_000003", "cus_000004", "cus_000007"]);
        assert_eq!(probe.walk("").len(), 17);
        assert_eq!(all(&mut probe, "/shop/customers/ids?").len(), 17);
        let flagged = probe.walk("include_deleted=true");
        assert_eq!(flagged.iter().filter(|customer| customer["deleted"] == true).count(), 3);
        let gone = all(&mut probe, &format!("/shop/customers/deleted?deleted_since={before}&"));
        assert_eq!(
            gone.iter().map(|one| one["id"].as_str().unwrap()).collect::<Vec<_>>(),
            ["cus_000003", "cus_000004", "cus_000007"]
        );
        let window = format!("/shop/customers/deleted?deleted_since={before}&deleted_before={before}&");
        assert!(all(&mut probe, &window).is_empty());
    }

    #[test]
    fn a_customer_who_comes_back_is_as_before_and_its_tombstone_stays() {
        let mut probe = Probe::new(calm());
        let before = probe.read("/shop/customers?limit=1")["data"][0].clone();
        let id = before["id"].as_str().unwrap().to_owned();
        turn(&mut probe, &[&id]);
        turn(&mut probe, &[&id]);
        let back = probe.walk("").pop().unwrap();
        assert_eq!((&back["id"], &back["name"], &back["deleted"]), (&before["id"], &before["name"], &Value::Null));
        let gone = all(&mut probe, "/shop/customers/deleted?");
        assert_eq!(gone.len(), 1);
        assert!(gone[0]["deleted_at"].as_str() < back["updated_at"].as_str());
    }

    #[test]
    fn what_a_deleted_customer_leaves_in_the_crm_lingers_until_it_is_deleted_or_closed() {
        let mut probe = Probe::new(calm());
        for id in ["cus_000001", "cus_000002"] {
            probe.write("POST", "/crm/leads", &json!({ "email": "a@b", "external_id": id }));
        }
        turn(&mut probe, &["cus_000001", "cus_000002"]);
        assert_eq!((probe.world.report().lingering, probe.world.report().lingering_ids.len()), (2, 2));
        probe.write("PATCH", "/crm/leads/lead_000001", &json!({ "status": "closed" }));
        assert_eq!(probe.send("DELETE", "/crm/leads/lead_000002", &[], "").status(), 204);
        assert_eq!(probe.send("DELETE", "/crm/leads/lead_000002", &[], "").status(), 404);
        let report = probe.world.report();
        assert_eq!((report.lingering, report.leads, report.counters.deleted), (0, 1, 1));
        assert_eq!(probe.read("/crm/leads?external_id=cus_000002")["data"], json!([]));
    }
}
