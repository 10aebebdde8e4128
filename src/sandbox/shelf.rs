//! The shop's other collections, one for each way of paging and each kind of cursor: orders by page number with a Link
//! header, products by offset, events by ascending id with the next address in the body, changes by an opaque token.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    call::{Answer, Call, Refusal, bad_parameter, bytes, error, json, rfc3339, set},
    config::WorldConfig,
    people::Customer,
    shop::Shop,
    token::{read_sync, write_sync},
};

const PRODUCTS: usize = 120;

/// A change of a customer, in the order in which changes became visible.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub id: u64,
    pub kind: &'static str,
    /// The customer's index.
    pub customer: usize,
    pub at: DateTime<Utc>,
}

/// Two orders per customer, dated when the customer came, so they are in the order of their dates.
#[derive(Debug, Default)]
pub(super) struct Orders(Vec<Order>);

#[derive(Debug)]
struct Order {
    customer: String,
    cents: u64,
    updated: i64,
}

impl Orders {
    pub fn add(&mut self, customer: &Customer, seed: u64) {
        for _ in 0..2 {
            let cents = fastrand::Rng::with_seed(seed ^ self.0.len() as u64).u64(100..100_000);
            self.0.push(Order { customer: customer.id.clone(), cents, updated: customer.created_at.timestamp() });
        }
    }
}

/// `GET /shop/orders?page=&per_page=&updated_since=`: pages from 1, `updated_since` in epoch seconds.
pub(super) fn orders(orders: &Orders, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
    let per_page = call.page_size("per_page", config.page_size, config.page_size_max)?;
    let since = call.number("updated_since", 0)?;
    let page = match call.number("page", 1)? {
        0 => return Err(bad_parameter("page", "starts at 1")),
        page => usize::try_from(page).unwrap_or(usize::MAX),
    };
    let since_s = i64::try_from(since).unwrap_or(i64::MAX);
    let first = orders.0.partition_point(|order| order.updated < since_s);
    let skip = first.saturating_add(per_page.saturating_mul(page - 1)).min(orders.0.len());
    let end = (skip + per_page).min(orders.0.len());
    let list: Vec<Value> = (skip..end).map(|place| order_json(place, &orders.0[place])).collect();
    let mut answer = json(StatusCode::OK, &Value::Array(list));
    if end < orders.0.len() {
        let filter = if since > 0 { format!("&updated_since={since}") } else { String::new() };
        let next = format!("{}/shop/orders?page={}&per_page={per_page}{filter}", call.origin(), page + 1);
        set(&mut answer, "link", &format!("<{next}>; rel=\"next\""));
    }
    Ok(answer)
}

fn order_json(place: usize, order: &Order) -> Value {
    json!({
        "id": format!("ord_{:06}", place + 1),
        "customer_id": order.customer,
        "total_cents": order.cents,
        "currency": "JPY",
        "updated": order.updated,
        "updated_ms": order.updated * 1000,
    })
}

/// `GET /shop/products?offset=&limit=`
pub(super) fn products(call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
    let limit = call.page_size("limit", config.page_size, config.page_size_max)?;
    let offset = usize::try_from(call.number("offset", 0)?).unwrap_or(PRODUCTS).min(PRODUCTS);
    let product = |n: usize| json!({ "sku": format!("SKU-{n:04}"), "title": format!("商品 {n}"), "price": n * 100 });
    let list: Vec<Value> = (offset..(offset + limit).min(PRODUCTS)).map(|place| product(place + 1)).collect();
    Ok(json(StatusCode::OK, &json!({ "products": list, "total": PRODUCTS })))
}

/// `GET /shop/events?after_id=&limit=`
pub(super) fn events(shop: &Shop, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
    let limit = call.page_size("limit", config.page_size, config.page_size_max)?;
    let after = call.number("after_id", 0)?;
    let start = shop.log.partition_point(|change| change.id <= after);
    let end = (start + limit).min(shop.log.len());
    let items: Vec<Value> = shop.log.range(start..end).map(event_json).collect();
    let next = shop.log.get(end.wrapping_sub(1)).filter(|_| end < shop.log.len() && end > start);
    let next = next.map(|last| format!("{}/shop/events?after_id={}&limit={limit}", call.origin(), last.id));
    Ok(json(StatusCode::OK, &json!({ "items": items, "next": next })))
}

fn event_json(change: &Change) -> Value {
    json!({
        "id": change.id,
        "type": change.kind,
        "customer_id": format!("cus_{:06}", change.customer + 1),
        "at": rfc3339(change.at),
    })
}

/// `GET /shop/changes?token=&limit=`: customers in the order of their changes. `next_token` is always there; `has_more`
/// says whether asking again at once is worth it.
pub(super) fn changes(shop: &Shop, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
    let limit = call.page_size("limit", config.page_size, config.page_size_max)?;
    let after = match call.parameter("token") {
        None => 0,
        Some(text) => read_sync(&text)
            .ok_or_else(|| error(StatusCode::BAD_REQUEST, "invalid_token", "the token is not one of ours"))?,
    };
    let oldest = shop.log.front().map_or(1, |change| change.id);
    if after.saturating_add(1) < oldest {
        return Err(error(
            StatusCode::GONE,
            "token_expired",
            "changes this old are forgotten: list the customers again",
        ));
    }
    let start = shop.log.partition_point(|change| change.id <= after);
    let end = (start + limit).min(shop.log.len());
    let mut body = String::from(r#"{"changes":["#);
    let mut last = after;
    for (place, change) in shop.log.range(start..end).enumerate() {
        let comma = if place > 0 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(body, r#"{comma}{{"change_id":{},"customer":{}}}"#, change.id, shop.json_of(change.customer));
        last = change.id;
    }
    let _ = write!(body, r#"],"next_token":"{}","has_more":{}}}"#, write_sync(last), end < shop.log.len());
    Ok(bytes(StatusCode::OK, body.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::probe::{Probe, calm, json};

    #[test]
    fn orders_are_paged_by_number_and_the_link_says_where_the_next_page_is() {
        let mut probe = Probe::new(calm());
        let mut path = "/shop/orders?per_page=7&updated_since=1".to_owned();
        let mut seen = Vec::new();
        loop {
            let answer = probe.get(&path);
            seen.extend(json(&answer).as_array().unwrap().clone());
            let Some(link) = answer.headers().get("link") else { break };
            let link = link.to_str().unwrap();
            let next = link.strip_prefix("<http://sandbox.test").and_then(|link| link.strip_suffix(">; rel=\"next\""));
            path = next.unwrap().to_owned();
        }
        assert_eq!(seen.len(), 40);
        assert!(seen.iter().map(|order| order["updated"].as_i64().unwrap()).is_sorted());
        let since = seen[30]["updated"].as_i64().unwrap();
        let recent = probe.read(&format!("/shop/orders?updated_since={since}"));
        assert!(recent.as_array().unwrap().iter().all(|order| order["updated"].as_i64().unwrap() >= since));
        assert!(recent.as_array().unwrap().contains(&seen[30]));
        assert_eq!(probe.read("/shop/orders?page=99"), json!([]));
        assert_eq!(probe.get("/shop/orders?page=0").status(), 400);
    }

    #[test]
    fn products_are_paged_by_offset_and_say_how_many_there_are() {
        let mut probe = Probe::new(calm());
        let page = probe.read("/shop/products?offset=115&limit=10");
        assert_eq!((page["products"].as_array().unwrap().len(), &page["total"]), (5, &json!(120)));
        assert_eq!(probe.read("/shop/products?offset=120")["products"], json!([]));
    }

    #[test]
    fn events_have_ascending_ids_and_the_next_address_is_in_the_body() {
        let mut probe = Probe::new(calm());
        probe.world.change(probe.now, 10);
        let (mut path, mut seen) = ("/shop/events?limit=7".to_owned(), Vec::new());
        loop {
            let page = probe.read(&path);
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()));
            let Some(next) = page["next"].as_str() else { break };
            path = next.strip_prefix("http://sandbox.test").unwrap().to_owned();
        }
        assert_eq!(seen, (1..=30).collect::<Vec<_>>());
        assert_eq!(probe.read("/shop/events?after_id=30"), json!({ "items": [], "next": null }));
    }

    #[test]
    fn the_sync_token_is_there_at_the_end_too_and_brings_only_what_changed_since() {
        let mut probe = Probe::new(calm());
        let all = probe.read("/shop/changes?limit=200");
        assert_eq!((all["changes"].as_array().unwrap().len(), &all["has_more"]), (20, &json!(false)));
        let path = format!("/shop/changes?token={}", all["next_token"].as_str().unwrap());
        assert_eq!(probe.read(&path)["next_token"], all["next_token"]);
        probe.world.change(probe.now, 3);
        assert_eq!(probe.read(&path)["changes"].as_array().unwrap().len(), 3);
        assert_eq!(probe.get("/shop/changes?token=abc").status(), 400);
    }

    #[test]
    fn a_sync_token_that_is_too_old_is_gone() {
        let mut probe = Probe::new(WorldConfig { events_max: 25, ..calm() });
        let first = probe.read("/shop/changes?limit=1");
        let path = format!("/shop/changes?token={}", first["next_token"].as_str().unwrap());
        probe.world.change(probe.now, 6);
        assert_eq!(probe.get(&path).status(), 200);
        probe.world.change(probe.now, 1);
        let gone = probe.get(&path);
        assert_eq!((gone.status().as_u16(), json(&gone)["error"].as_str()), (410, Some("token_expired")));
    }
}
