use std::{fs, path::Path};

use super::*;
use crate::{
    model::{Clock, Fields, Key, SystemClock},
    store::{Batch, Item, Memory, Seal, State, StreamId},
};

pub(super) fn staged(records: &[&str]) -> Staged {
    let item = |text: &&str| {
        let fields = Fields::from_object(text.as_bytes().to_vec().into());
        Item::new(Key::new("k"), fields)
    };
    let batch = Batch { items: records.iter().map(item).collect(), ..Batch::default() };
    State::new(Arc::new(Memory::default()), Arc::new(Seal::plain())).guard(
        &StreamId::new("p", "s"),
        batch,
        SystemClock.now(),
    )
}

fn sink(folder: &Path, rotate_bytes: u64) -> FileSink {
    FileSink::new(folder.to_owned(), "leads".to_owned(), rotate_bytes)
}

fn text(folder: &Path, segment: u64) -> String {
    fs::read_to_string(folder.join(format!("leads.{segment:06}.jsonl"))).unwrap()
}

fn checkpoint(segment: u64, bytes: u64) -> Option<Checkpoint> {
    Some(Checkpoint { mark: Some(Mark { segment, bytes }), ..Checkpoint::default() })
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn each_record_is_one_line_and_the_mark_is_the_length() {
    let folder = tempfile::tempdir().unwrap();
    let nested = folder.path().join("not/there/yet");
    let sink = sink(&nested, 1_000);
    assert_eq!(sink.resume(None).await.unwrap(), checkpoint(0, 0));
    let verdicts = sink.write(&staged(&[r#"{"a":1}"#, r#"{"a":2}"#])).await.unwrap();
    assert_eq!(verdicts, [Verdict::Created(None), Verdict::Created(None)]);
    assert_eq!(sink.seal().await.unwrap(), Some(Mark { segment: 0, bytes: 16 }));
    assert_eq!(text(&nested, 0), "{\"a\":1}\n{\"a\":2}\n");
}

#[tokio::test]
async fn a_pretty_printed_record_becomes_one_line_and_its_strings_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path(), 1_000);
    sink.resume(None).await.unwrap();
    let pretty = "{\n  \"a b\" : \"x \\\" y\\\\\",\r\n\t\"c\": [1, 2.50]\n}";
    sink.write(&staged(&[pretty, r#"{"kept": "as it is"}"#])).await.unwrap();
    sink.seal().await.unwrap();
    assert_eq!(text(folder.path(), 0), "{\"a b\":\"x \\\" y\\\\\",\"c\":[1,2.50]}\n{\"kept\": \"as it is\"}\n");
}

#[tokio::test]
async fn a_segment_that_reached_its_size_is_closed_between_batches_not_within_one() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path(), 10);
    sink.resume(None).await.unwrap();
    sink.write(&staged(&[r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#])).await.unwrap();
    sink.write(&staged(&[r#"{"a":4}"#])).await.unwrap();
    assert_eq!(sink.seal().await.unwrap(), Some(Mark { segment: 1, bytes: 8 }));
    assert_eq!(text(folder.path(), 0).lines().count(), 3);
    assert_eq!(text(folder.path(), 1), "{\"a\":4}\n");
}

#[tokio::test]
async fn what_was_not_committed_is_cut_off_on_resume_even_over_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    {
        let sink = sink(folder.path(), 10);
        sink.resume(None).await.unwrap();
        sink.write(&staged(&[r#"{"a":1}"#])).await.unwrap();
        sink.seal().await.unwrap();
        sink.write(&staged(&[r#"{"a":2}"#])).await.unwrap();
        sink.write(&staged(&[r#"{"a":3}"#])).await.unwrap();
        sink.seal().await.unwrap();
    }
    // The kill left half a line as well.
    fs::write(folder.path().join("leads.000002.jsonl"), "{\"a\":").unwrap();
    let sink = sink(folder.path(), 10);
    assert_eq!(sink.resume(checkpoint(0, 8)).await.unwrap(), checkpoint(0, 8));
    assert_eq!(names(folder.path()), [".leads.lock", "leads.000000.jsonl"]);
    sink.write(&staged(&[r#"{"a":2}"#])).await.unwrap();
    assert_eq!(sink.seal().await.unwrap(), Some(Mark { segment: 0, bytes: 16 }));
    assert_eq!(text(folder.path(), 0), "{\"a\":1}\n{\"a\":2}\n");
}

#[tokio::test]
async fn a_first_run_that_was_killed_begins_again_from_empty_files() {
    let folder = tempfile::tempdir().unwrap();
    let known = sink(folder.path(), 10).resume(None).await.unwrap();
    fs::write(folder.path().join("leads.000000.jsonl"), "{\"a\":1}\n{\"a").unwrap();
    assert_eq!(sink(folder.path(), 10).resume(known).await.unwrap(), checkpoint(0, 0));
    assert_eq!(text(folder.path(), 0), "");
}

#[tokio::test]
async fn a_file_shorter_than_its_checkpoint_is_refused_and_nothing_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("leads.000000.jsonl"), "{\"a\":1}\n").unwrap();
    fs::write(folder.path().join("leads.000001.jsonl"), "{\"a\":2}\n").unwrap();
    let fault = sink(folder.path(), 10).resume(checkpoint(0, 16)).await.unwrap_err();
    assert_eq!(fault.code, Code::FileChanged);
    assert!(fault.message.ends_with("must hold at least 16 bytes, and it has 8"), "{}", fault.message);
    assert!(fault.help.contains("renkei state reset"));
    assert_eq!(text(folder.path(), 1), "{\"a\":2}\n");
    let gone = sink(folder.path(), 10).resume(checkpoint(7, 16)).await.unwrap_err();
    assert!(gone.message.ends_with("it is gone"), "{}", gone.message);
    let edited = sink(folder.path(), 10).resume(checkpoint(0, 5)).await.unwrap_err();
    assert!(edited.message.contains("somebody edited it"), "{}", edited.message);
}

#[tokio::test]
async fn closed_segments_may_be_taken_away_by_their_reader() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("leads.000001.jsonl"), "{\"a\":2}\n").unwrap();
    assert_eq!(sink(folder.path(), 10).resume(checkpoint(1, 8)).await.unwrap(), checkpoint(1, 8));
}

#[tokio::test]
async fn a_file_that_no_checkpoint_knows_is_neither_overwritten_nor_continued() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("leads.000003.jsonl"), "{\"a\":2}\n").unwrap();
    fs::write(folder.path().join("leads.2026.jsonl"), "not a segment\n").unwrap();
    let fault = sink(folder.path(), 10).resume(None).await.unwrap_err();
    assert_eq!(fault.code, Code::FileChanged);
    assert!(fault.message.contains("leads.000003.jsonl is there"), "{}", fault.message);
    assert_eq!(text(folder.path(), 3), "{\"a\":2}\n");
    // A checkpoint from before the pipeline wrote files is no better.
    let fault = sink(folder.path(), 10).resume(Some(Checkpoint::default())).await.unwrap_err();
    assert_eq!(fault.code, Code::FileChanged);
}

#[tokio::test]
async fn a_second_writer_of_one_output_is_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let first = sink(folder.path(), 10);
    first.resume(None).await.unwrap();
    let fault = sink(folder.path(), 10).resume(None).await.unwrap_err();
    assert_eq!(fault.code, Code::FileSink);
    assert!(fault.message.starts_with("another process is writing leads"), "{}", fault.message);
    drop(first);
    sink(folder.path(), 10).resume(None).await.unwrap();
}

#[test]
fn a_write_that_was_given_up_half_way_needs_a_resume_before_the_next_one() {
    // One thread for file calls, which the test can keep busy: so a write is half way when its caller loses interest.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(give_up_half_way());
}

async fn give_up_half_way() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path(), 1 << 40);
    let known = sink.resume(None).await.unwrap();
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(BUFFER_BYTES));
    let batch = staged(&[&long, &long, &long]);
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let busy = tokio::task::spawn_blocking(move || wait.recv());
    {
        let mut write = sink.write(&batch);
        assert!(futures_util::poll!(&mut write).is_pending());
    }
    drop(release);
    assert!(busy.await.unwrap().is_err());
    assert_eq!(sink.write(&batch).await.unwrap_err().code, Code::FileSink);
    assert_eq!(sink.seal().await.unwrap_err().code, Code::FileSink);
    assert_eq!(sink.resume(known).await.unwrap(), checkpoint(0, 0));
    sink.write(&batch).await.unwrap();
    let mark = sink.seal().await.unwrap().unwrap();
    assert_eq!(mark.bytes, 3 * (long.len() as u64 + 1));
    assert_eq!(text(folder.path(), 0).len() as u64, mark.bytes);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_says_where_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let fault = sink(&folder.path().join("file/inside"), 10).resume(None).await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::FileSink, 6));
    assert!(fault.message.contains("file/inside"), "{}", fault.message);
}

#[test]
fn a_failed_call_is_sorted_by_what_a_person_has_to_do() {
    let sorted = |kind: std::io::ErrorKind| crate::sink::segments::io_fault("write", Path::new("f"), &kind.into());
    assert_eq!(sorted(std::io::ErrorKind::StorageFull).code, Code::DiskFull);
    assert_eq!(sorted(std::io::ErrorKind::FileTooLarge).code, Code::DiskFull);
    let denied = sorted(std::io::ErrorKind::PermissionDenied);
    assert_eq!(denied.code, Code::FileSink);
    assert!(denied.help.contains("ls -ld"));
}

/// A full disk, played by a limit on the size of files: the test runs itself once more under one. The limit's signal is
/// ignored, so that writing fails as it does on a disk.
#[tokio::test]
async fn a_full_disk_stops_the_run_and_leaves_what_was_sealed() {
    const LIMITED: &str = "RENKEI_TEST_FILE_LIMIT";
    let is_limited = std::env::var_os(LIMITED).is_some();
    if !is_limited {
        let again = std::process::Command::new("bash")
            .args(["-c", r#"trap "" XFSZ; ulimit -f 64; exec "$0" "$@""#])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "sink::files::tests::a_full_disk_stops_the_run_and_leaves_what_was_sealed"])
            .env(LIMITED, "64 KiB")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&again.stdout);
        assert!(again.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path(), 1 << 40);
    sink.resume(None).await.unwrap();
    let record = format!("{{\"a\":\"{}\"}}", "x".repeat(40 * 1024));
    sink.write(&staged(&[&record])).await.unwrap();
    let sealed = sink.seal().await.unwrap();
    sink.write(&staged(&[&record])).await.unwrap();
    let fault = sink.seal().await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::DiskFull, 6), "{fault:?}");
    assert!(fault.help.contains("Free space"), "{}", fault.help);
    assert_eq!(text(folder.path(), 0), format!("{record}\n"), "no half line is left for readers");
    let known = Some(Checkpoint { mark: sealed, ..Checkpoint::default() });
    assert_eq!(sink.resume(known.clone()).await.unwrap(), known);
}
