//! Records that stand in lists inside the items of an answer. Paging goes by the items; everything behind it sees the records.

use bytes::Bytes;

use super::{
    cut::{Item, one},
    one_slice::OneSlice,
};
use crate::{
    config::plan::Stream,
    model::{Blame, Code, Disposition, Fault, Fields, Path, Reason, Reject, Step},
    transform::{Personal, Unexpanded, parts},
};

/// The stream of the items around the records, as far as cutting needs it. Nothing: the items are the records.
pub fn around(stream: &Stream) -> Option<Stream> {
    if stream.expand.is_empty() {
        return None;
    }
    let key = stream.key.iter().filter_map(|path| outside(path, stream)).collect();
    Some(Stream { key, version: None, incremental: None, deletions: None, expand: Vec::new(), ..stream.clone() })
}

/// A path of the record as it stands in the outermost item.
fn outside(path: &Path, stream: &Stream) -> Option<Path> {
    let step = |steps: Vec<Step>, parent: &str| match steps.split_first()? {
        (Step::Field(name), rest) if name == parent => Some(rest.to_vec()),
        _ => None,
    };
    let mut parents = stream.expand.iter().rev().map(|expand| expand.parent.as_str());
    Path::of(&parents.try_fold(path.steps().to_vec(), step)?)
}

/// What makes a record whole besides its own text: the fields of its slice, and then the protection of personal ones.
pub struct Whole<'s> {
    pub slice: Option<&'s OneSlice>,
    pub personal: &'s Personal,
}

/// The records of some items, personal fields protected, and the items that hold none because they do not fit.
pub fn expanded(
    items: Vec<Item>,
    stream: &Stream,
    whole: &Whole<'_>,
    bytes_max: usize,
) -> Result<(Vec<Item>, Vec<Reject>), Fault> {
    let personal = whole.personal;
    let (mut records, mut rejects, mut room) = (Vec::with_capacity(items.len()), Vec::new(), bytes_max);
    for item in items {
        let refuse = |fields: Fields, reason| Reject {
            key: None,
            gone: false,
            // Where the personal fields of such an item are nobody can say.
            fields: personal.read(fields, false),
            reason,
            slip: None,
        };
        if let Some(reason) = item.broken {
            rejects.push(refuse(item.fields, reason));
            continue;
        }
        if !item.object {
            rejects.push(refuse(item.fields, Reason::new(Code::NotAnObject, "the item is no JSON object")));
            continue;
        }
        match texts(&item, stream, &mut room) {
            Ok(texts) => {
                for text in texts {
                    let mut record = one(&Bytes::from(text), stream);
                    if let Some(slice) = whole.slice {
                        slice.add_to(std::slice::from_mut(&mut record), stream)?;
                    }
                    record.fields = personal.read(record.fields, record.object);
                    record.key = record.key.map(|key| personal.key(key));
                    records.push(record);
                }
            }
            Err(Unexpanded::Refused(reason)) => rejects.push(refuse(item.fields, reason)),
            Err(Unexpanded::TooLarge) => return Err(too_large(stream, bytes_max)),
        }
    }
    Ok((records, rejects))
}

fn texts(item: &Item, stream: &Stream, room: &mut usize) -> Result<Vec<String>, Unexpanded> {
    let mut all = vec![item.fields.as_str().to_owned()];
    for by in &stream.expand {
        let mut inner = Vec::new();
        for text in &all {
            inner.extend(parts(text, by, room)?);
        }
        all = inner;
    }
    Ok(all)
}

fn too_large(stream: &Stream, bytes_max: usize) -> Fault {
    let message = format!("a page of stream {} expands to more than {} MiB", stream.name, bytes_max >> 20);
    Fault::halt(Code::ExpandTooLarge, Blame::Config, message).with(Disposition::Halt).help(
        "Nothing of this page was taken over, and the cursor did not move. Keep fewer fields of the item around the list \
         (`keep: [..]`), or read smaller pages.",
    )
}
