//! Answers that are decoded before they are cut: whole where they fit into memory, else piece by piece, as their stream says.
//!
//! The hard idea is a position inside of an answer. It counts records, and it names the bytes that they were counted in: an
//! answer that is fetched again after a crash goes on behind them if it is the same, and begins again if it is not.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::HeaderMap;
use ring::digest::{SHA256, digest};
use secrecy::SecretString;
use tokio::task::spawn_blocking;
use url::Url;

use super::decode::{Body, Most, Piece, Records, Trouble};
use crate::{
    config::plan::{Api, Decode, Large, Stream},
    http::{Answer, Call, Spool, Spooled},
    model::{Blame, Code, Fault, Position},
};

/// An answer that was fetched, with what its pages are told by.
pub struct Fetched {
    pub headers: HeaderMap,
    pub url: Url,
    /// The size that was asked for, where it is not the declared one.
    pub size: Option<u64>,
    pub server_time: Option<DateTime<Utc>>,
    /// What signed the request.
    pub secrets: Vec<SecretString>,
}

impl Fetched {
    pub fn new(answer: &Answer, url: Url, size: Option<u64>) -> Self {
        let (headers, secrets) = (answer.headers.clone(), answer.secrets.clone());
        Self { headers, url, size, server_time: answer.server_time, secrets }
    }
}

/// One that is read piece by piece.
pub struct Kept {
    /// Where it stands in its listing.
    answer: Option<Position>,
    of: String,
    pub fetched: Arc<Fetched>,
    body: Body,
    records: Records,
}

/// How the answers of a stream are decoded.
pub struct Reading<'s> {
    stream: &'s Stream,
    /// Broken rows are not shown.
    conceals: bool,
    bytes_max: u64,
    most: Most,
}

impl<'s> Reading<'s> {
    /// Nothing: they are JSON that is cut as it is.
    pub fn of(api: &Api, stream: &'s Stream, conceals: bool) -> Option<Self> {
        let (bytes_max, most) = match (&stream.form.decode, &stream.form.large) {
            (None, None) => return None,
            (_, Some(large)) => (large.bytes_max, Most::PIECE),
            (Some(_), None) => (api.body_bytes_max as u64, Most { records: u64::MAX, bytes: api.body_bytes_max }),
        };
        Some(Self { stream, conceals, bytes_max, most })
    }

    /// Opens an answer at its first record.
    pub async fn open(&self, answer: Option<Position>, fetched: Fetched, body: (Body, String)) -> Result<Kept, Fault> {
        let (body, of) = body;
        let (again, conceals, bytes_max) = (body.clone(), self.conceals, self.bytes_max);
        let (decode, path) = (self.decode().clone(), self.stream.records.clone());
        let opened = blocking(move || Records::open(again, &decode, &path, bytes_max, conceals)).await?;
        let records = opened.map_err(|trouble| self.fault(trouble))?;
        Ok(Kept { answer, of, fetched: Arc::new(fetched), body, records })
    }

    /// Goes to a place in an answer. Nothing: it has no such place.
    pub async fn go_to(&self, kept: Kept, records: u64) -> Result<Option<Kept>, Fault> {
        let (conceals, bytes_max) = (self.conceals, self.bytes_max);
        let (decode, path) = (self.decode().clone(), self.stream.records.clone());
        let gone = blocking(move || {
            let mut kept = kept;
            if kept.records.handed() > records {
                kept.records = Records::open(kept.body.clone(), &decode, &path, bytes_max, conceals)?;
            }
            Ok(kept.records.skip_to(records)?.then_some(kept))
        });
        gone.await?.map_err(|trouble| self.fault(trouble))
    }

    /// Reads on. Beside the piece: the answer, unless this was the last of it.
    pub async fn next(&self, mut kept: Kept) -> Result<(Piece, Option<Kept>), Fault> {
        let most = self.most;
        let read = blocking(move || {
            let piece = kept.records.next(most)?;
            let kept = piece.frame.is_none().then_some(kept);
            Ok((piece, kept))
        });
        let (piece, rest) = read.await?.map_err(|trouble| self.fault(trouble))?;
        if rest.is_some() && self.stream.form.large.is_none() {
            return Err(self.fault(Trouble::TooLarge));
        }
        Ok((piece, rest))
    }

    fn decode(&self) -> &Decode {
        self.stream.form.decode.as_ref().unwrap_or(&Decode::PLAIN)
    }

    fn fault(&self, trouble: Trouble) -> Fault {
        trouble.fault(self.decode().charset.name())
    }
}

impl Kept {
    /// Whether a position is in this very answer.
    pub fn holds(&self, position: &Position) -> bool {
        matches!(position, Position::Within { answer, of, .. } if *of == self.of && answer.as_deref() == self.answer.as_ref())
    }

    /// Whether its bytes are those in which a position counted.
    pub fn is(&self, of: &str) -> bool {
        self.of == of
    }

    /// Where its next piece begins.
    pub fn position(&self) -> Position {
        let answer = self.answer.clone().map(Box::new);
        Position::Within { answer, records: self.records.handed(), of: self.of.clone() }
    }
}

/// Has a call's answer kept in a file where it is large.
pub fn spool(call: &mut Call, api: &Api, large: Option<&Large>) -> Option<Spool> {
    call.spool = large.map(|large| Spool::new(&api.scratch, large));
    call.spool.clone()
}

/// Where the bytes of an answer are, and their name.
pub fn body(answer: &Answer, spool: Option<&Spool>) -> (Body, String) {
    match spool.and_then(Spool::take) {
        Some(Spooled { file, digest, .. }) => (Body::File(Arc::new(file)), hex(&digest)),
        None => (Body::Memory(answer.body.clone()), hex(digest(&SHA256, &answer.body).as_ref())),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Unpacking and looking for a place take their time, and others wait for none of it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<Result<T, Trouble>, Fault> {
    let panicked = |_| Fault::halt(Code::Bug, Blame::Bug, "the decoding of an answer panicked");
    spawn_blocking(work).await.map_err(panicked)
}
