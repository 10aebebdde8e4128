//! Streams to read, and reading them the way the engine does: a new source for every page, and a checkpoint that went
//! through its saved form in between.

use std::sync::Arc;

use http::Method;
use renkei::{
    config::plan::{Api, Paginate, Stream},
    model::{Checkpoint, Fault, Page},
    source::{ApiSource, Source},
};

use super::server::{api, client, path, request};

pub fn stream(paginate: Paginate) -> Stream {
    Stream {
        records: path("data"),
        key: vec![path("id")],
        paginate,
        pages_max: 100,
        empty_pages_max: 2,
        ..Stream::new("leads", request(Method::GET, "/v1/leads"))
    }
}

/// One connection's stream, read by a process that restarts whenever it likes.
pub struct Reader {
    api: Arc<Api>,
    stream: Arc<Stream>,
    source: ApiSource,
    pub at: Checkpoint,
}

impl Reader {
    pub fn new(base_url: &str, stream: Stream) -> Self {
        Self::of(api(base_url), stream)
    }

    pub fn of(api: Api, stream: Stream) -> Self {
        let (api, stream) = (Arc::new(api), Arc::new(stream));
        let source = ApiSource::new(api.clone(), stream.clone(), client(&api));
        Self { api, stream, source, at: Checkpoint::default() }
    }

    /// Reads the next page and takes its checkpoint over.
    pub async fn page(&mut self) -> Result<Page, Fault> {
        let page = self.source.read(&self.at).await?;
        self.at = page.next.clone();
        Ok(page)
    }

    /// All that is remembered across a crash is the saved checkpoint.
    pub fn crash(&mut self) {
        let saved = serde_json::to_string(&self.at).unwrap();
        self.at = serde_json::from_str(&saved).unwrap();
        self.source = ApiSource::new(self.api.clone(), self.stream.clone(), client(&self.api));
    }

    /// Reads on to the listing's end; the keys in the order they came.
    pub async fn rest(&mut self) -> Result<Vec<String>, Fault> {
        let mut all = Vec::new();
        loop {
            let page = self.page().await?;
            all.extend(keys(&page));
            if page.end {
                assert_eq!(self.at.scan, None, "a listing that ended left a scan behind");
                return Ok(all);
            }
        }
    }
}

pub fn keys(page: &Page) -> Vec<String> {
    page.records.iter().map(|record| record.key.as_str().to_owned()).collect()
}
