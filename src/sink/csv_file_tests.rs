use std::{fs, path::Path};

use super::{tests::staged, *};

fn sink(folder: &Path, columns: &[&str]) -> FileSink {
    let columns = columns.iter().map(|name| (*name).to_owned()).collect();
    FileSink::new(folder.to_owned(), "leads".to_owned(), 12).form(FileForm::Csv { separator: ';', columns })
}

fn text(folder: &Path, segment: u64) -> String {
    fs::read_to_string(folder.join(format!("leads.{segment:06}.csv"))).unwrap()
}

fn at(mark: Mark) -> Option<Checkpoint> {
    Some(Checkpoint { mark: Some(mark), ..Checkpoint::default() })
}

#[tokio::test]
async fn every_file_begins_with_the_names_of_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(folder.path(), &["id", "name"]);
    sink.resume(None).await.unwrap();
    for batch in [&[r#"{"name":"a;b","id":1}"#, r#"{"id":2}"#][..], &[r#"{"id":3,"name":"c"}"#][..]] {
        sink.write(&staged(batch)).await.unwrap();
    }
    assert_eq!(sink.seal().await.unwrap(), Some(Mark { segment: 1, bytes: 12 }));
    assert_eq!(text(folder.path(), 0), "id;name\n1;\"a;b\"\n2;\n");
    assert_eq!(text(folder.path(), 1), "id;name\n3;c\n");
}

#[tokio::test]
async fn what_was_not_committed_is_cut_off_with_its_head() {
    let folder = tempfile::tempdir().unwrap();
    let first = sink(folder.path(), &["id"]);
    first.resume(None).await.unwrap();
    first.write(&staged(&[r#"{"id":1}"#])).await.unwrap();
    let mark = first.seal().await.unwrap().unwrap();
    first.write(&staged(&[r#"{"id":2}"#])).await.unwrap();
    first.seal().await.unwrap();
    drop(first);
    let again = sink(folder.path(), &["id"]);
    assert_eq!(again.resume(at(mark)).await.unwrap(), at(mark));
    assert_eq!(text(folder.path(), 0), "id\n1\n");
    let none = sink(&folder.path().join("other"), &["id"]);
    none.resume(None).await.unwrap();
    none.write(&staged(&[])).await.unwrap();
    assert_eq!(none.seal().await.unwrap(), Some(Mark::default()), "nothing was written, and no head either");
}

#[tokio::test]
async fn other_columns_begin_a_file_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let first = sink(folder.path(), &["id"]);
    first.resume(None).await.unwrap();
    first.write(&staged(&[r#"{"id":1}"#])).await.unwrap();
    let mark = first.seal().await.unwrap().unwrap();
    drop(first);
    let other = sink(folder.path(), &["id", "name"]);
    let next = Mark { segment: 1, bytes: 0 };
    assert_eq!(other.resume(at(mark)).await.unwrap(), at(next));
    other.write(&staged(&[r#"{"id":2,"name":"b"}"#])).await.unwrap();
    other.seal().await.unwrap();
    assert_eq!((text(folder.path(), 0), text(folder.path(), 1)), ("id\n1\n".to_owned(), "id;name\n2;b\n".to_owned()));
}
