//! The proof: what the shop shows against what the CRM holds, computed from the world itself.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    account::Counters,
    lead::{Lead, Leads},
    people::Customer,
};

/// Ids named in a report, at most.
const NAMED_MAX: usize = 20;

/// How the two systems agree.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Report {
    /// Customers that a client can see.
    pub customers: u64,
    /// Those of them that belong into the CRM.
    pub eligible: u64,
    pub leads: u64,
    /// `missing` + `stale`.
    pub lost: u64,
    /// Eligible customers without a lead.
    pub missing: u64,
    /// Eligible customers whose lead says something else.
    pub stale: u64,
    /// Leads beyond the first for one `external_id` (for one e-mail address, where there is no `external_id`).
    pub doubled: u64,
    /// Some ids of customers that are lost, and of leads that are doubles.
    pub lost_ids: Vec<String>,
    pub doubled_ids: Vec<String>,
    pub counters: Counters,
}

impl Report {
    pub(super) fn of<'a>(
        customers: impl Iterator<Item = &'a Customer>,
        leads: &Leads,
        counters: Counters,
        fits: &dyn Fn(&Customer, Option<&Lead>) -> Fit,
    ) -> Self {
        let mut report = Self { leads: leads.all().len() as u64, counters, ..Self::default() };
        let mut by_email: HashMap<&str, usize> = HashMap::new();
        for (place, lead) in leads.all().iter().enumerate() {
            let first = match lead.text("external_id") {
                Some(external_id) => leads.places(external_id).first().copied(),
                None => lead.text("email").map(|email| *by_email.entry(email).or_insert(place)),
            };
            if first.is_some_and(|first| first != place) {
                report.doubled += 1;
                name(&mut report.doubled_ids, &lead.id);
            }
        }
        for customer in customers {
            report.customers += 1;
            let by_address = || {
                let email = customer.email.as_deref().unwrap_or_default();
                [email, &email.trim().to_lowercase()].iter().find_map(|email| by_email.get(*email).copied())
            };
            let place = leads.places(&customer.id).first().copied().or_else(by_address);
            let fit = fits(customer, place.map(|place| leads.at(place)));
            report.eligible += u64::from(fit != Fit::NotEligible);
            match fit {
                Fit::NotEligible | Fit::Good => continue,
                Fit::Missing => report.missing += 1,
                Fit::Stale => report.stale += 1,
            }
            report.lost += 1;
            name(&mut report.lost_ids, &customer.id);
        }
        report
    }
}

fn name(ids: &mut Vec<String>, id: &str) {
    if ids.len() < NAMED_MAX {
        ids.push(id.into());
    }
}

/// How one customer and its lead agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fit {
    /// The customer need not be in the CRM.
    NotEligible,
    Good,
    Missing,
    Stale,
}

impl Fit {
    /// The rule of the demo: a customer with consent and a usable address belongs into the CRM, and whatever of e-mail,
    /// name, company and phone the lead has must be the customer's. White space and letter case are a pipeline's to
    /// tidy, and a phone number may have been rewritten: its last eight digits count.
    pub fn of(customer: &Customer, lead: Option<&Lead>) -> Self {
        if !customer.consent || !customer.has_usable_email() {
            return Self::NotEligible;
        }
        let Some(lead) = lead else {
            return Self::Missing;
        };
        let same = |field: &str, ours: &str, tidy: fn(&str) -> String| {
            lead.text(field).is_none_or(|theirs| tidy(theirs) == tidy(ours))
        };
        let good = same("email", customer.email.as_deref().unwrap_or_default(), tidy_text)
            && same("name", &customer.name, tidy_text)
            && same("company", &customer.company, tidy_text)
            && same("phone", &customer.phone, last_digits);
        if good { Self::Good } else { Self::Stale }
    }
}

fn tidy_text(text: &str) -> String {
    text.trim().to_lowercase()
}

fn last_digits(text: &str) -> String {
    text.chars().rev().filter(char::is_ascii_digit).take(8).collect()
}
