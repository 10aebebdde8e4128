//! Links: what ties a record of the source to the one at the sink, and what a commit writes of them.
//!
//! A ledger has a link for every record ever delivered, so a link is small: 25 bytes and the id. What only some pipelines need,
//! the record's key for sweeps and its version for tombstones, is kept only for them.

use serde::{Deserialize, Serialize};

use super::{
    Op, Tree,
    batch::{Batch, Deed, Item, Settled},
    records::StreamId,
};
use crate::model::{ContentHash, Key, Mark, Verdict, Version};

/// What the sink was last sent for a source key.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Link {
    /// Nothing, while it is in doubt what the sink holds.
    pub content: Option<ContentHash>,
    /// How many states of the record the sink has accepted, its deletion included.
    pub generation: u32,
    pub sink_id: Option<String>,
    /// `content` was sent, and whether it took effect is unknown: a person was told.
    pub uncertain: bool,
    /// The source's record is gone, and the sink was told. With an id the sink keeps it, archived.
    pub gone: bool,
    /// Kept where a sweep must name what is missing.
    pub key: Option<Key>,
    /// The newest state that was read. Kept where an old tombstone must not be taken for a new one.
    pub version: Option<Version>,
}

/// What the links of a pipeline keep besides contents and ids.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Keeps {
    pub key: bool,
    pub version: bool,
}

impl Keeps {
    pub fn nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A longer key or version is not kept: no vendor has such, and links stay small.
const KEPT_BYTES_MAX: usize = 1_000;

impl Link {
    const FORMAT: u8 = 1;
    /// As format 1, of a link that is uncertain.
    const FORMAT_UNCERTAIN: u8 = 2;
    /// With flags, key and version.
    const FORMAT_LONG: u8 = 3;

    const UNCERTAIN: u8 = 1;
    const GONE: u8 = 2;

    /// The same, for whoever takes the risk that what was in doubt took effect.
    pub fn without_doubt(self) -> Self {
        let content = self.content.filter(|_| !self.uncertain);
        Self { uncertain: false, content, ..self }
    }

    /// The sink holds it, as far as we know.
    pub fn is_live(&self) -> bool {
        !self.gone
    }

    /// The id of a record in a file: the mark of the commit that wrote it.
    pub(super) fn id_of(mark: Mark) -> String {
        format!("{}+{}", mark.segment, mark.bytes)
    }

    /// The mark that `id_of` wrote.
    pub(super) fn mark(&self) -> Option<Mark> {
        let (segment, bytes) = self.sink_id.as_deref()?.split_once('+')?;
        Some(Mark { segment: segment.parse().ok()?, bytes: bytes.parse().ok()? })
    }

    /// `format, epoch (4), content (16), generation (4), sink id`: 25 bytes and the id. The long format has a byte of flags
    /// after the format, and key and version, each after its length (2), before the id. `epoch` is the store's when the link
    /// was written; content of an earlier one is in doubt.
    pub(super) fn encode(&self, epoch: u32) -> Vec<u8> {
        let is_long = self.gone || self.key.is_some() || self.version.is_some();
        let mut bytes = match (is_long, self.uncertain) {
            (true, uncertain) => {
                let flags = [(uncertain, Self::UNCERTAIN), (self.gone, Self::GONE)];
                vec![Self::FORMAT_LONG, flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum()]
            }
            (false, true) => vec![Self::FORMAT_UNCERTAIN],
            (false, false) => vec![Self::FORMAT],
        };
        bytes.extend_from_slice(&epoch.to_be_bytes());
        bytes.extend_from_slice(&self.content.unwrap_or(ContentHash([0; 16])).0);
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        if is_long {
            put_text(&mut bytes, self.key.as_ref().map(Key::as_str));
            put_text(&mut bytes, self.version.as_ref().map(Version::as_str));
        }
        bytes.extend_from_slice(self.sink_id.as_deref().unwrap_or_default().as_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8], epoch: u32) -> Option<Self> {
        let (format, rest) = bytes.split_first()?;
        let (flags, rest) = match *format {
            Self::FORMAT => (0, rest),
            Self::FORMAT_UNCERTAIN => (Self::UNCERTAIN, rest),
            Self::FORMAT_LONG => rest.split_first().map(|(flags, rest)| (*flags, rest))?,
            _ => return None,
        };
        let (of, rest) = rest.split_first_chunk::<4>()?;
        let (content, rest) = rest.split_first_chunk::<16>()?;
        let (generation, rest) = rest.split_first_chunk::<4>()?;
        let (key, version, id) = match *format {
            Self::FORMAT_LONG => {
                let (key, rest) = take_text(rest)?;
                let (version, id) = take_text(rest)?;
                (key, version, id)
            }
            _ => ("", "", rest),
        };
        let id = std::str::from_utf8(id).ok()?;
        let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some(Self {
            content: (u32::from_be_bytes(*of) == epoch).then_some(ContentHash(*content)),
            generation: u32::from_be_bytes(*generation),
            sink_id: named(id),
            uncertain: flags & Self::UNCERTAIN != 0,
            gone: flags & Self::GONE != 0,
            key: named(key).map(Key::new),
            version: named(version).map(Version::new),
        })
    }
}

fn put_text(bytes: &mut Vec<u8>, text: Option<&str>) {
    let text = text.filter(|text| text.len() <= KEPT_BYTES_MAX).unwrap_or_default();
    bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn take_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// What a commit writes of links: for what the sink accepted, and for unchanged records with something new to tell. Items
/// without a content hash need none.
pub(super) fn link_ops<'a>(
    stream: &'a StreamId,
    settled: &'a Settled,
    mark: Option<Mark>,
    epoch: u32,
) -> impl Iterator<Item = Op> {
    let Batch { keeps, touched, .. } = &settled.staged.batch;
    let put = move |key: &Key, link: &Link| Op::Put {
        tree: Tree::Links,
        key: stream.link_key(key),
        value: link.encode(epoch),
    };
    let written = settled.outcomes().filter_map(move |(item, verdict)| match after(item, verdict, *keeps, mark)? {
        Left::Link(link) => Some(put(&item.key, &link)),
        Left::Nothing => Some(Op::Delete { tree: Tree::Links, key: stream.link_key(&item.key) }),
    });
    touched.iter().map(move |(key, link)| put(key, link)).chain(written)
}

/// What a verdict leaves in the ledger.
enum Left {
    Link(Link),
    Nothing,
}

fn after(item: &Item, verdict: &Verdict, keeps: Keeps, mark: Option<Mark>) -> Option<Left> {
    let link = Link {
        content: Some(item.content?),
        generation: item.generation + 1,
        sink_id: item.sink_id.clone(),
        uncertain: false,
        gone: item.deed == Deed::Delete,
        key: Some(item.key.clone()).filter(|_| keeps.key),
        version: item.version.clone().filter(|_| keeps.version),
    };
    match verdict {
        Verdict::Created(id) | Verdict::Updated(id) => {
            // What a file calls the record is where it stands.
            let sink_id = mark.map(Link::id_of).or_else(|| id.clone()).or(link.sink_id);
            Some(Left::Link(Link { sink_id, ..link }))
        }
        // The sink says that it was archived before.
        Verdict::Unchanged if link.gone => Some(Left::Link(link)),
        // The generation must outlive the record: a vendor that remembers the key of its creation would answer for the
        // next one.
        Verdict::Deleted if link.gone => Some(Left::Link(Link { sink_id: None, ..link })),
        Verdict::Deleted => Some(Left::Nothing),
        // What the sink holds is unknown, and must stay known to be so: the record will be read again.
        Verdict::Parked(reason) if reason.code.leaves_doubt() => {
            Some(Left::Link(Link { generation: item.generation, uncertain: true, gone: false, ..link }))
        }
        Verdict::Unchanged | Verdict::Skipped | Verdict::Rejected(_) | Verdict::Parked(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(uncertain: bool, sink_id: Option<&str>) -> Link {
        let sink_id = sink_id.map(str::to_owned);
        Link { content: Some(ContentHash([3; 16])), generation: 7, sink_id, uncertain, ..Link::default() }
    }

    #[test]
    fn a_link_comes_back_as_it_was_written() {
        for sink_id in [None, Some("lead_1")] {
            for uncertain in [false, true] {
                let short = link(uncertain, sink_id);
                assert_eq!(short.encode(5).len(), 25 + sink_id.map_or(0, str::len));
                let key = Link { key: Some(Key::new("cus_1")), ..short.clone() };
                let version = Link { version: Some(Version::new("2026-01-01")), gone: true, ..short.clone() };
                for link in [short, key, version] {
                    assert_eq!(Link::decode(&link.encode(5), 5), Some(link));
                }
            }
        }
        for damaged in [&[9; 40][..], &[1, 2], &[3; 29]] {
            assert_eq!(Link::decode(damaged, 5), None);
        }
    }

    #[test]
    fn a_link_of_an_earlier_epoch_keeps_the_id_and_doubts_the_content() {
        let link = link(false, Some("lead_1"));
        assert_eq!(Link::decode(&link.encode(5), 6), Some(Link { content: None, ..link }));
    }

    #[test]
    fn a_key_that_is_too_long_is_not_kept() {
        let long = Link { key: Some(Key::new("k".repeat(1_001))), ..link(false, None) };
        assert_eq!(Link::decode(&long.encode(5), 5), Some(Link { key: None, ..long }));
    }
}
