//! A vendor that filters by days: what it lists again is in the file once, and a second change on one day is not missed.

use std::sync::{Arc, Mutex};

use renkei::model::{Clock, SystemClock};
use serde_json::json;

use crate::rig::{Stage, ok};

/// Ids of the file's lines after three runs: the second one is told nothing new, before the third one `b` changes again on its day.
async fn ids(field: &str, days_ago: impl Fn(i64) -> String + Send + Sync + 'static, incremental: &str) -> Vec<String> {
    let v = Arc::new(Mutex::new(1));
    let (told, name) = (v.clone(), field.to_owned());
    let stream = format!("get: /t\nkey: id\nincremental: {{ field: {field}, since: since, {incremental} }}");
    let stage = Stage::new(&stream, move |asked| {
        let since = asked.line.split("since=").nth(1).unwrap_or_default().to_owned();
        let all = [("a", days_ago(9), 1), ("b", days_ago(0), *told.lock().unwrap()), ("c", days_ago(1), 1)];
        let listed = all.into_iter().filter(|(_, at, _)| at[..10] >= *since);
        let rows: Vec<_> = listed.map(|(id, at, v)| json!({"id": id, name.as_str(): at, "v": v})).collect();
        ok(serde_json::to_string(&rows).unwrap())
    })
    .await;
    stage.well().await;
    stage.well().await;
    *v.lock().unwrap() = 2;
    stage.well().await;
    let asked = stage.vendor.lines();
    assert!(!asked[0].contains("since") && asked[1].contains("since=20"), "{asked:?}");
    stage.lines().iter().map(|line| format!("{}{}", line["id"].as_str().unwrap(), line["v"])).collect()
}

#[tokio::test]
async fn each_state_is_in_the_file_once_whether_the_record_knows_its_time_or_only_its_day() {
    let ago = |days: i64| SystemClock.now() - chrono::TimeDelta::days(days);
    // An hour ago may be yesterday; the vendor's day is then a day less.
    let day = move |days| (ago(days) - chrono::TimeDelta::hours(1)).format("%Y-%m-%d").to_string();
    assert_eq!(ids("day", day, "format: date").await, ["a1", "b1", "c1", "b2"]);
    let time = move |days| (ago(days) - chrono::TimeDelta::hours(1)).format("%Y-%m-%dT%H:00:00Z").to_string();
    let by_time = "format: rfc3339, bounds: date, overlap: 1d";
    assert_eq!(ids("at", time, by_time).await, ["a1", "b1", "c1", "b2"]);
}
