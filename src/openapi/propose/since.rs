//! Whether a stream can be read by change: a field of the record that grows with every change, and a parameter that takes its
//! value. A field that tells when a record was made is not one: changes would be missed.

use super::{
    super::{
        call::{Call, Parameter},
        schema::{Schema, Types},
        words::{folded, yaml},
    },
    records::is_step,
};

const CHANGED: [&str; 22] = [
    "updatedat",
    "updated",
    "updatedon",
    "updateddate",
    "updatedtime",
    "updatetime",
    "updatedatetime",
    "modifiedat",
    "modified",
    "modifiedon",
    "modifieddate",
    "modifiedtime",
    "lastmodified",
    "lastmodifiedat",
    "lastmodifieddate",
    "lastupdated",
    "lastupdatedat",
    "lasteditedtime",
    "changedat",
    "dateupdated",
    "datemodified",
    "updateat",
];
const SINCE: [&str; 20] = [
    "updatedsince",
    "modifiedsince",
    "changedsince",
    "updatedafter",
    "modifiedafter",
    "updatedatmin",
    "modifiedatmin",
    "updatedfrom",
    "modifiedfrom",
    "updatedatfrom",
    "updatedatafter",
    "updatedatsince",
    "lastmodifiedafter",
    "lastupdatedafter",
    "updatedgte",
    "updatedatgte",
    "modifiedgte",
    "since",
    "dateupdatedafter",
    "updatedmin",
];
const UNTIL: [&str; 12] = [
    "updateduntil",
    "modifieduntil",
    "updatedbefore",
    "modifiedbefore",
    "updatedatmax",
    "updatedto",
    "modifiedto",
    "updatedatto",
    "updatedatbefore",
    "updatedlt",
    "updatedatlt",
    "lastmodifiedbefore",
];
const MADE: [&str; 8] =
    ["created", "createdat", "createdon", "datecreated", "createddate", "createdtime", "createtime", "creationdate"];

/// What is known about reading by change.
#[derive(Default)]
pub struct Since {
    /// The value of `incremental`.
    pub incremental: Option<String>,
    /// A line that could stand there, and does not.
    pub offered: Option<String>,
    pub note: Option<String>,
}

pub fn tell(call: &Call<'_>, item: &Schema<'_>) -> Since {
    let fields = item.fields();
    let fields: Vec<_> = fields.iter().filter(|field| is_step(field.name)).collect();
    let named =
        |names: &[&str]| names.iter().find_map(|name| fields.iter().find(|field| folded(field.name) == *name)).copied();
    let Some(changed) = named(&CHANGED) else { return made(call, &named) };
    let Some(format) = format_of(&changed.schema, changed.name) else {
        return Since {
            note: Some("the field of the last change is written in a form that no cursor has".to_owned()),
            ..Since::default()
        };
    };
    let bounds = bounds(call, &SINCE, folded(changed.name).as_str());
    let Some((since, until)) = bounds.filter(|(since, _)| takes(since, format)) else {
        return Since {
            note: Some("no parameter filters by the last change: everything is read each time".to_owned()),
            ..Since::default()
        };
    };
    let until = until.map(|until| format!(", until: {}", yaml(&until))).unwrap_or_default();
    let incremental =
        format!("{{ field: {}, format: {format}, since: {}{until} }}", yaml(changed.name), yaml(&since.name));
    Since { incremental: Some(incremental), ..Since::default() }
}

/// A field that never changes again is offered, with what it misses.
fn made<'f, 'd: 'f>(call: &Call<'_>, named: &dyn Fn(&[&str]) -> Option<&'f super::super::schema::Field<'d>>) -> Since {
    let note = Some("no field of the record tells of its last change: everything is read each time".to_owned());
    let Some(field) = named(&MADE) else { return Since { note, ..Since::default() } };
    let format = format_of(&field.schema, field.name);
    let bound = bounds(call, &[], &folded(field.name));
    let offered =
        format.zip(bound).filter(|(format, (since, _))| takes(since, format)).map(|(format, (since, until))| {
            let until = until.map(|until| format!(", until: {}", yaml(&until))).unwrap_or_default();
            format!(
                "incremental: {{ field: {}, format: {format}, since: {}{until} }}",
                yaml(field.name),
                yaml(&since.name)
            )
        });
    Since { incremental: None, offered, note }
}

struct Bound {
    name: String,
    types: Types,
    format: String,
    words: String,
}

/// The parameters for both ends, by their usual names or as `field[gte]`, `field_gte`, `field_after` and `field_min`.
fn bounds(call: &Call<'_>, known: &[&str], field: &str) -> Option<(Bound, Option<String>)> {
    let bound = |one: &Parameter<'_>, name: String, schema: &Schema<'_>| Bound {
        name,
        types: schema.types(),
        format: schema.format().to_owned(),
        words: format!("{} {}", one.description, schema.description()),
    };
    for one in call.query().filter(|one| one.deep && folded(one.name) == field) {
        let inside = one.schema.fields();
        let by = |names: &[&str]| inside.iter().find(|field| names.contains(&field.name));
        if let Some(low) = by(&["gte", "gt", "from", "after", "since", "min"]) {
            let high = by(&["lt", "lte", "to", "before", "until", "max"]);
            let name = |inside: &str| format!("{}[{inside}]", one.name);
            return Some((bound(one, name(low.name), &low.schema), high.map(|high| name(high.name))));
        }
    }
    let own = ["gte", "gt", "after", "since", "from", "min", "start"].map(|ending| format!("{field}{ending}"));
    let find = |names: &[&str]| names.iter().find_map(|name| call.query().find(|one| folded(one.name) == *name));
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let low = find(&own).or_else(|| find(known))?;
    let high = ["lt", "lte", "before", "until", "to", "max", "end"].map(|ending| format!("{field}{ending}"));
    let high: Vec<&str> = high.iter().map(String::as_str).collect();
    let until = find(&high).or_else(|| if known.is_empty() { None } else { find(&UNTIL) });
    Some((bound(low, low.name.to_owned(), &low.schema), until.map(|one| one.name.to_owned())))
}

/// How the field is written, in the words of `incremental.format`.
fn format_of(schema: &Schema<'_>, name: &str) -> Option<&'static str> {
    let types = schema.types();
    let words = format!("{name} {}", schema.description()).to_lowercase();
    if types.surely(Types::INTEGER) || types.surely(Types::NUMBER) {
        let millis = words.contains("milli")
            || words.contains("_ms")
            || schema.number("example").is_some_and(|n| n > 100_000_000_000);
        return Some(if millis { "epoch_millis" } else { "epoch_seconds" });
    }
    let has_time = matches!(schema.format(), "date-time" | "datetime")
        || schema
            .said("example")
            .and_then(serde_json::Value::as_str)
            .is_some_and(|text| text.contains('T') && text.len() > 15);
    (types.surely(Types::TEXT) && has_time).then_some("rfc3339")
}

/// Whether a parameter takes what the cursor is written as.
fn takes(bound: &Bound, format: &str) -> bool {
    if format == "rfc3339" {
        let dated =
            bound.format == "date" || bound.words.contains("yyyy-mm-dd)") || bound.words.contains("YYYY-MM-DD)");
        return bound.types.may_be(Types::TEXT) && !dated;
    }
    bound.types.may_be(Types::INTEGER) || bound.types.may_be(Types::NUMBER)
}
