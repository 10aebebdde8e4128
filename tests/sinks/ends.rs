//! The sinks that are held to the contract, each with a way to see what is in it that is not its own.

use std::{collections::BTreeMap, path::Path, process::Command};

use renkei::{
    config::plan::{ColumnKind, FileColumn},
    database::sqlite::{Access, Session, Value},
    sink::{
        BucketPlace, FileForm, FileSink, MysqlSink, PostgresSink, Shelf, Sink, SqliteConfig, SqliteSink, WholeForm,
        WholeSink,
    },
};

use crate::{
    database::Database,
    mysql::Mysql,
    s3::{self, Server, python, script},
};

/// Something that records can be written to: `id`, a number, and `v`, a text.
pub enum End {
    Lines(tempfile::TempDir),
    Csv(tempfile::TempDir),
    Parquet(tempfile::TempDir),
    Bucket(Box<Server>, WholeForm),
    Sqlite(tempfile::TempDir),
    Postgres(Box<Database>),
    Mysql(Mysql),
}

pub fn csv() -> FileForm {
    FileForm::Csv { separator: ',', columns: vec!["id".to_owned(), "v".to_owned()] }
}

pub fn columns() -> WholeForm {
    let column = |name: &str, kind| FileColumn { name: name.to_owned(), kind };
    WholeForm::Parquet([column("id", ColumnKind::BigInt), column("v", ColumnKind::Text)].into())
}

/// All that can be had here. `name` sets apart what tests share.
pub async fn ends(name: &str) -> Vec<End> {
    let folder = || tempfile::tempdir().unwrap();
    let mut ends = vec![End::Lines(folder()), End::Csv(folder()), End::Sqlite(folder())];
    ends.extend(Database::new(&format!("sinks_{name}")).await.map(|database| End::Postgres(Box::new(database))));
    ends.extend(Mysql::new(&format!("sinks_{name}")).await.map(End::Mysql));
    if python().is_some() {
        ends.push(End::Parquet(folder()));
        for form in [WholeForm::Lines(FileForm::JsonLines), columns()] {
            ends.extend(Server::start().map(|server| End::Bucket(Box::new(server), form)));
        }
    }
    ends
}

impl End {
    pub fn name(&self) -> String {
        match self {
            Self::Lines(_) => "jsonl".to_owned(),
            Self::Csv(_) => "csv".to_owned(),
            Self::Parquet(_) => "parquet".to_owned(),
            Self::Bucket(_, form) => format!("s3 with {}", form.ending()),
            Self::Sqlite(_) => "sqlite".to_owned(),
            Self::Postgres(_) => "postgres".to_owned(),
            Self::Mysql(_) => "mysql".to_owned(),
        }
    }

    /// A later state of a record takes the place of the earlier one.
    pub fn keeps_the_last(&self) -> bool {
        matches!(self, Self::Sqlite(_) | Self::Postgres(_) | Self::Mysql(_))
    }

    /// The sink as a new process has it.
    pub fn open(&self) -> Box<dyn Sink> {
        match self {
            Self::Lines(folder) => Box::new(FileSink::new(folder.path().to_owned(), "leads".to_owned(), 40)),
            Self::Csv(folder) => Box::new(FileSink::new(folder.path().to_owned(), "leads".to_owned(), 40).form(csv())),
            Self::Parquet(folder) => {
                let shelf = Shelf::folder(folder.path().to_owned(), "leads".to_owned(), "parquet");
                Box::new(WholeSink::new(shelf, columns(), 1 << 20))
            }
            Self::Bucket(server, form) => {
                let bucket = server.bucket(&server.url, "raw/");
                let kind = (form.ending(), form.media_type());
                let place = BucketPlace::new(s3::client(&bucket), &bucket, "leads", kind);
                Box::new(WholeSink::new(Shelf::Bucket(Box::new(place)), form.clone(), 1 << 20))
            }
            Self::Sqlite(folder) => Box::new(SqliteSink::new(SqliteConfig {
                path: folder.path().join("data.db"),
                table: "leads".to_owned(),
                key: vec!["id".to_owned()],
                columns: BTreeMap::new(),
                stream: "pipe/leads".to_owned(),
            })),
            Self::Postgres(database) => Box::new(PostgresSink::new(database.config())),
            Self::Mysql(database) => Box::new(MysqlSink::new(database.config())),
        }
    }

    /// What is in it, `id v`, in the order of the rows where there is one, else by id.
    pub async fn held(&self) -> Vec<String> {
        match self {
            Self::Lines(folder) => files(folder.path(), "jsonl").iter().flat_map(|file| lines(file)).collect(),
            Self::Csv(folder) => files(folder.path(), "csv").iter().flat_map(|file| cells(file)).collect(),
            Self::Parquet(folder) => rows(&paths(folder.path(), "parquet")),
            Self::Bucket(server, form) => {
                let folder = tempfile::tempdir().unwrap();
                for (name, content) in server.objects() {
                    std::fs::write(folder.path().join(name.replace('/', "_")), content).unwrap();
                }
                match form {
                    WholeForm::Parquet(_) => rows(&paths(folder.path(), "parquet")),
                    WholeForm::Lines(_) => files(folder.path(), "jsonl").iter().flat_map(|file| lines(file)).collect(),
                }
            }
            Self::Mysql(database) => database.rows().await,
            Self::Sqlite(folder) => sqlite_rows(&folder.path().join("data.db")).await,
            Self::Postgres(database) => match database.one("select to_regclass('leads')").await {
                None => Vec::new(),
                Some(_) => {
                    let rows = database.client.query("select id || ' ' || v from leads order by id", &[]).await;
                    rows.unwrap().iter().map(|row| row.get(0)).collect()
                }
            },
        }
    }
}

fn paths(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|it| it == ending)).collect();
    paths.sort();
    paths
}

fn files(folder: &Path, ending: &str) -> Vec<String> {
    paths(folder, ending).iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn lines(text: &str) -> Vec<String> {
    assert!(text.is_empty() || text.ends_with('\n'), "whole lines: {text:?}");
    text.lines().map(shown).collect()
}

fn shown(line: &str) -> String {
    let record: serde_json::Value = serde_json::from_str(line).unwrap();
    format!("{} {}", record["id"], record["v"].as_str().unwrap())
}

fn cells(text: &str) -> Vec<String> {
    let rows = renkei::sink::csv_rows(text, ',', false).unwrap();
    let row = |row: &String| {
        let record: serde_json::Value = serde_json::from_str(row).unwrap();
        format!("{} {}", record["id"].as_str().unwrap(), record["v"].as_str().unwrap())
    };
    rows.iter().map(row).collect()
}

/// Lines of JSON that somebody else reads in Parquet files.
pub fn read_parquet(arguments: &[&str], paths: &[std::path::PathBuf]) -> Vec<String> {
    if paths.is_empty() {
        return Vec::new();
    }
    let mut command = Command::new(python().unwrap());
    let ran = command.arg(script("read.py")).args(arguments).args(paths).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn rows(paths: &[std::path::PathBuf]) -> Vec<String> {
    read_parquet(&[], paths).iter().map(|line| shown(line)).collect()
}

async fn sqlite_rows(path: &Path) -> Vec<String> {
    let session = Session::open(path, Access::Read).await.unwrap();
    let is_there = "SELECT 1 FROM sqlite_schema WHERE name = 'leads'";
    if session.run("look", move |db| db.rows(is_there, &[])).await.unwrap().is_empty() {
        return Vec::new();
    }
    let rows = session.run("look", |db| db.rows("SELECT id || ' ' || v FROM leads ORDER BY id", &[])).await.unwrap();
    let text = |value| match value {
        Value::Text(text) => text,
        other => panic!("{other:?}"),
    };
    rows.into_iter().flatten().map(text).collect()
}
