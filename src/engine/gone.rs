//! Records that are gone at the source, on their way to a deletion at the sink.
//!
//! | the link says | a tombstone is |
//! |---|---|
//! | nothing | skipped: this pipeline never brought the record |
//! | gone | unchanged |
//! | a newer state was read | unchanged: the record came back after this tombstone |
//! | the sink holds it | a deletion, as far as the brake allows |

use super::prepare::{Mapped, Preparer};
use crate::{
    model::{Fault, Record, Reject, Skip, Verdict},
    store::{Batch, Deed, Item, Link, Why},
};

/// The words of a pipeline that does nothing about records that are gone.
const IGNORED: &str = "it is gone at the source, and the pipeline declares no deletes";

impl Preparer<'_> {
    /// Makes a deletion of a tombstone. Steps are not for it: what they are about may no longer stand in it.
    pub(super) fn bury(&self, record: Record) -> Result<Mapped, Reject> {
        let Some(deletes) = self.deletes else {
            return Ok(Mapped::Skipped(Skip { key: record.key, by: IGNORED.into(), slip: record.slip }));
        };
        let Record { key, version, overlap, fields: source, slip, .. } = record;
        let fields = deletes.mapping.apply(source.clone());
        let fields = fields.map_err(|reason| Reject {
            key: Some(key.clone()),
            gone: true,
            fields: source.clone(),
            reason,
            slip,
        })?;
        Ok(Mapped::Item(Item {
            deed: Deed::Delete,
            key,
            sink_key: None,
            version,
            overlap,
            content: Some(deletes.mapping.content(&fields)),
            source,
            fields,
            generation: 0,
            doubt: None,
            sink_id: None,
            idempotency_key: String::new(),
            slip,
        }))
    }

    /// Decides a deletion by its link.
    pub(super) async fn compare_gone(&self, item: Item, link: Option<Link>, batch: &mut Batch) -> Result<(), Fault> {
        match link {
            None => {
                batch.decided.skipped += 1;
                self.pass(batch, &Why::NeverWritten, &item.key);
                batch.tell(item.slip, Verdict::Skipped, None);
            }
            Some(link) if is_done(&item, &link) => {
                batch.decided.unchanged += 1;
                self.pass(batch, &Why::Buried, &item.key);
                batch.tell(item.slip, Verdict::Unchanged, link.sink_id);
            }
            Some(link) => {
                if let Some(brake) = self.brake {
                    brake.take().await?;
                }
                batch.items.push(self.named(item, Some(link)));
            }
        }
        Ok(())
    }
}

fn is_done(item: &Item, link: &Link) -> bool {
    let came_back = match (&item.version, &link.version) {
        (Some(gone), Some(read)) => gone.is_before(read),
        _ => false,
    };
    // What an older store says of an archived record is in doubt, so it is archived once more.
    came_back || (link.gone && (link.sink_id.is_none() || link.content.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContentHash, Fields, Key, Version};

    fn tombstone(version: &str) -> Item {
        let fields = Fields::from_object("{}".into());
        Item {
            deed: Deed::Delete,
            version: Some(Version::new(version)),
            content: Some(ContentHash::of(&fields)),
            ..Item::new(Key::new("1"), fields)
        }
    }

    #[test]
    fn a_tombstone_counts_unless_it_was_delivered_or_the_record_came_back() {
        let live = |version: &str| Link { version: Some(Version::new(version)), ..Link::default() };
        assert!(!is_done(&tombstone("5"), &live("5")), "deleted in the moment of its last change");
        assert!(!is_done(&tombstone("10"), &live("9")));
        assert!(is_done(&tombstone("9"), &live("10")), "an old tombstone, read again");
        assert!(!is_done(&tombstone("9"), &Link::default()));
        let deleted = Link { gone: true, ..Link::default() };
        assert!(is_done(&tombstone("9"), &deleted));
        let archived = Link { sink_id: Some("x".to_owned()), ..deleted };
        assert!(!is_done(&tombstone("9"), &archived), "it is in doubt");
        assert!(is_done(&tombstone("9"), &Link { content: Some(ContentHash([1; 16])), ..archived }));
    }
}
