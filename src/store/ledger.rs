//! The ledger of links as people work on it: a look at some of it, forgetting, and taking over ids of records that were
//! created elsewhere. Changes go in bounded commits, and none is made while batches are staged: what is staged was decided by the
//! links as they were.

use std::collections::BTreeSet;

use super::{Op, Tree, link::Link, records::StreamId, state::State};
use crate::model::{Blame, Code, Fault, Key, KeyHash};

/// An epoch that no store reaches: a link of it is in doubt for good.
const IN_DOUBT: u32 = u32::MAX;

/// What became of imported links.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Imported {
    /// Keys that had no link.
    pub added: u64,
    /// Keys whose link had another id, or none.
    pub replaced: u64,
    /// Keys whose link has this id already. They stay as they are.
    pub known: u64,
}

impl State {
    /// At most `limit` links of a stream by the hash of their key, in order, beginning after `after`.
    pub async fn links_after(
        &self,
        stream: &StreamId,
        after: Option<KeyHash>,
        limit: usize,
    ) -> Result<Vec<(KeyHash, Link)>, Fault> {
        let epoch = self.epoch().await?;
        let stream = &stream.ledger();
        let after = after.map(|hash| stream.key(&hash.0));
        let page = self.store.scan(Tree::Links, &stream.prefix(), after.as_deref(), limit).await?;
        let named = page.into_iter().map(|(key, bytes)| {
            let hash = key.last_chunk().copied().map(KeyHash).unwrap_or(KeyHash([0; 16]));
            Ok((hash, super::state::decode_link(&bytes, epoch)?))
        });
        named.collect()
    }

    /// How many links a stream has.
    pub async fn link_count(&self, stream: &StreamId) -> Result<usize, Fault> {
        self.count(Tree::Links, &stream.prefix()).await
    }

    /// Forgets the link of one key, and says whether there was one.
    pub async fn forget_link(&self, stream: &StreamId, key: &Key) -> Result<bool, Fault> {
        self.refuse_while_staged(stream).await?;
        let there = self.links(stream, std::slice::from_ref(key)).await?.iter().any(Option::is_some);
        if there {
            self.commit_ops(vec![Op::Delete { tree: Tree::Links, key: stream.link_key(key) }]).await?;
        }
        Ok(there)
    }

    /// Forgets all links of a stream and says how many there were. Cut off half way, it is safe to do again.
    pub async fn forget_all_links(&self, stream: &StreamId) -> Result<usize, Fault> {
        self.refuse_while_staged(stream).await?;
        let count = self.link_count(stream).await?;
        self.forget_all(Tree::Links, stream).await?;
        Ok(count)
    }

    /// Takes over ids that the sink gave to records of these keys, in one commit. What the sink holds is in doubt, so each
    /// record is written once more when it is read, to its id. Where a link has another id the new one counts, and the next
    /// write is a new state: a vendor that remembers the last one must not answer from memory. The keys are distinct.
    pub async fn import_links(&self, stream: &StreamId, links: &[(Key, String)]) -> Result<Imported, Fault> {
        self.refuse_while_staged(stream).await?;
        let keys: Vec<Key> = links.iter().map(|(key, _)| key.clone()).collect();
        let earlier = self.links(stream, &keys).await?;
        let (mut imported, mut ops) = (Imported::default(), Vec::with_capacity(links.len()));
        for ((key, id), earlier) in links.iter().zip(earlier) {
            let generation = match earlier {
                Some(link) if link.sink_id.as_ref() == Some(id) => {
                    imported.known += 1;
                    continue;
                }
                Some(link) => {
                    imported.replaced += 1;
                    link.generation.saturating_add(1)
                }
                None => {
                    imported.added += 1;
                    1
                }
            };
            let link = Link { generation, sink_id: Some(id.clone()), ..Link::default() };
            ops.push(Op::Put { tree: Tree::Links, key: stream.link_key(key), value: link.encode(IN_DOUBT) });
        }
        if !ops.is_empty() {
            self.commit_ops(ops).await?;
        }
        Ok(imported)
    }

    /// The parts of a stream that have staged batches.
    pub async fn parts_left(&self, stream: &StreamId) -> Result<BTreeSet<StreamId>, Fault> {
        let mut left = BTreeSet::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.scan(Tree::Outbox, &stream.parts_prefix(), after.as_deref()).await?;
            let Some((last, _)) = page.last() else { return Ok(left) };
            after = Some(last.clone());
            left.extend(page.iter().filter_map(|(key, _)| StreamId::from_prefix(key)));
        }
    }

    pub(super) async fn refuse_while_staged(&self, stream: &StreamId) -> Result<(), Fault> {
        if self.outbox_depth(stream).await? == 0 && self.parts_left(stream).await?.is_empty() {
            return Ok(());
        }
        let message = format!("{stream} has staged batches without a verdict");
        Err(Fault::halt(Code::Conflict, Blame::Config, message)
            .help("nothing was changed; run the pipeline once so that they are delivered, then do it again"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{Memory, Seal};

    fn state() -> State {
        State::new(Arc::new(Memory::default()), Arc::new(Seal::plain()))
    }

    fn stream() -> StreamId {
        StreamId::new("leads", "customers")
    }

    fn pair(key: &str, id: &str) -> (Key, String) {
        (Key::new(key), id.to_owned())
    }

    #[tokio::test]
    async fn an_imported_link_knows_the_id_and_doubts_the_content_in_every_epoch() {
        let mut state = state();
        let all = [pair("a", "lead_1"), pair("b", "lead_2")];
        let imported = state.import_links(&stream(), &all).await.unwrap();
        assert_eq!(imported, Imported { added: 2, ..Imported::default() });
        for _ in 0..2 {
            let link = state.links(&stream(), &[Key::new("a")]).await.unwrap().remove(0).unwrap();
            assert_eq!((link.content, link.generation, link.sink_id.as_deref()), (None, 1, Some("lead_1")));
            state.doubt_links().await.unwrap();
        }
    }

    #[tokio::test]
    async fn importing_again_changes_nothing_and_another_id_is_another_state() {
        let state = state();
        state.import_links(&stream(), &[pair("a", "lead_1"), pair("b", "lead_2")]).await.unwrap();
        let again = state.import_links(&stream(), &[pair("a", "lead_1"), pair("b", "lead_9")]).await.unwrap();
        assert_eq!(again, Imported { known: 1, replaced: 1, added: 0 });
        let links = state.links(&stream(), &[Key::new("a"), Key::new("b")]).await.unwrap();
        let generations: Vec<u32> = links.iter().flatten().map(|link| link.generation).collect();
        assert_eq!(generations, [1, 2]);
    }

    #[tokio::test]
    async fn links_are_listed_in_pages_and_forgotten_one_or_all() {
        let state = state();
        let all: Vec<_> = (0..5).map(|n| pair(&n.to_string(), "x")).collect();
        state.import_links(&stream(), &all).await.unwrap();
        let first = state.links_after(&stream(), None, 3).await.unwrap();
        let rest = state.links_after(&stream(), first.last().map(|(hash, _)| *hash), 3).await.unwrap();
        assert_eq!((first.len(), rest.len()), (3, 2));
        assert!(first.iter().chain(&rest).any(|(hash, _)| *hash == KeyHash::of(&Key::new("4"))));
        assert!(state.forget_link(&stream(), &Key::new("4")).await.unwrap());
        assert!(!state.forget_link(&stream(), &Key::new("4")).await.unwrap());
        assert_eq!(state.forget_all_links(&stream()).await.unwrap(), 4);
        assert_eq!(state.link_count(&stream()).await.unwrap(), 0);
    }
}
