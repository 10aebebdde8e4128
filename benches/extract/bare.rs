//! The yardstick of `benches/extract/run`: the least that a program with our HTTP client and our database client must do
//! to bring the same records to the same place. No checkpoint, no verdicts, no retries, no limits.
//!
//! ```text
//!   bare files URL FILE        slice the records of all pages and write them as lines
//!   bare table URL DATABASE    the same records by COPY and INSERT .. ON CONFLICT, one transaction per page
//! ```

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to say")]

use std::{
    borrow::Cow,
    fs::File,
    io::{BufWriter, Write},
};

use bytes::Bytes;
use futures_util::SinkExt;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Slices<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Leads<'a> {
    #[serde(borrow)]
    data: Vec<Lead<'a>>,
    has_more: bool,
}

/// What `generate` in `run` writes.
#[derive(Deserialize)]
struct Lead<'a> {
    id: u64,
    #[serde(borrow)]
    email: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    company: Cow<'a, str>,
    #[serde(borrow)]
    phone: Option<Cow<'a, str>>,
    #[serde(borrow)]
    country: Cow<'a, str>,
    #[serde(borrow)]
    lifetime_value: &'a RawValue,
    consent: bool,
    #[serde(borrow)]
    tags: &'a RawValue,
    #[serde(borrow)]
    updated_at: Cow<'a, str>,
    #[serde(borrow)]
    note: Cow<'a, str>,
}

const COLUMNS: &str = "id, email, name, company, phone, country, lifetime_value, consent, tags, updated_at, note";

struct Pages {
    client: reqwest::Client,
    url: String,
    number: u64,
}

impl Pages {
    async fn next(&mut self) -> Bytes {
        self.number += 1;
        let separator = if self.url.contains('?') { '&' } else { '?' };
        let request = self.client.get(format!("{}{separator}page={}", self.url, self.number));
        let answer = request.send().await.and_then(reqwest::Response::error_for_status).expect("a page");
        answer.bytes().await.expect("a body")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(kind), Some(url), Some(to)) = (arguments.next(), arguments.next(), arguments.next()) else {
        panic!("usage: bare files|table URL FILE|DATABASE");
    };
    rustls::crypto::ring::default_provider().install_default().expect("one provider");
    let pages = Pages { client: reqwest::Client::new(), url, number: 0 };
    match kind.as_str() {
        "files" => files(pages, &to).await,
        _ => table(pages, &to).await,
    }
}

async fn files(mut pages: Pages, path: &str) {
    let mut file = BufWriter::with_capacity(256 * 1024, File::create(path).expect("the file"));
    loop {
        let body = pages.next().await;
        let page: Slices<'_> = serde_json::from_slice(&body).expect("a list");
        for record in &page.data {
            file.write_all(record.get().as_bytes()).expect("space");
            file.write_all(b"\n").expect("space");
        }
        if !page.has_more {
            break;
        }
    }
    file.into_inner().expect("space").sync_all().expect("a disk");
}

async fn table(mut pages: Pages, database: &str) {
    let (client, connection) = tokio_postgres::connect(database, tokio_postgres::NoTls).await.expect("the database");
    tokio::spawn(connection);
    let make = "create table if not exists leads (id bigint primary key, email text, name text, company text,
        phone text, country text, lifetime_value numeric, consent boolean, tags jsonb, updated_at text, note text);
        create temporary table batch (like leads) on commit delete rows";
    client.batch_execute(make).await.expect("tables");
    let set: Vec<String> = COLUMNS.split(", ").skip(1).map(|name| format!("{name} = excluded.{name}")).collect();
    let upsert = format!("insert into leads select * from batch on conflict (id) do update set {}", set.join(", "));
    let copy = client.prepare(&format!("copy batch ({COLUMNS}) from stdin")).await.expect("copy");
    let upsert = client.prepare(&upsert).await.expect("upsert");
    loop {
        let body = pages.next().await;
        let page: Leads<'_> = serde_json::from_slice(&body).expect("leads");
        let mut lines = Vec::with_capacity(body.len());
        page.data.iter().for_each(|lead| push_line(&mut lines, lead));
        client.batch_execute("begin").await.expect("begin");
        let mut sink = Box::pin(client.copy_in::<_, Bytes>(&copy).await.expect("copy"));
        sink.send(lines.into()).await.expect("copy");
        sink.as_mut().finish().await.expect("copy");
        client.execute(&upsert, &[]).await.expect("upsert");
        client.batch_execute("commit").await.expect("commit");
        if !page.has_more {
            break;
        }
    }
}

fn push_line(out: &mut Vec<u8>, lead: &Lead<'_>) {
    write!(out, "{}\t", lead.id).expect("memory");
    for text in [Some(&lead.email), Some(&lead.name), Some(&lead.company), lead.phone.as_ref(), Some(&lead.country)] {
        match text {
            Some(text) => push_text(out, text),
            None => out.extend_from_slice(b"\\N"),
        }
        out.push(b'\t');
    }
    out.extend_from_slice(lead.lifetime_value.get().as_bytes());
    out.extend_from_slice(if lead.consent { b"\tt\t" } else { b"\tf\t" });
    push_text(out, lead.tags.get());
    out.push(b'\t');
    push_text(out, &lead.updated_at);
    out.push(b'\t');
    push_text(out, &lead.note);
    out.push(b'\n');
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => out.push(byte),
        }
    }
}
