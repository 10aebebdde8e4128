//! Deletions of records with personal fields: whatever tells of them, they are named as the records are, and leave no trace either.

use renkei::store::StreamId;

use crate::rig::Rig;

async fn bytes(rig: &Rig) -> String {
    let letters = serde_json::to_string(&rig.letters().await).unwrap();
    String::from_utf8_lossy(&rig.bytes().await).into_owned() + &letters
}

fn mails(rig: &Rig, names: &[&str]) {
    let all: Vec<String> = names.iter().map(|name| format!(r#"{{"mail":"{name}@planted","at":10}}"#)).collect();
    rig.vendor.people(&all.iter().map(String::as_str).collect::<Vec<_>>());
}

/// A sweep keeps the keys of records in its links, so that it can name what is missing.
#[tokio::test(start_paused = true)]
async fn a_sweep_knows_records_of_a_hashed_key_again_and_keeps_none_in_the_clear() {
    let rig = Rig::new(
        "from: { connection: vendor, stream: swept }
personal: { mail: hash }
to: { connection: vendor, operation: add, changed: skip, deletes: { propagate: { operation: remove } } }
",
    );
    mails(&rig, &["a", "b", "c"]);
    assert_eq!(rig.run().await.created, 3);
    mails(&rig, &["a", "c"]);
    assert_eq!(rig.forecast().await.unwrap().tally.delete, 1);
    let counts = rig.run().await;
    assert_eq!((counts.deleted, counts.unchanged, rig.vendor.books().made.len()), (1, 2, 2));
    let all = bytes(&rig).await;
    assert!(all.contains("rk:h1:") && !all.contains("planted"), "{all}");
}

/// The tombstones name the record at another place, and show the fields of the stream as well.
#[tokio::test(start_paused = true)]
async fn tombstones_and_listings_of_other_streams_name_records_by_the_same_hash() {
    let mut rig = Rig::new(
        "from: { connection: vendor, stream: changing }
personal: { mail: hash, phone: encrypt }
to: { connection: vendor, operation: add, changed: skip, deletes: { propagate: { operation: remove } } }
",
    );
    mails(&rig, &["a", "b", "c"]);
    rig.vendor.books().existing = ["a", "b", "c"].map(|name| format!(r#"{{"address":"{name}@planted"}}"#)).to_vec();
    assert_eq!(rig.run().await.created, 3);
    let tombstone = r#"{"at":20,"who":{"address":"b@planted","name":"planted"},"phone":"planted"}"#;
    rig.vendor.books().buried = vec![tombstone.to_owned()];
    assert_eq!(rig.run().await.deleted, 1);
    // The listing of what exists is due a day later; a reset of the cursor makes it due now.
    mails(&rig, &["a", "c"]);
    rig.vendor.books().existing.pop();
    rig.state().reset(&StreamId::new("p", "changing"), false).await.unwrap();
    let counts = rig.run().await;
    assert_eq!((counts.deleted, rig.vendor.made("mail").len()), (1, 1), "{counts:?}");
    // A letter of a tombstone holds what its own stream protects.
    rig.pipeline = rig.pipeline.replace("operation: remove", "operation: remove, fields: { x: record.phone + 1 }");
    rig.vendor.books().buried = vec![tombstone.replace("b@", "a@")];
    assert_eq!(rig.run().await.rejected, 1);
    let letter = rig.letters().await.remove(0);
    let all = bytes(&rig).await;
    assert!(letter.gone && letter.source.get().contains("***") && !all.contains("planted"), "{all}");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_may_name_its_record_by_a_value_in_the_clear_and_tells_nobody() {
    let rig = Rig::new(
        "from: { connection: vendor, stream: flagged }
personal: { mail: encrypt }
to:
  connection: vendor
  operation: put
  fields: { ref: record.id, mail: record.mail }
  clear: [mail, address]
  deletes: { propagate: { operation: remove_by_mail, fields: { address: record.mail } } }
",
    );
    let people = |gone: bool| {
        let one = |id: u32, name: &str| format!(r#"{{"id":{id},"mail":"{name}@planted","gone":{gone}}}"#);
        let all = [one(1, "stubborn"), one(2, "b")];
        rig.vendor.people(&all.each_ref().map(String::as_str));
    };
    people(false);
    assert_eq!(rig.run().await.created, 2);
    people(true);
    let counts = rig.run().await;
    assert_eq!((counts.deleted, counts.rejected), (1, 1), "{counts:?}");
    assert_eq!(rig.vendor.made("mail"), ["stubborn@planted"]);
    let all = bytes(&rig).await.to_lowercase();
    assert!(all.contains("cannot remove *** yet") && !all.contains("planted"), "{all}");
    assert_eq!(rig.replay().await.rejected, 1, "it is opened again, and protected once");
}
