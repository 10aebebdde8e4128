//! A request's body, within a size and a time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::timeout;

/// Why a body was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unread {
    TooLarge,
    TooSlow,
    /// The peer broke off, or does not speak HTTP.
    Broken,
}

/// Reads a body whole. What is refused is not read to its end.
pub async fn read(body: Body, bytes_max: usize, time_max: Duration) -> Result<Bytes, Unread> {
    let whole = async {
        let mut parts = body.into_data_stream();
        let Some(first) = parts.next().await else { return Ok(Bytes::new()) };
        let first = first.map_err(|_| Unread::Broken)?;
        let mut all: Option<BytesMut> = None;
        let mut size = first.len();
        while size <= bytes_max {
            let Some(part) = parts.next().await else {
                return Ok(all.map_or(first, BytesMut::freeze));
            };
            let part = part.map_err(|_| Unread::Broken)?;
            size += part.len();
            all.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(&part);
        }
        Err(Unread::TooLarge)
    };
    timeout(time_max, whole).await.unwrap_or(Err(Unread::TooSlow))
}
