//! Writes the body of an answer into an unnamed file as it comes.

use std::{fs::File, io, io::Write, path::Path};

use bytes::{Bytes, BytesMut};
use ring::digest::{Context, SHA256};
use tokio::{task::spawn_blocking, time::timeout};

use super::{
    super::{
        Response, SendError,
        spool::{IN_MEMORY_BYTES_MAX, Spool, Spooled},
    },
    read_body,
};

/// What is gathered before it is written.
const WRITE_BYTES: usize = 256 << 10;

/// Reads the body: a short one into the response, a longer one into the spool's file. A refusal never goes there.
pub async fn read(mut response: reqwest::Response, spool: &Spool, bytes_max: usize) -> Result<Response, SendError> {
    spool.keep(None);
    let status = response.status();
    if !status.is_success() {
        return timeout(spool.silence_max(), read_body(response, bytes_max)).await.unwrap_or(Err(SendError::Timeout));
    }
    if response.content_length().is_some_and(|announced| announced > spool.bytes_max()) {
        return Err(SendError::BodyTooLarge { status });
    }
    let headers = std::mem::take(response.headers_mut());
    let (mut gathered, mut bytes) = (BytesMut::new(), 0u64);
    let mut body: Option<Writer> = None;
    loop {
        let chunk = timeout(spool.silence_max(), response.chunk()).await.map_err(|_| SendError::Timeout)?;
        let Some(chunk) = chunk.map_err(|_| SendError::Truncated { status })? else { break };
        bytes += chunk.len() as u64;
        if bytes > spool.bytes_max() {
            return Err(SendError::BodyTooLarge { status });
        }
        gathered.extend_from_slice(&chunk);
        if gathered.len() > WRITE_BYTES.max(IN_MEMORY_BYTES_MAX) {
            let full = std::mem::replace(&mut gathered, BytesMut::with_capacity(WRITE_BYTES * 2)).freeze();
            body = Some(written(body, spool, full).await?);
        }
    }
    let Some(writer) = body else { return Ok(Response { status, headers, body: gathered.freeze() }) };
    let Writer { file, digest } = written(Some(writer), spool, gathered.freeze()).await?;
    let digest = digest.finish();
    let mut name = [0; 32];
    name.copy_from_slice(digest.as_ref());
    spool.keep(Some(Spooled { file, bytes, digest: name }));
    Ok(Response { status, headers, body: Bytes::new() })
}

struct Writer {
    file: File,
    digest: Context,
}

impl Writer {
    /// The file is readable by us alone and never has a name, or loses it at once.
    fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        Ok(Self { file: tempfile::tempfile_in(dir)?, digest: Context::new(&SHA256) })
    }
}

async fn written(writer: Option<Writer>, spool: &Spool, piece: Bytes) -> Result<Writer, SendError> {
    let spool = spool.clone();
    let writing = spawn_blocking(move || {
        let mut writer = writer.map_or_else(|| Writer::open(spool.dir()), Ok)?;
        writer.digest.update(&piece);
        writer.file.write_all(&piece).map(|()| writer)
    });
    let unkept = |error: io::Error| SendError::Unkept {
        is_full: matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded),
        why: error.to_string(),
    };
    writing.await.unwrap_or_else(|_| Err(io::Error::other("writing it panicked"))).map_err(unkept)
}
