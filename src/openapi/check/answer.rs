//! Whether the places in answers that a connector reads are there.

use super::{
    super::{
        call::Call,
        schema::{Schema, Types},
    },
    Notes, Use,
};
use crate::model::{Path, Step};

/// How a place is described.
pub enum Reached<'d> {
    There(Schema<'d>),
    /// The document says nothing about what would be there.
    Untold,
    /// The field that is not there, and those that are.
    Missing(String, Vec<String>),
}

pub fn compare(one: &Use<'_>, call: &Call<'_>, notes: &mut Notes<'_>) {
    let reads = !one.in_answer.is_empty() || one.records.is_some();
    let Some(answer) = call.answer.as_ref().and_then(|answer| answer.schema.clone()).filter(|_| reads) else {
        if reads {
            notes.untold("the answer is not described");
        }
        return;
    };
    for path in &one.in_answer {
        look(&answer, path, "the answer", notes);
    }
    let Some((list, inside)) = &one.records else { return };
    let records = match reach(&answer, list) {
        Reached::There(found) => found,
        Reached::Untold => return notes.untold(format!("what stands at `{list}` of the answer is not described")),
        Reached::Missing(field, known) => return notes.misfit(missing(list, "the answer", &field, &known)),
    };
    let types = records.types();
    let item = match records.items() {
        Some(item) => item,
        None if types.surely(Types::ARRAY) || types.is_unknown() => {
            return notes.untold(format!("what `{list}` of the answer holds is not described"));
        }
        // The answer to a question for one record.
        None if types.surely(Types::OBJECT) => records,
        None => return notes.misfit(format!("`{list}` of the answer is {types} and no list")),
    };
    notes.fits();
    for path in inside {
        look(&item, path, "a record", notes);
    }
}

fn look(schema: &Schema<'_>, path: &Path, of: &str, notes: &mut Notes<'_>) {
    match reach(schema, path) {
        Reached::There(_) => notes.fits(),
        Reached::Untold => notes.untold(format!("`{path}` of {of} is not described")),
        Reached::Missing(field, known) => notes.misfit(missing(path, of, &field, &known)),
    }
}

fn missing(path: &Path, of: &str, field: &str, known: &[String]) -> String {
    let near = crate::config::nearest(field, known.iter().map(String::as_str));
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    match path.as_str() == field {
        true => format!("`{path}` of {of} is not there{near}"),
        false => format!("`{path}` of {of} is not there: it has no `{field}`{near}"),
    }
}

/// Follows a path through a description.
pub fn reach<'d>(schema: &Schema<'d>, path: &Path) -> Reached<'d> {
    let mut at = schema.clone();
    for step in path.steps() {
        at = match step {
            Step::Item(_) => match at.items() {
                Some(item) => item,
                None => return Reached::Untold,
            },
            Step::Field(name) => {
                let fields = at.fields();
                if fields.is_empty() {
                    return Reached::Untold;
                }
                let known: Vec<String> = fields.iter().map(|field| field.name.to_owned()).collect();
                match fields.into_iter().find(|field| field.name == name) {
                    Some(field) => field.schema,
                    // Fields that are named by who uses it, or an example, which may leave some out.
                    None if at.is_open() || at.is_sample() => return Reached::Untold,
                    None => return Reached::Missing(name.clone(), known),
                }
            }
        };
    }
    Reached::There(at)
}
