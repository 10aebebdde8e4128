//! Streams whose records are not what the answer lists, or whose answers come in other ways than asked.

use renkei::engine::Options;
use serde_json::json;

use crate::rig::{Asked, Rig, ok};

#[tokio::test]
async fn a_list_inside_an_item_becomes_the_records_and_the_cursor_is_the_items() {
    let streams = "  main:\n    get: /main\n    records: data\n    expand: { list: lines, parent: order, keep: [no] }\n    key: \
                   [order.id, sku]\n    incremental: { field: order.at, format: integer, since: since, order: ascending }\n";
    let rig = Rig::new(streams, "", |asked: &Asked| match asked.parameter("since") {
        "" => ok(
            r#"{"data":[{"id":1,"no":"x","at":5,"more":0,"lines":[{"sku":"A"},{"sku":"B"}]},{"id":2,"at":7,"lines":null}]}"#,
        ),
        _ => ok(r#"{"data":[]}"#),
    });
    let rig = rig.await;
    assert_eq!(rig.run().await.created, 2);
    assert_eq!(rig.written()[1], json!({"sku":"B","order":{"id":1,"no":"x","at":5}}));
    rig.run().await;
    assert_eq!(rig.asked().last().unwrap().parameter("since"), "5");
}

#[tokio::test]
async fn records_that_a_stream_does_not_hold_are_skipped_and_the_cursor_moves_past_them() {
    let streams = "  main: { get: /main, records: data, key: id, where: record.kind == 'lead', incremental: { field: at, format: \
                   integer, since: since, order: ascending } }\n";
    let rig = Rig::new(streams, "", |asked: &Asked| match asked.parameter("since") {
        "" => ok(
            r#"{"data":[{"id":1,"at":1,"kind":"lead"},{"id":2,"at":2,"kind":"user"},{"id":3,"at":3,"kind":"user"}]}"#,
        ),
        _ => ok(r#"{"data":[]}"#),
    });
    let rig = rig.await;
    let counts = rig.run().await;
    assert_eq!((counts.read, counts.created, counts.skipped), (3, 1, 2));
    rig.run().await;
    assert_eq!(rig.asked().last().unwrap().parameter("since"), "3");
}

#[tokio::test]
async fn pages_may_be_numbered_from_zero() {
    let streams = "  main: { get: /main, records: data, key: id, paginate: { page: { query: page, first: 0, total_pages: pages } } }\n";
    let rig = Rig::new(streams, "", |asked: &Asked| match asked.parameter("page") {
        "0" => ok(r#"{"data":[{"id":1},{"id":2}],"pages":2}"#),
        "1" => ok(r#"{"data":[{"id":3}],"pages":2}"#),
        other => panic!("page {other} is not asked for"),
    });
    let rig = rig.await;
    assert_eq!(rig.run().await.created, 3);
    let asked: Vec<String> = rig.asked().iter().map(|asked| asked.parameter("page").to_owned()).collect();
    assert_eq!(asked, ["0", "1"]);
}

#[tokio::test]
async fn a_listing_that_did_not_change_is_not_read_again_unless_somebody_wants_it() {
    let streams = "  main: { get: /main, records: data, key: id, conditional: true }\n";
    let rig = Rig::new(streams, "", |asked: &Asked| match asked.none_match.as_deref() {
        Some("\"v1\"") => (304, None, String::new()),
        _ => (200, Some("\"v1\""), r#"{"data":[{"id":1}]}"#.to_owned()),
    });
    let rig = rig.await;
    assert_eq!(rig.run().await.read, 1);
    assert_eq!(rig.run().await.read, 0);
    let (run, fault) = rig.run_with(Options { full_refresh: true, ..Options::default() }).await;
    assert_eq!((run.counts.read, fault), (1, None));
    let asked: Vec<Option<String>> = rig.asked().into_iter().map(|asked| asked.none_match).collect();
    assert_eq!(asked, [None, Some("\"v1\"".to_owned()), None]);
}

#[tokio::test]
async fn what_a_first_page_is_called_counts_only_once_the_listing_was_delivered_to_its_end() {
    let streams = "  main: { get: /main, records: data, key: id, conditional: true, paginate: { cursor: { next: next, query: after } } }\n";
    let rig = Rig::new(streams, "", |asked: &Asked| match asked.parameter("after") {
        "" => (200, Some("\"v1\""), r#"{"data":[{"id":1}],"next":"x"}"#.to_owned()),
        // The place is forgotten, so the listing begins again.
        _ => (404, None, "{}".to_owned()),
    });
    let rig = rig.await;
    let (_, fault) = rig.run_with(Options::default()).await;
    assert!(fault.is_some());
    rig.run_with(Options { full_refresh: false, ..Options::default() }).await;
    assert!(rig.asked().iter().all(|asked| asked.none_match.is_none()));
}

#[tokio::test]
async fn pages_that_are_too_large_are_halved_until_they_come_and_grow_again() {
    for paginate in [
        "cursor: { next: next, query: after, size: { query: limit, records: 16 } }",
        "offset: { query: after, size: { query: limit, records: 16 } }",
    ] {
        let streams = format!("  main: {{ get: /main, records: data, key: id, paginate: {{ {paginate} }} }}\n");
        let rig = Rig::new(&streams, "", |asked: &Asked| {
            let from: usize = asked.parameter("after").parse().unwrap_or(0);
            let size: usize = asked.parameter("limit").parse().unwrap();
            // The first records are heavy.
            if size > 4 && from < 20 {
                return (413, None, "{}".to_owned());
            }
            let data: Vec<String> = (from..(from + size).min(100)).map(|id| format!(r#"{{"id":{id}}}"#)).collect();
            let next = if from + size < 100 { format!("\"{}\"", from + size) } else { "null".to_owned() };
            ok(format!(r#"{{"data":[{}],"next":{next}}}"#, data.join(",")))
        });
        let rig = rig.await;
        assert_eq!(rig.run().await.created, 100, "{paginate}");
        assert_eq!(rig.column("id"), (0..100).map(|id| json!(id)).collect::<Vec<_>>());
        let sizes: Vec<String> = rig.asked().iter().map(|asked| asked.parameter("limit").to_owned()).collect();
        assert_eq!(sizes[..3], ["16", "8", "4"]);
        assert_eq!(sizes.last().unwrap(), "16", "{sizes:?}");
    }
}

#[tokio::test]
async fn a_token_that_the_vendor_forgot_leads_to_a_whole_listing_with_tombstones() {
    let streams = "  main:\n    get: /main\n    records: data\n    key: id\n    incremental: { token: { next: sync, query: since } }\n    \
                   deletions: { flag: { path: gone } }\n";
    let rig = Rig::new(streams, "", |asked: &Asked| match asked.parameter("since") {
        "" => ok(r#"{"data":[{"id":1},{"id":2}],"sync":"t1"}"#),
        "t1" => (410, None, "{}".to_owned()),
        _ => ok(r#"{"data":[{"id":3},{"id":1,"gone":true}],"sync":"t2"}"#),
    });
    let rig = rig.await;
    assert_eq!(rig.run().await.read, 2);
    assert_eq!(rig.forecast().await.tally.read, 2);
    rig.asked();
    assert_eq!(rig.run().await.read, 2);
    let since: Vec<String> = rig.asked().iter().map(|asked| asked.parameter("since").to_owned()).collect();
    assert_eq!(since, ["t1", ""]);
}
