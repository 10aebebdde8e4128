//! A request's body, within a size and a time, and all bodies together within a size of their own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::timeout;

/// Why a body was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unread {
    TooLarge,
    TooSlow,
    /// Bodies that are under way take all the room.
    NoRoom,
    /// The peer broke off, or does not speak HTTP.
    Broken,
}

/// The room that all bodies share. What has come takes it, not what is announced: a peer that announces much holds nothing up.
#[derive(Debug)]
pub struct Room {
    bytes_max: usize,
    taken: AtomicUsize,
}

impl Room {
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, taken: AtomicUsize::new(0) })
    }
}

/// A body's part of the room, until it goes.
#[derive(Debug)]
pub struct Held {
    room: Arc<Room>,
    bytes: usize,
}

impl Held {
    fn grow(&mut self, bytes: usize) -> Result<(), Unread> {
        self.bytes += bytes;
        let before = self.room.taken.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.room.bytes_max { Err(Unread::NoRoom) } else { Ok(()) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads a body whole. What is refused is not read to its end.
pub async fn read(body: Body, bytes_max: usize, time_max: Duration, room: &Arc<Room>) -> Result<(Bytes, Held), Unread> {
    let mut held = Held { room: room.clone(), bytes: 0 };
    let whole = async {
        let mut parts = body.into_data_stream();
        let Some(first) = parts.next().await else { return Ok(Bytes::new()) };
        let first = first.map_err(|_| Unread::Broken)?;
        held.grow(first.len())?;
        let mut all: Option<BytesMut> = None;
        let mut size = first.len();
        while size <= bytes_max {
            let Some(part) = parts.next().await else {
                return Ok(all.map_or(first, BytesMut::freeze));
            };
            let part = part.map_err(|_| Unread::Broken)?;
            held.grow(part.len())?;
            size += part.len();
            all.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(&part);
        }
        Err(Unread::TooLarge)
    };
    let read = timeout(time_max, whole).await.unwrap_or(Err(Unread::TooSlow));
    read.map(|bytes| (bytes, held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_share_their_room_and_give_it_back() {
        let (room, second) = (Room::new(10), Duration::from_secs(1));
        let body = |text: &'static str| Body::from(text);
        let (first, held) = read(body("123456"), 10, second, &room).await.unwrap();
        assert_eq!(first, "123456");
        assert_eq!(read(body("12345"), 10, second, &room).await.unwrap_err(), Unread::NoRoom);
        assert_eq!(read(body("1234"), 3, second, &room).await.unwrap_err(), Unread::TooLarge);
        drop(held);
        assert!(read(body("1234567890"), 10, second, &room).await.is_ok());
        assert_eq!(room.taken.load(Ordering::Relaxed), 0, "nothing is held any more");
    }
}
