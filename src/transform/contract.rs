//! Holds a record to its contract: what differs is counted with the first value as it may be shown, and what does not fit leads to
//! what the contract's terms say.
//!
//! Personal fields were protected before, so what stands there is ours and not the source's: whether it is there counts, and what it
//! is does not.

use serde_json::Value;

use super::{
    mask::{MASKED, masked_sample},
    personal::Personal,
};
use crate::{
    config::plan::{self, Terms},
    contract::Sighting,
    model::{Code, Drift, DriftKind, DriftRow, End, Fields, Path, Reason, Step},
};

/// Misfits that a reason names.
const NAMED_MAX: usize = 3;

/// A contract of a pipeline, ready to be applied. By default nothing is looked at.
#[derive(Clone, Default, Debug)]
pub struct Contract(Option<Held>);

#[derive(Clone, Debug)]
struct Held {
    plan: plan::Contract,
    end: End,
    /// The names on the way to each protected value.
    protected: Vec<Vec<String>>,
}

/// A record does not fit, and the terms say that it cannot go on so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unfit {
    /// It is a dead letter.
    Reject(Reason),
    /// The run stops. What is wrong, without a value.
    Freeze(String),
}

impl Contract {
    /// Of records as they are read.
    pub fn read(plan: &plan::Contracts, personal: &Personal) -> Self {
        Self::of(plan.read.as_ref(), End::Read, personal.paths())
    }

    /// Of records as the operation gets them. What is sent in the clear is still protected then.
    pub fn sent(plan: &plan::Contracts, personal: &Personal) -> Self {
        Self::of(plan.sent.as_ref(), End::Sent, personal.opened_paths())
    }

    fn of<'p>(plan: Option<&plan::Contract>, end: End, protected: impl Iterator<Item = &'p Path>) -> Self {
        let protected = protected.map(|path| names(path.steps()).map(str::to_owned).collect()).collect();
        Self(plan.map(|plan| Held { plan: plan.clone(), end, protected }))
    }

    /// What a difference leads to, where there is a contract.
    pub fn terms(&self) -> Option<Terms> {
        self.0.as_ref().map(|held| held.plan.terms)
    }

    /// Nothing is looked at.
    pub fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// Counts in what a record differs, and says whether it may go on.
    pub fn hold(&self, fields: &Fields, drift: &mut Drift) -> Result<(), Unfit> {
        let Some(held) = &self.0 else { return Ok(()) };
        match serde_json::from_slice::<Value>(fields.as_bytes()) {
            Ok(record) => {
                let seen = held.plan.schema.look(&record, &|at, kind, inside| held.counts(at, kind, inside));
                seen.iter().for_each(|one| drift.add(held.row(one)));
                held.judge(&seen)
            }
            // Such as half a surrogate pair: JSON that means no text.
            Err(_) => {
                let (kind, expected) = (DriftKind::BrokenRule, "readable text".to_owned());
                let unreadable = Sighting { kind, at: Vec::new(), expected, value: None, fits: false, inside: true };
                drift.add(held.row(&unreadable));
                held.judge(&[unreadable])
            }
        }
    }
}

impl Held {
    /// A difference at a protected value, below it, or over something that holds one is none of the source's.
    fn counts(&self, at: &[Step], kind: DriftKind, inside: bool) -> bool {
        !self.protected.iter().any(|path| {
            let at: Vec<&str> = names(at).collect();
            let is_above = path.len() > at.len() && path.iter().zip(&at).all(|(one, other)| one == other);
            let is_at_or_below = at.len() >= path.len() && path.iter().zip(&at).all(|(one, other)| one == other);
            let is_missing = kind == DriftKind::MissingField && at.len() == path.len();
            (is_above && inside) || (is_at_or_below && !is_missing)
        })
    }

    fn row(&self, one: &Sighting<'_>) -> DriftRow {
        let hidden = self.protected.iter().any(|path| path.iter().zip(names(&one.at)).all(|(one, other)| one == other));
        let sample = match one.value {
            None => String::new(),
            Some(_) if hidden => MASKED.to_owned(),
            Some(value) => masked_sample(names(&one.at), value),
        };
        DriftRow {
            end: self.end,
            kind: one.kind,
            path: one.path(),
            expected: one.expected.clone(),
            found: one.found().to_owned(),
            sample,
            records: 1,
        }
    }

    fn judge(&self, seen: &[Sighting<'_>]) -> Result<(), Unfit> {
        let mut misfits = seen.iter().filter(|one| !one.fits).peekable();
        if misfits.peek().is_none() {
            return Ok(());
        }
        let count = misfits.clone().count();
        let named: Vec<String> = misfits.take(NAMED_MAX).map(Sighting::words).collect();
        let more = if count > NAMED_MAX { format!(", and {} more", count - NAMED_MAX) } else { String::new() };
        let words = format!("{}{more}", named.join(", "));
        match self.plan.terms {
            Terms::Evolve | Terms::Warn => Ok(()),
            Terms::Reject => {
                let end = if self.end == End::Read { "stream" } else { "operation" };
                Err(Unfit::Reject(Reason::new(Code::ContractRefused, format!("by the {end}'s schema {words}"))))
            }
            Terms::Freeze => Err(Unfit::Freeze(words)),
        }
    }
}

fn names(steps: &[Step]) -> impl Iterator<Item = &str> {
    steps.iter().filter_map(|step| match step {
        Step::Field(name) => Some(name.as_str()),
        Step::Item(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        config::plan::{Contracts, PersonalRule, Protect},
        contract::RecordSchema,
    };

    /// Terms, and a schema over records of which `mail` and `customer.phone` are protected.
    fn contract(terms: Terms, schema: Value) -> Contract {
        let schema = Arc::new(RecordSchema::of(schema).unwrap());
        let rule = |path: &str| PersonalRule { path: Path::parse(path).unwrap(), protect: Protect::Mask };
        let rules = vec![rule("mail"), rule("customer.phone")];
        let personal = Personal::new(&plan::Personal { rules, ..plan::Personal::default() });
        Contract::read(&Contracts { read: Some(plan::Contract { schema, terms }), sent: None }, &personal)
    }

    fn held(schema: Value, record: &Value) -> (Vec<String>, bool) {
        let mut drift = Drift::default();
        let fields = Fields::parse(record.to_string().as_bytes()).unwrap();
        let fits = contract(Terms::Reject, schema).hold(&fields, &mut drift).is_ok();
        (drift.rows.into_iter().map(|row| format!("{} {} {}", row.kind.name(), row.path, row.sample)).collect(), fits)
    }

    #[test]
    fn of_a_protected_field_only_counts_whether_it_is_there() {
        let customer = |schema: Value| json!({"properties": {"customer": schema}});
        let record = json!({"mail": "***", "customer": {"phone": "***", "a": 1}});
        for schema in [
            json!({"properties": {"mail": {"format": "email"}, "customer": {}}}),
            json!({"properties": {"mail": {"type": "integer"}, "customer": {}}}),
            json!({"properties": {"mail": {"properties": {"x": {"type": "string"}}}, "customer": {}}}),
            json!({"anyOf": [{"properties": {"mail": {"const": "x"}}, "required": ["mail"]}]}),
        ] {
            assert!(held(schema.clone(), &record).1, "{schema}");
        }
        let alternatives =
            json!({"anyOf": [{"properties": {"phone": {"pattern": "^[0-9]+$"}}, "required": ["phone"]}]});
        assert!(held(customer(alternatives), &record).1);
        assert!(!held(customer(json!({"required": ["b"]})), &record).1, "what stands beside it counts");
        assert!(!held(customer(json!({"properties": {"a": {"type": "string"}}})), &record).1);
        assert!(!held(json!({"required": ["mail"]}), &json!({})).1, "that it is missing counts");
        assert!(!held(json!({"type": "array"}), &record).1);
    }

    #[test]
    fn a_sample_is_shown_by_the_rule_of_plans_and_never_of_a_protected_field() {
        let record = json!({"mail": "***", "at": "2026-01-02T03:04:05Z", "code": "cus_0001", "secret_x": "abc",
            "long": "abcdefabcdef0123456789", "list": [1], "object": {"a": 1}, "n": 12, "big": 1_234_567_890});
        let (mut rows, fits) = held(json!({"properties": {"id": {}}}), &record);
        rows.sort();
        assert!(fits);
        assert_eq!(
            rows,
            [
                "new_field at \"2026-01-02T03:04:05Z\"",
                "new_field big \"***\"",
                "new_field code \"cus_0001\"",
                "new_field list [..]",
                "new_field long ***",
                "new_field mail ***",
                "new_field n 12",
                "new_field object {..}",
                "new_field secret_x ***",
            ]
        );
    }

    #[test]
    fn the_terms_decide_what_a_misfit_leads_to_and_no_value_is_quoted() {
        let (schema, mut drift) = (json!({"properties": {"id": {"type": "integer"}}}), Drift::default());
        let fields = Fields::parse(br#"{"id":"geheim"}"#).unwrap();
        let mut hold = |terms| contract(terms, schema.clone()).hold(&fields, &mut drift);
        assert_eq!((hold(Terms::Evolve), hold(Terms::Warn)), (Ok(()), Ok(())));
        let Err(Unfit::Reject(reason)) = hold(Terms::Reject) else { panic!() };
        assert_eq!(reason.code, Code::ContractRefused);
        assert_eq!(reason.message, "by the stream's schema `id` is string and not integer");
        assert_eq!(hold(Terms::Freeze), Err(Unfit::Freeze("`id` is string and not integer".to_owned())));
        assert_eq!(drift.rows[0].records, 4);
    }

    #[test]
    fn text_that_cannot_be_read_does_not_fit() {
        let mut drift = Drift::default();
        let fields = Fields::from_object(br#"{"id":"\ud800"}"#.to_vec().into());
        assert!(contract(Terms::Reject, json!({})).hold(&fields, &mut drift).is_err());
        assert_eq!(drift.rows[0].kind, DriftKind::BrokenRule);
    }
}
