//! Hears real traffic on its way, so that it can become a case. Token requests are not heard, and what is heard is kept in memory
//! until it is masked.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{mask, play::item};
use crate::{
    config::{
        plan::{Api, Auth, Changed, Operation, Stream},
        plan_case::Given,
    },
    http::{Client, HttpTransport, Request, Response, SendError, Transport},
    model::{Blame, BoxFuture, Checkpoint, Clock, Code, Cursor, Fault, Verdict},
    sink::{ApiSink, Sink},
    source,
    store::{Batch, Memory, Run, Seal, State, StreamId},
};

/// What is heard of one recording.
const EXCHANGES_MAX: usize = 200;
const BYTES_MAX: usize = 1 << 20;

/// A request and its answer, as they went by.
pub struct Heard {
    pub request: Request,
    /// Nothing: no answer came.
    pub answer: Option<Response>,
}

/// Carries requests to the network and notes what goes by.
pub struct Recorder {
    network: HttpTransport,
    token_url: Option<Url>,
    heard: Mutex<Vec<Heard>>,
}

impl Recorder {
    pub fn new(api: &Api) -> Self {
        let token_url = match &api.auth {
            Auth::OAuth2(oauth2) => Some(oauth2.token_url.clone()),
            _ => None,
        };
        Self { network: HttpTransport::new(api), token_url, heard: Mutex::default() }
    }

    fn take(&self) -> Result<Vec<Heard>, Fault> {
        let heard = std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        let bytes: usize = heard.iter().map(size).sum();
        if heard.len() > EXCHANGES_MAX || bytes > BYTES_MAX {
            let message = format!("{} requests with {bytes} bytes went by", heard.len());
            let help = format!("a case has {EXCHANGES_MAX} requests and {BYTES_MAX} bytes at the most; record less");
            return Err(unusable(message, help));
        }
        Ok(heard)
    }
}

fn size(heard: &Heard) -> usize {
    heard.request.body.len() + heard.answer.as_ref().map_or(0, |answer| answer.body.len())
}

impl Transport for Recorder {
    fn send(&self, mut request: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        Box::pin(async move {
            // A case holds its answers, so they must fit into memory.
            request.spool = None;
            let answered = self.network.send(request.clone()).await;
            let mut address = request.url.clone();
            address.set_query(None);
            let is_heard = self.token_url.as_ref() != Some(&address);
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            // One more than may be is enough to know that it was too much.
            if is_heard && heard.len() <= EXCHANGES_MAX {
                heard.push(Heard { request, answer: answered.as_ref().ok().cloned() });
            }
            answered
        })
    }
}

/// What a recording begins with, and what came of it.
pub struct Traffic {
    pub heard: Vec<Heard>,
    pub now: DateTime<Utc>,
    pub came: Came,
}

/// What came of it.
pub enum Came {
    Read { keys: Vec<String>, cursor: Option<Cursor>, pages: u64 },
    Written { records: Vec<Given>, verdicts: Vec<Verdict> },
}

/// Where a recording listens.
pub struct Listened<'l> {
    pub api: &'l Arc<Api>,
    pub client: Client,
    pub recorder: &'l Recorder,
    pub clock: Arc<dyn Clock>,
}

impl Listened<'_> {
    /// Reads some pages from the stream's beginning. The pipeline's own progress is not touched.
    pub async fn read(self, stream: &Arc<Stream>, pages_max: u64) -> Result<Traffic, Fault> {
        let now = self.clock.now();
        let source = source::in_order(self.api, stream, &self.client);
        let (mut at, mut keys, mut pages) = (Checkpoint::default(), Vec::new(), 0);
        while pages < pages_max {
            let page = source.read(&at).await?;
            pages += 1;
            keys.extend(page.records.iter().map(|record| record.key.to_string()));
            at = page.next;
            if page.end {
                break;
            }
        }
        Ok(Traffic { heard: self.recorder.take()?, now, came: Came::Read { keys, cursor: at.cursor, pages } })
    }

    /// Writes the records, once.
    pub async fn write(self, operation: &Arc<Operation>, records: Vec<Given>) -> Result<Traffic, Fault> {
        let now = self.clock.now();
        let stream = StreamId::new("recording", operation.name.clone());
        let state = State::new(Arc::new(Memory::new()), Arc::new(Seal::plain()));
        let items = records.iter().map(|record| item(&self.api.connector, operation, record)).collect();
        let batch = Batch { items, ..Batch::default() };
        let staged = state.stage(&stream, batch, now, &mut Run::begin("recording", &stream, now)).await?;
        let journal = state.journal(&stream);
        let sink =
            ApiSink::new(self.api.clone(), operation.clone(), Changed::Same, self.client, self.clock.clone(), journal);
        let verdicts = sink.write(&staged).await?;
        Ok(Traffic { heard: self.recorder.take()?, now, came: Came::Written { records, verdicts } })
    }
}

impl Traffic {
    /// Every text that a signer put into a request.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.heard.iter().flat_map(|heard| signed(&heard.request))
    }
}

/// The texts that a signer put into a request. A parameter that says where a listing goes on is hidden in messages as a secret is, and
/// is none.
pub fn signed(request: &Request) -> impl Iterator<Item = &SecretString> {
    let is_place = |secret: &SecretString| {
        let mut pairs = request.url.query_pairs();
        pairs.any(|(name, value)| mask::is_place(&name) && value == secret.expose_secret())
    };
    request.secrets.iter().filter(move |secret| !is_place(secret))
}

/// Why no case can be made of it.
pub fn unusable(message: impl Into<String>, help: impl Into<String>) -> Fault {
    Fault::halt(Code::RecordingUnusable, Blame::Remote, message).help(help)
}
