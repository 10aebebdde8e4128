//! The CRM's leads. A create never looks whether the `external_id` is taken, which is how a careless client makes a
//! double that everybody can see.

use std::{borrow::Cow, collections::HashMap};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::account::Effect;

const STATUSES: [&str; 5] = ["new", "open", "qualified", "customer", "closed"];

/// A lead as the CRM holds it.
#[derive(Clone, PartialEq, Debug)]
pub struct Lead {
    pub id: String,
    /// Everything the client sent, `external_id` and `status` included.
    pub fields: Map<String, Value>,
    /// Counts its changes, from 1.
    pub revision: u64,
    pub made_at: DateTime<Utc>,
    /// Its place stays taken, so that no id is given twice.
    pub(super) deleted: bool,
}

impl Lead {
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    pub(super) fn to_json(&self) -> Value {
        let mut object = Map::from_iter([("id".to_owned(), Value::from(self.id.as_str()))]);
        object.extend(self.fields.clone());
        Value::Object(object)
    }
}

/// Why a lead was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Complaint {
    pub field: &'static str,
    pub code: &'static str,
    pub message: Cow<'static, str>,
}

impl Complaint {
    pub fn new(field: &'static str, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { field, code, message: message.into() }
    }

    pub fn to_json(&self) -> Value {
        json!({ "code": self.code, "message": self.message, "field": self.field })
    }
}

#[derive(Debug)]
pub(super) struct Leads {
    rows: Vec<Lead>,
    by_external_id: HashMap<String, Vec<usize>>,
    max: usize,
    /// When the request under way came.
    pub now: DateTime<Utc>,
}

impl Leads {
    pub fn new(max: usize) -> Self {
        Self { rows: Vec::new(), by_external_id: HashMap::new(), max, now: DateTime::<Utc>::MIN_UTC }
    }

    /// All that are there, each with its place.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Lead)> {
        self.rows.iter().enumerate().filter(|(_, lead)| !lead.deleted)
    }

    /// The places of the leads with this `external_id`, oldest first.
    pub fn places(&self, external_id: &str) -> &[usize] {
        self.by_external_id.get(external_id).map_or(&[], Vec::as_slice)
    }

    pub fn with_external_id(&self, external_id: &str) -> impl Iterator<Item = &Lead> {
        self.places(external_id).iter().map(|&place| &self.rows[place])
    }

    pub fn place(&self, id: &str) -> Option<usize> {
        let number: usize = id.strip_prefix("lead_")?.parse().ok()?;
        let place = number.checked_sub(1)?;
        let lead = self.rows.get(place)?;
        (lead.id == id && !lead.deleted).then_some(place)
    }

    pub fn at(&self, place: usize) -> &Lead {
        &self.rows[place]
    }

    /// Whether a lead can be made of these fields, after `more` others.
    pub fn may_create(&self, fields: &Map<String, Value>, more: usize) -> Result<(), Complaint> {
        check(fields)?;
        if !fields.contains_key("email") {
            return Err(Complaint::new("email", "required", "is required"));
        }
        if self.rows.len() + more >= self.max {
            return Err(Complaint::new("id", "full", "the account holds no more leads"));
        }
        Ok(())
    }

    /// Always makes a lead.
    pub fn create(&mut self, mut fields: Map<String, Value>) -> Result<usize, Complaint> {
        self.may_create(&fields, 0)?;
        fields.entry("status").or_insert_with(|| "new".into());
        let place = self.rows.len();
        if let Some(external_id) = fields.get("external_id").and_then(Value::as_str) {
            self.by_external_id.entry(external_id.into()).or_default().push(place);
        }
        self.rows.push(Lead {
            id: format!("lead_{:06}", place + 1),
            fields,
            revision: 1,
            made_at: self.now,
            deleted: false,
        });
        Ok(place)
    }

    /// Changes the oldest lead with this `external_id`, or creates one.
    pub fn upsert(&mut self, fields: Map<String, Value>) -> Result<(usize, Effect), Complaint> {
        let external_id = fields.get("external_id").and_then(Value::as_str).filter(|text| !text.is_empty());
        let Some(external_id) = external_id else {
            return Err(Complaint::new("external_id", "required", "is required to upsert"));
        };
        match self.places(external_id).first() {
            Some(&place) => Ok((place, self.patch(place, fields)?)),
            None => Ok((self.create(fields)?, Effect::Created)),
        }
    }

    /// Writes the given fields and leaves the others.
    pub fn patch(&mut self, place: usize, fields: Map<String, Value>) -> Result<Effect, Complaint> {
        check(&fields)?;
        let lead = &mut self.rows[place];
        if fields.get("external_id").is_some_and(|value| lead.fields.get("external_id") != Some(value)) {
            return Err(Complaint::new("external_id", "read_only", "cannot change"));
        }
        let mut effect = Effect::Unchanged;
        for (name, value) in fields {
            if lead.fields.get(&name) != Some(&value) {
                effect = Effect::Updated;
                lead.fields.insert(name, value);
            }
        }
        lead.revision += u64::from(effect == Effect::Updated);
        Ok(effect)
    }
}

impl Leads {
    pub fn delete(&mut self, place: usize) {
        let lead = &mut self.rows[place];
        lead.deleted = true;
        if let Some(places) =
            lead.text("external_id").map(str::to_owned).and_then(|id| self.by_external_id.get_mut(&id))
        {
            places.retain(|known| *known != place);
        }
    }

    /// Somebody else changes a lead, in a field that is not ours.
    pub fn meddle(&mut self, place: usize) {
        let lead = &mut self.rows[place];
        lead.revision += 1;
        lead.fields.insert("note".to_owned(), format!("changed {} times", lead.revision).into());
    }
}

fn check(fields: &Map<String, Value>) -> Result<(), Complaint> {
    if fields.contains_key("id") {
        return Err(Complaint::new("id", "read_only", "is given by the CRM"));
    }
    match fields.get("external_id") {
        None | Some(Value::String(_)) => {}
        Some(_) => return Err(Complaint::new("external_id", "invalid_type", "must be a string")),
    }
    match fields.get("email") {
        None => {}
        Some(Value::String(email)) if email.contains('@') => {}
        Some(_) => return Err(Complaint::new("email", "invalid_email", "must contain @")),
    }
    match fields.get("status").map(Value::as_str) {
        None => Ok(()),
        Some(Some(status)) if STATUSES.contains(&status) => Ok(()),
        Some(_) => Err(Complaint::new("status", "unknown_status", format!("must be one of {}", STATUSES.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_create_never_looks_and_an_upsert_always_does() {
        let mut leads = Leads::new(10);
        let body = fields(json!({"external_id": "a", "email": "a@example.com"}));
        leads.create(body.clone()).unwrap();
        leads.create(body.clone()).unwrap();
        assert_eq!(leads.places("a"), [0, 1]);
        assert_eq!(leads.upsert(body).unwrap(), (0, Effect::Unchanged));
        let other = fields(json!({"external_id": "a", "name": "A"}));
        assert_eq!(leads.upsert(other).unwrap(), (0, Effect::Updated));
        assert_eq!(leads.all().count(), 2);
    }

    #[test]
    fn a_lead_that_breaks_a_rule_is_refused_with_the_field() {
        let mut leads = Leads::new(1);
        let mut field = |value| leads.create(fields(value)).unwrap_err().field;
        assert_eq!(field(json!({"external_id": "a"})), "email");
        assert_eq!(field(json!({"email": null})), "email");
        assert_eq!(field(json!({"email": "at"})), "email");
        assert_eq!(field(json!({"email": "a@b", "status": "hot"})), "status");
        assert_eq!(field(json!({"email": "a@b", "external_id": 7})), "external_id");
        assert_eq!(field(json!({"email": "a@b", "id": "lead_000009"})), "id");
        leads.create(fields(json!({"email": "a@b"}))).unwrap();
        assert_eq!(leads.create(fields(json!({"email": "a@b"}))).unwrap_err().code, "full");
    }
}
