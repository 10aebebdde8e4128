//! Files around the text of an answer: gzip, and zip with its directory. The only file that unpacks.
//!
//! The hard idea is that a small answer can unpack to anything: what comes out of all files together is counted, and the
//! directory of a zip file is gone through without being held.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Take},
    sync::Arc,
};

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use zip::{CompressionMethod, HasZipMetadata, read::Config, unstable::read::ZipIterable};

use super::{Body, Trouble};
use crate::config::plan::Packed;

/// More files in one answer are refused.
const FILES_MAX: usize = 10_000;
const READ_BYTES: usize = 64 << 10;
/// The fixed part of what stands before each file in a zip file (APPNOTE 4.3.7).
const LOCAL_HEADER_BYTES: usize = 30;

/// The files of one answer, in its order. An answer that is not packed is one file.
pub struct Files {
    body: Body,
    packed: Packed,
    left: Left,
    /// Bytes that may still come out of the answer.
    room: u64,
}

enum Left {
    One,
    Entries(std::vec::IntoIter<Entry>),
    Nothing,
}

/// One file of a zip file.
struct Entry {
    at: u64,
    packed_bytes: u64,
    bytes: u64,
    crc: u32,
    is_stored: bool,
}

impl Files {
    pub fn open(body: Body, packed: Packed, bytes_max: u64) -> Result<Self, Trouble> {
        let left = match packed {
            Packed::No | Packed::Gzip => Left::One,
            Packed::Zip => Left::Entries(entries(&body)?.into_iter()),
        };
        Ok(Self { body, packed, left, room: bytes_max })
    }

    /// The next file's reader. `came` bytes came out of the one before.
    pub fn next(&mut self, came: u64) -> Result<Option<Box<dyn Read + Send>>, Trouble> {
        self.room = self.room.saturating_sub(came);
        let entry = match &mut self.left {
            Left::Nothing => return Ok(None),
            Left::One => {
                self.left = Left::Nothing;
                None
            }
            Left::Entries(entries) => match entries.next() {
                Some(entry) => Some(entry),
                None => return Ok(None),
            },
        };
        let body = self.body.reader(entry.as_ref().map_or(0, |entry| entry.at))?;
        let unpacked: Box<dyn Read + Send> = match entry {
            Some(entry) => Box::new(entry.reader(body)?),
            None if self.packed == Packed::Gzip => Box::new(MultiGzDecoder::new(body)),
            None => Box::new(body),
        };
        Ok(Some(Box::new(Bounded { from: unpacked, room: self.room })))
    }
}

impl Body {
    /// Reads from the given byte on. Readers of one file share its place: only the newest may be used.
    fn reader(&self, at: u64) -> io::Result<BufReader<Raw>> {
        let mut raw = match self {
            Self::Memory(bytes) => Raw::Memory(Cursor::new(bytes.clone())),
            Self::File(file) => Raw::File(file.clone()),
        };
        raw.seek(SeekFrom::Start(at))?;
        Ok(BufReader::with_capacity(READ_BYTES, raw))
    }
}

enum Raw {
    Memory(Cursor<Bytes>),
    File(Arc<File>),
}

impl Read for Raw {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => bytes.read(out),
            Self::File(file) => (&**file).read(out),
        }
    }
}

impl Seek for Raw {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Memory(bytes) => bytes.seek(to),
            Self::File(file) => (&**file).seek(to),
        }
    }
}

/// The files that a zip file's directory names, folders left out.
fn entries(body: &Body) -> Result<Vec<Entry>, Trouble> {
    let damaged = |error: zip::result::ZipError| match error {
        zip::result::ZipError::Io(error) => Trouble::from(error),
        error => Trouble::Packed(error.to_string()),
    };
    let mut archive = ZipIterable::try_new(body.reader(0)?, Config::default()).map_err(damaged)?;
    if archive.len() > FILES_MAX {
        return Err(Trouble::Packed(format!("it holds {} files, more than {FILES_MAX}", archive.len())));
    }
    let mut found = Vec::new();
    for entry in archive.files().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        if entry.is_dir() {
            continue;
        }
        let name = entry.name().map_err(damaged)?.escape_debug().to_string();
        let method = entry.compression();
        if entry.encrypted() || !matches!(method, CompressionMethod::STORE | CompressionMethod::DEFLATE) {
            let why = if entry.encrypted() { "is encrypted" } else { "is packed neither by deflate nor plainly" };
            return Err(Trouble::Packed(format!("its file `{name}` {why}")));
        }
        found.push(Entry {
            at: entry.get_metadata().header_start,
            packed_bytes: entry.compressed_size(),
            bytes: entry.size(),
            crc: entry.crc32(),
            is_stored: method == CompressionMethod::STORE,
        });
    }
    Ok(found)
}

impl Entry {
    fn reader(self, mut body: BufReader<Raw>) -> Result<Checked, Trouble> {
        let mut header = [0; LOCAL_HEADER_BYTES];
        body.read_exact(&mut header)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(Trouble::Packed("its directory points to where no file is".to_owned()));
        }
        let field = |at: usize| i64::from(u16::from_le_bytes([header[at], header[at + 1]]));
        body.seek_relative(field(26) + field(28))?;
        let packed = body.take(self.packed_bytes);
        let from = if self.is_stored { Method::Stored(packed) } else { Method::Deflated(DeflateDecoder::new(packed)) };
        Ok(Checked { from, left: self.bytes, crc: self.crc, sum: Hasher::new() })
    }
}

enum Method {
    Stored(Take<BufReader<Raw>>),
    Deflated(DeflateDecoder<Take<BufReader<Raw>>>),
}

/// A file of a zip file that must come to the size and the checksum that the directory names.
struct Checked {
    from: Method,
    left: u64,
    crc: u32,
    sum: Hasher,
}

impl Read for Checked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = match &mut self.from {
            Method::Stored(from) => from.read(out)?,
            Method::Deflated(from) => from.read(out)?,
        };
        self.sum.update(&out[..got]);
        let damaged = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidData, why.to_owned()));
        match self.left.checked_sub(got as u64) {
            None => return damaged("one of its files is larger than its directory says"),
            Some(left) => self.left = left,
        }
        if got == 0 && !out.is_empty() {
            if self.left > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.sum.clone().finalize() != self.crc {
                return damaged("one of its files has another checksum than its directory says");
            }
        }
        Ok(got)
    }
}

/// Gives no more than there is room for.
struct Bounded {
    from: Box<dyn Read + Send>,
    room: u64,
}

impl Read for Bounded {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(out)?;
        self.room = self.room.checked_sub(got as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(got)
    }
}
