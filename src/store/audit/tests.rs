use std::fs;

use super::*;

fn key() -> SecretKey {
    SecretKey::parse(&"7a".repeat(32)).unwrap()
}

fn open(state: &Path) -> Audit {
    Audit::take_up(state, &key())
}

fn entry(what: &str) -> Entry {
    let details = serde_json::json!({ "note": ",\"sig\":\"none\"}" });
    Entry {
        via: Via::Api,
        peer: Some("127.0.0.1".to_owned()),
        what: what.to_owned(),
        on: Some("leads".to_owned()),
        details,
    }
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

/// A state directory with a log of so many entries.
async fn log(entries: i64) -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    let audit = open(state.path());
    for n in 1..=entries {
        audit.append(entry("pause"), at(n)).await.unwrap();
    }
    state
}

fn file(state: &Path) -> PathBuf {
    state.join("audit/000000000001.jsonl")
}

fn checked(state: &Path) -> Result<Option<Verified>, Broken> {
    verify(state, &AuditKey::of(&key()).unwrap().public(), None).unwrap()
}

/// What is wrong after the lines were changed so, and on which line.
fn after(state: &Path, change: impl FnOnce(&mut Vec<String>)) -> (u64, String) {
    let mut lines: Vec<String> = fs::read_to_string(file(state)).unwrap().lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(file(state), lines.join("\n") + "\n").unwrap();
    let Broken { line, what, .. } = checked(state).unwrap_err();
    (line, what)
}

#[tokio::test]
async fn a_log_holds_together_over_restarts_and_tells_its_length() {
    let state = log(3).await;
    let audit = open(state.path());
    audit.append(entry("resume"), at(9)).await.unwrap();
    assert_eq!(audit.count(), 4);
    let verified = checked(state.path()).unwrap().unwrap();
    assert_eq!((verified.entries, verified.first, verified.last, verified.last_at), (4, 1, 4, Some(at(9))));
    let noted = |hash: &str| verify(state.path(), &AuditKey::of(&key()).unwrap().public(), Some(hash)).unwrap();
    assert!(noted(&verified.hash).is_ok());
    assert!(noted(&"0".repeat(64)).unwrap_err().what.contains("does not hold the noted entry"), "it was taken back");
    assert_eq!(checked(tempfile::tempdir().unwrap().path()), Ok(None), "where nobody did anything there is no log");
    let mut lines = Vec::new();
    export(state.path(), |line| {
        lines.push(line.to_owned());
        Ok(())
    })
    .unwrap();
    assert_eq!(lines.len(), 5);
    assert!(lines[3].contains("\"what\":\"resume\"") && lines[4].starts_with("{\"first\":1,\"last\":4,"), "{lines:?}");
}

#[tokio::test]
async fn a_changed_a_removed_a_moved_and_a_forged_line_are_found_and_named() {
    let changed = (2, "it was changed, or is not signed with the log's key".to_owned());
    assert_eq!(after(log(4).await.path(), |lines| lines[1] = lines[1].replace("pause", "reset")), changed);
    assert_eq!(after(log(4).await.path(), |lines| lines[1].push(' ')), changed);
    let removed = after(log(4).await.path(), |lines| drop(lines.remove(1)));
    assert_eq!(removed, (2, "it is entry 3, and entry 2 before it is missing".to_owned()));
    let first = after(log(4).await.path(), |lines| drop(lines.remove(0)));
    assert_eq!(first, (1, "it is entry 2, and entry 1 before it is missing".to_owned()));
    let swapped = after(log(4).await.path(), |lines| lines.swap(1, 2));
    assert_eq!(swapped, (2, "it is entry 3, and entry 2 before it is missing".to_owned()));
    let doubled = after(log(4).await.path(), |lines| lines.insert(2, lines[1].clone()));
    assert_eq!(doubled, (3, "it is entry 2, which does not belong behind entry 2".to_owned()));
    let cut = after(log(4).await.path(), |lines| lines.truncate(2));
    assert_eq!(cut, (0, "entries 3 to 4 are missing at the end: the head tells of them".to_owned()));
    // Somebody with another key adds an entry that fits in everything but its signature.
    let stranger = AuditKey::of(&SecretKey::parse(&"11".repeat(32)).unwrap()).unwrap();
    let forged = after(log(4).await.path(), |lines| {
        let (line, _) = stranger.line(5, at(5), &entry("pause"), &line::hash(&lines[3]));
        lines.push(line.trim_end().to_owned());
    });
    assert_eq!(forged, (5, "it was changed, or is not signed with the log's key".to_owned()));
}

#[tokio::test]
async fn a_line_of_another_history_and_a_head_of_another_log_are_found() {
    let (one, other) = (log(3).await, log(1).await);
    let audit = open(other.path());
    for what in ["resume", "replay"] {
        audit.append(entry(what), at(7)).await.unwrap();
    }
    let theirs: Vec<String> = fs::read_to_string(file(other.path())).unwrap().lines().map(str::to_owned).collect();
    let mixed = after(one.path(), |lines| lines[2] = theirs[2].clone());
    assert_eq!(mixed, (3, "it is entry 3, which followed another entry 2 than the one before it".to_owned()));
    let one = log(3).await;
    fs::copy(other.path().join("audit/head"), one.path().join("audit/head")).unwrap();
    assert_eq!(checked(one.path()).unwrap_err().what, "it tells of another last entry");
    fs::write(one.path().join("audit/head"), "{\"first\":1,\"last\":1,\"hash\":\"\"}").unwrap();
    assert_eq!(checked(one.path()).unwrap_err().what, "its head is not signed with the log's key");
    fs::remove_file(one.path().join("audit/head")).unwrap();
    assert_eq!(checked(one.path()).unwrap_err().what, "it is missing, and there are entries");
}

#[tokio::test]
async fn what_a_crash_leaves_is_no_tampering_and_the_log_goes_on_behind_it() {
    // The line is there, the head not yet.
    let state = log(2).await;
    let head = fs::read(state.path().join("audit/head")).unwrap();
    open(state.path()).append(entry("pause"), at(3)).await.unwrap();
    fs::write(state.path().join("audit/head"), head).unwrap();
    assert_eq!(checked(state.path()).unwrap().unwrap().last, 3);
    // Half a line is there.
    let mut text = fs::read(file(state.path())).unwrap();
    text.extend(b"{\"n\":4,\"at\":\"2026");
    fs::write(file(state.path()), text).unwrap();
    assert!(checked(state.path()).unwrap().unwrap().cut_short);
    open(state.path()).append(entry("resume"), at(4)).await.unwrap();
    let verified = checked(state.path()).unwrap().unwrap();
    assert_eq!((verified.last, verified.cut_short), (4, false));
}

#[tokio::test]
async fn a_log_that_was_cut_is_not_written_on() {
    let state = log(3).await;
    let lines: Vec<String> =
        fs::read_to_string(file(state.path())).unwrap().lines().take(2).map(str::to_owned).collect();
    fs::write(file(state.path()), lines.join("\n") + "\n").unwrap();
    let refused = open(state.path()).append(entry("pause"), at(9)).await.unwrap_err();
    assert!(refused.code == Code::AuditUnwritable && refused.message.contains("ends with entry 2"), "{refused}");
    fs::remove_file(file(state.path())).unwrap();
    let refused = open(state.path()).append(entry("pause"), at(9)).await.unwrap_err();
    assert!(refused.message.contains("its entries are gone"), "{refused}");
}

#[tokio::test]
async fn the_log_is_bounded_and_what_is_left_of_it_holds_together() {
    let state = tempfile::tempdir().unwrap();
    let audit = open(state.path());
    let (file_bytes, files_max) = (20_000, 4);
    audit.log.lock().unwrap().as_mut().unwrap().bounds = (file_bytes, files_max);
    let long = Entry { details: Value::String("x".repeat(1_000)), ..entry("drop") };
    for n in 0..200 {
        audit.append(long.clone(), at(n)).await.unwrap();
    }
    let files = files_of(&state.path().join("audit")).unwrap();
    let bytes: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(files.len() == files_max && bytes <= files_max as u64 * (file_bytes + 2_000), "{} {bytes}", files.len());
    let verified = checked(state.path()).unwrap().unwrap();
    assert!(verified.last == 200 && verified.first > 1 && Some(verified.first) == check::first_of(&files[0]));
    let over = Entry { details: Value::String("x".repeat(DETAIL_BYTES_MAX)), ..entry("drop") };
    audit.append(over, at(1)).await.unwrap();
    assert!(last_line(&files[files_max - 1]).unwrap().0.unwrap().0.contains("too long to be kept"));
    fs::remove_file(&files[0]).unwrap();
    assert!(checked(state.path()).unwrap_err().what.contains("should stand before it and is missing"));
}
