//! Planted values: whatever goes wrong with a record, no byte of the store, of a log, of a letter, of a plan or of a message holds
//! them, and the vendor gets those in the clear that it was declared to need. Without the rules the same search finds them.

use std::sync::{Arc, Mutex};

use renkei::engine::Options;

use crate::rig::Rig;

/// Collects everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Parts of the values that are planted, as somebody could find them.
const PLANTED: [&str; 8] =
    ["planted", "Planted", "PLANTED", "0904711", "090-4711", "31415926", "cGxhbnRlZ", "706c616e746564"];

const RULES: &str = "personal: { mail: encrypt, phone: hash, who.name: mask, who.tags: encrypt, number: encrypt }\n";

fn person(id: usize, what: &str) -> String {
    format!(
        r#"{{"id":{id},"v":1,"do":"{what}","mail":"Planted.{id}@x.example","phone":"090-4711-{id}","number":31415926{id},"who":{{"name":"planted {id}","tags":["planted","x"]}}}}"#
    )
}

/// What runs of a pipeline leave and say, and the words of the faults that ended them.
async fn everything(rig: &Rig, whats: &[&str]) -> (String, String, String) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let people: Vec<String> = whats.iter().enumerate().map(|(id, what)| person(id, what)).collect();
    let items = [r#""planted-not-an-object""#, r#"{"v":1,"mail":"planted-nameless@x.example"}"#];
    rig.vendor.people(&people.iter().map(String::as_str).chain(items).collect::<Vec<_>>());
    let (mut told, mut why) = (String::new(), String::new());
    let plan = rig.forecast().await;
    told += &plan.map_or_else(|fault| format!("{fault:?}"), |plan| serde_json::to_string(&plan.samples).unwrap());
    for options in [Options::default(), Options { full_refresh: true, ..Options::default() }] {
        let (run, fault) = rig.run_with(options).await.unwrap();
        told += &format!("{} {fault:?}", serde_json::to_string(&run).unwrap());
        why += fault.as_ref().map_or("", |fault| &fault.message);
        // What is staged stands in the store now.
        told += &String::from_utf8_lossy(&rig.bytes().await);
    }
    for letter in rig.letters().await {
        told += &serde_json::to_string(&letter).unwrap();
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("attempt") && told.contains("\"read\":"), "the search looks at the wrong things");
    (told, logged, why)
}

fn to(operation: &str, clear: &str) -> String {
    let fields = "{ ref: record.id, mail: record.mail, phone: record.phone, number: record.number, name: record.who.name, tags: record.who.tags, do: record.do }";
    let changed = if matches!(operation, "add" | "blind") { ", changed: { operation: change }" } else { "" };
    format!(
        "from: {{ connection: vendor, stream: people }}\nto: {{ connection: vendor, operation: {operation}{changed}, fields: {fields}{clear} }}\n"
    )
}

fn found(text: &str) -> Vec<&'static str> {
    PLANTED.into_iter().filter(|planted| text.contains(planted)).collect()
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_no_planted_value_is_stored_logged_or_told() {
    let all = ["", "refuse", "lose", "", "refuse"];
    for operation in ["add", "put", "blind", "find", "many"] {
        for end in ["", "fail", "forbid", "slow"] {
            let pipeline = to(operation, ", clear: [mail, number]");
            let whats: Vec<&str> = all.iter().copied().chain([end]).collect();
            let about = format!("{operation}, {end}");

            let protected = Rig::new(&format!("{pipeline}{RULES}"));
            let (told, logged, _) = everything(&protected, &whats).await;
            assert_eq!((found(&told), found(&logged)), (vec![], vec![]), "{about}: {told} {logged}");
            assert!(told.contains("rk:h1:") && told.contains("rk:e1:k1:") && told.contains("***"), "{about}: {told}");
            let sent = protected.vendor.books().sent.join("\n");
            assert!(sent.contains("Planted.0@x.example") && sent.contains("314159260"), "{about}: {sent}");
            for hidden in ["090-4711", "planted 0", "[\"planted\""] {
                assert!(!sent.contains(hidden), "{about}: {hidden} was sent: {sent}");
            }

            let bare = Rig::new(&pipeline.replace(", clear: [mail, number]", ""));
            let (told, logged, why) = everything(&bare, &whats).await;
            assert!(found(&told).len() >= 4, "{about}: the search would not find {told}");
            // The vendor's words about a request that is tried again are in the log, and those that ended a run in its canonical line.
            let is_logged = match operation {
                "add" | "put" => matches!(end, "fail" | "slow"),
                "blind" | "find" => end == "slow",
                _ => false,
            };
            let is_logged = is_logged || !found(&why).is_empty();
            assert_eq!(!found(&logged).is_empty(), is_logged, "{about}: {logged}");
        }
    }
}

/// The sink that is not declared to need it gets nothing in the clear either.
#[tokio::test(start_paused = true)]
async fn without_a_clear_field_nothing_planted_leaves() {
    for operation in ["add", "many"] {
        let rig = Rig::new(&format!("{}{RULES}", to(operation, "")));
        let (told, logged, _) = everything(&rig, &["", "refuse"]).await;
        let sent = rig.vendor.books().sent.join("\n");
        assert_eq!((found(&told), found(&logged), found(&sent)), (vec![], vec![], vec![]), "{operation}: {sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_page_of_a_stream_with_rules_is_not_quoted() {
    let rig = Rig::new(&format!("{}{RULES}", to("add", "")));
    rig.vendor.people(&[r#"{"mail":"planted@x.example" oops}"#]);
    let (run, fault) = rig.run_with(Options::default()).await.unwrap();
    let told = format!("{run:?} {fault:?}");
    assert!(told.contains("not shown") && found(&told).is_empty(), "{told}");
    let bare = Rig::new(&to("add", ""));
    bare.vendor.people(&[r#"{"mail":"planted@x.example" oops}"#]);
    assert!(!found(&format!("{:?}", bare.run_with(Options::default()).await.unwrap())).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_file_gets_in_the_clear_what_it_is_declared_to_need_and_nothing_else() {
    let pipeline = format!(
        "from: {{ connection: vendor, stream: people }}\nto: {{ connection: files, file: p, clear: who }}\n{RULES}"
    );
    let rig = Rig::new(&pipeline);
    let (told, logged, _) = everything(&rig, &["", ""]).await;
    assert_eq!((found(&told), found(&logged)), (vec![], vec![]), "{told}");
    let line: serde_json::Value = serde_json::from_str(rig.file().lines().next().unwrap()).unwrap();
    assert_eq!((&line["who"]["tags"], &line["who"]["name"]), (&serde_json::json!(["planted", "x"]), &"***".into()));
    assert!(
        line["mail"].as_str().unwrap().starts_with("rk:e1:") && line["phone"].as_str().unwrap().starts_with("rk:h1:")
    );
}
