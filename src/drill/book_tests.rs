use bytes::Bytes;
use serde_json::json;

use super::{super::leaves, *};

fn fields(text: &str) -> Fields {
    Fields::from_object(Bytes::copy_from_slice(text.as_bytes()))
}

fn delivered(key: &str, name: &str) -> (Expected, Vec<String>) {
    let text = json!({ "id": key, "name": name, "tier": "gold" }).to_string();
    let texts = vec![key.to_owned(), name.to_owned(), "gold".to_owned()];
    (Expected::Delivered { fields: fields(&text), texts: texts.clone() }, texts)
}

/// Two records, of which the second has changed.
fn book(keeping: Keeping) -> Book {
    let mut book = Book::new(keeping);
    for (record, key, name) in [(0, "k-0", "Ann 0"), (1, "k-1", "Bob 0"), (1, "k-1", "Bob 1")] {
        let (expected, texts) = delivered(key, name);
        book.tell(record, key, expected, texts);
    }
    book
}

fn arrive(book: &mut Book, key: &str, name: &str) -> usize {
    let sent = json!({ "id": key, "name": name, "tier": "gold" });
    let named = book.named(&leaves::of(&sent));
    book.create(named, sent)
}

fn letters(key: &str, code: Code) -> HashMap<String, Vec<Code>> {
    [(key.to_owned(), vec![code])].into()
}

fn judged(book: &Book, letters: &HashMap<String, Vec<Code>>) -> (u64, u64, u64, u64, u64) {
    let account = book.account(letters);
    (account.delivered, account.refused, account.uncertain, account.lost, account.doubled)
}

#[test]
fn an_effect_is_tied_to_the_record_and_the_state_whose_texts_it_holds() {
    let book = book(Keeping::default());
    let named = |texts: &[&str]| book.named(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    assert_eq!(named(&["gold", "k-1"]), Some(Named { record: 1, state: None }));
    assert_eq!(named(&["Bob 1", "k-1"]), Some(Named { record: 1, state: Some(1) }));
    assert_eq!(named(&["gold"]), None, "a text that all records share names none");
    assert_eq!(named(&["k-0", "k-1"]), None, "one vote each");
    let mut book = Book::new(Keeping::default());
    let (expected, texts) = delivered("key-000001", "Ann 0");
    book.tell(0, "key-000001", expected, texts);
    let asked = ["select id where key = 'key-000001'".to_owned()];
    assert_eq!(book.named(&asked), Some(Named { record: 0, state: Some(0) }), "it has no other state");
}

#[test]
fn a_record_that_did_not_arrive_is_lost_and_so_is_its_last_state() {
    let mut book = book(Keeping::default());
    arrive(&mut book, "k-0", "Ann 0");
    assert_eq!(judged(&book, &HashMap::new()), (1, 0, 0, 1, 0));
    let row = arrive(&mut book, "k-1", "Bob 0");
    assert_eq!(book.account(&HashMap::new()).lost_keys, ["k-1"], "the change is lost");
    book.change(row, Some(Named { record: 1, state: Some(1) }), json!({}));
    assert_eq!(judged(&book, &HashMap::new()), (2, 0, 0, 0, 0));
    book.remove(row);
    assert_eq!(judged(&book, &HashMap::new()), (1, 0, 0, 1, 0));
}

#[test]
fn a_record_that_arrived_twice_is_doubled_whatever_letters_say() {
    let mut book = book(Keeping::default());
    for (key, name) in [("k-0", "Ann 0"), ("k-1", "Bob 1"), ("k-0", "Ann 0")] {
        arrive(&mut book, key, name);
    }
    assert_eq!(judged(&book, &HashMap::new()), (2, 0, 0, 0, 1));
    assert_eq!(book.account(&letters("k-0", Code::Uncertain)).doubled_keys, ["k-0"]);
}

#[test]
fn a_dead_letter_is_an_honest_verdict_and_doubt_counts_by_itself() {
    let mut book = book(Keeping::default());
    arrive(&mut book, "k-1", "Bob 1");
    assert_eq!(judged(&book, &letters("k-0", Code::RecordRefused)), (1, 1, 0, 0, 0));
    assert_eq!(judged(&book, &letters("k-0", Code::Uncertain)), (1, 0, 1, 0, 0));
    assert_eq!(judged(&book, &letters("k-1", Code::Uncertain)), (1, 0, 1, 1, 0), "the other one is lost all the same");
    book.tell(2, "k-2", Expected::Refused, Vec::new());
    assert_eq!(judged(&book, &letters("k-0", Code::Evaluation)), (1, 1, 0, 1, 0), "a refusal without its letter");
}

#[test]
fn a_file_holds_every_state_once() {
    let mut book = book(Keeping { every_state: true, ..Keeping::default() });
    for (key, name) in [("k-0", "Ann 0"), ("k-1", "Bob 0"), ("k-1", "Bob 1")] {
        arrive(&mut book, key, name);
    }
    assert_eq!(judged(&book, &HashMap::new()), (2, 0, 0, 0, 0));
    arrive(&mut book, "k-1", "Bob 0");
    assert_eq!(judged(&book, &HashMap::new()), (2, 0, 0, 0, 1));
}

#[test]
fn a_pipeline_that_leaves_what_it_created_loses_nothing_by_it() {
    let mut book = book(Keeping { first_state: true, ..Keeping::default() });
    arrive(&mut book, "k-0", "Ann 0");
    arrive(&mut book, "k-1", "Bob 0");
    assert_eq!(judged(&book, &HashMap::new()), (2, 0, 0, 0, 0));
}

#[test]
fn a_file_without_a_cursor_holds_every_record_once_for_each_pass() {
    let mut book = Book::new(Keeping { every_state: true, every_pass: true, first_state: false });
    let tell = |book: &mut Book, record, key, name| {
        let (expected, texts) = delivered(key, name);
        book.tell(record, key, expected, texts);
    };
    tell(&mut book, 0, "k-0", "Ann 0");
    tell(&mut book, 1, "k-1", "Bob 0");
    book.end_pass();
    tell(&mut book, 1, "k-1", "Bob 1");
    book.end_pass();
    for (key, name) in [("k-0", "Ann 0"), ("k-1", "Bob 0"), ("k-0", "Ann 0"), ("k-1", "Bob 1")] {
        arrive(&mut book, key, name);
    }
    assert_eq!(judged(&book, &HashMap::new()), (2, 0, 0, 0, 0));
    arrive(&mut book, "k-1", "Bob 1");
    assert_eq!(book.account(&HashMap::new()).doubled_keys, ["k-1"]);
}
