//! Windows of time, and windows that are too full for the vendor.

use serde_json::{Value, json};

use super::rig::{Stage, World, hour};

fn id(line: &Value) -> String {
    format!("{:04}", line["id"].as_u64().unwrap())
}

fn orders(count: i64, every_hours: i64) -> World {
    let order = |n: i64| json!({"id": n, "updated_at": hour(n * every_hours)});
    World { orders: (0..count).map(order).collect(), cap: 10, ..World::default() }
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n:04}")).collect()
}

#[tokio::test]
async fn windows_are_whole_days_of_their_time_zone() {
    let stage = Stage::new(orders(40, 6), "orders").await;
    assert_eq!(stage.run().await.1, None);
    assert_eq!(stage.sorted(id), numbers(40));
    let asked = stage.server.asked();
    let second = asked.iter().find(|asked| asked.parameter("since") == Some("2026-03-01T15:00:00Z")).unwrap();
    assert_eq!(second.parameter("until"), Some("2026-03-02T15:00:00Z"), "midnight in Tokyo");
    assert!(asked.len() > 250, "a request for each day up to now at the least");
}

#[tokio::test]
async fn a_window_with_more_than_the_vendor_lists_is_halved_until_it_fits() {
    let mut world = orders(12, 24);
    // 80 orders within an hour.
    let crowd = |n: i64| json!({"id": 100 + n, "updated_at": hour(50).replace("00:00Z", &format!("{:02}:{:02}Z", n % 60, n / 60))});
    world.orders.extend((0..80).map(crowd));
    let stage = Stage::new(world, "orders").await;
    assert_eq!(stage.run().await.1, None);
    assert_eq!(stage.lines().len(), 92, "none of them twice, none missing");
}

#[tokio::test]
async fn a_second_with_more_than_the_vendor_lists_is_an_error() {
    let mut world = orders(2, 24);
    world.orders.extend((0..30).map(|n| json!({"id": 100 + n, "updated_at": hour(50)})));
    let stage = Stage::new(world, "orders").await;
    let fault = stage.run().await.1.unwrap();
    assert_eq!(fault.code, renkei::model::Code::OffsetCap, "{fault:?}");
}

#[tokio::test]
async fn the_next_pass_begins_where_the_last_window_ended() {
    let stage = Stage::new(orders(10, 24), "orders").await;
    assert_eq!(stage.run().await.1, None);
    let before = stage.server.asked().len();
    assert_eq!(stage.run().await.1, None);
    assert!(stage.server.asked().len() - before <= 2);
    assert_eq!(stage.sorted(id), numbers(10));
}

#[tokio::test]
async fn windows_end_by_the_vendors_clock_even_where_ours_is_ahead() {
    let stage = Stage::new(World { date: Some("Thu, 05 Mar 2026 00:00:00 GMT"), ..orders(4, 24) }, "orders").await;
    assert_eq!(stage.run().await.1, None);
    assert_eq!(stage.sorted(id), numbers(4));
    {
        let mut world = stage.world.lock().unwrap();
        world.orders.push(json!({"id": 4, "updated_at": hour(4 * 24)}));
        world.date = Some("Fri, 06 Mar 2026 00:00:00 GMT");
    }
    assert_eq!(stage.run().await.1, None);
    assert_eq!(
        stage.sorted(id),
        numbers(5),
        "the first pass ended when it was asked for by the vendor's clock, not by ours"
    );
}
