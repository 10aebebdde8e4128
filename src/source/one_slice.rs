//! One slice of a stream: what its request sees, and what its records are given.

use super::cut::{self, Item};
use crate::{
    config::plan::{Api, Stream},
    expr::Scope,
    model::{Blame, Fault, Path},
    transform::Draft,
};

/// What a slice is known by.
pub struct OneSlice {
    /// What templates see as `slice`: the text of one JSON object.
    pub values: String,
    added: Result<Vec<(Path, String)>, Fault>,
}

impl OneSlice {
    pub fn new(api: &Api, stream: &Stream, values: &str) -> Self {
        let scope = Scope::new().json("config", api.settings.as_str()).json("slice", values);
        let fields = stream.slices.iter().flat_map(|slices| &slices.add);
        let added = fields.map(|(path, expression)| match expression.evaluate_json(&scope) {
            Ok(value) => Ok((path.clone(), value.map_or_else(|| "null".to_owned(), |value| value.into_owned()))),
            Err(error) => {
                let reason = error.reason(&format!("the added field {path}"));
                let help = "Nothing of the slice was read. Mend `add:` under `slices:` of the stream.";
                Err(Fault::halt(reason.code, Blame::Config, reason.message).help(help))
            }
        });
        Self { added: added.collect(), values: values.to_owned() }
    }

    /// Gives the fields to the records of a page, and reads again what names them and places them in time.
    pub fn add_to(&self, items: &mut [Item], stream: &Stream) -> Result<(), Fault> {
        let added = self.added.as_ref().map_err(Clone::clone)?;
        if added.is_empty() {
            return Ok(());
        }
        for item in items.iter_mut().filter(|item| item.object && item.broken.is_none()) {
            let mut draft = Draft::of(&item.fields);
            // Where an object of the record is in the way of a path, the record stays as it is and lacks the field.
            let fits = added.iter().all(|(path, value)| draft.set(path, value.clone()).is_ok());
            let whole = if fits { draft.finish() } else { None };
            if let Some(fields) = whole {
                *item = cut::one(&fields.into_bytes(), stream);
            }
        }
        Ok(())
    }
}
