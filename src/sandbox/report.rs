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
    /// Leads of customers that were deleted, unless they are `closed`.
    pub lingering: u64,
    /// Some ids of customers that are lost, of leads that are doubles, and of those that linger.
    pub lost_ids: Vec<String>,
    pub doubled_ids: Vec<String>,
    pub lingering_ids: Vec<String>,
    pub counters: Counters,
}

impl Report {
    pub(super) fn of<'a>(
        customers: impl Iterator<Item = &'a Customer>,
        leads: &Leads,
        counters: Counters,
        fits: &dyn Fn(&Customer, Option<&Lead>) -> Fit,
    ) -> Self {
        let mut report = Self { leads: leads.all().count() as u64, counters, ..Self::default() };
        let mut by_email: HashMap<&str, usize> = HashMap::new();
        for (place, lead) in leads.all() {
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

    /// Adds what is left of customers that are gone.
    pub(super) fn linger<'a>(&mut self, gone: impl Iterator<Item = &'a Customer>, leads: &Leads) {
        let left = gone.flat_map(|customer| leads.with_external_id(&customer.id));
        for lead in left.filter(|lead| lead.text("status") != Some("closed")) {
            self.lingering += 1;
            name(&mut self.lingering_ids, &lead.id);
        }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sandbox::probe::{Probe, calm};

    /// Writes every customer of the shop into the CRM as a good pipeline would.
    fn sync(probe: &mut Probe) {
        for record in probe.walk("limit=200") {
            let email = record["email"].as_str().unwrap_or_default().trim().to_lowercase();
            let phone = format!("+81 {}", record["phone"].as_str().unwrap());
            let lead = json!({ "email": email, "name": record["name"], "company": record["company"], "phone": phone });
            let path = format!("/crm/leads/by-external-id/{}", record["id"].as_str().unwrap());
            assert!(probe.write("PUT", &path, &lead).0 < 300);
        }
    }

    #[test]
    fn a_good_sync_loses_and_doubles_nothing() {
        let mut probe = Probe::new(calm());
        let before = probe.world.report();
        assert_eq!((before.customers, before.missing, before.lost), (20, before.eligible, before.eligible));
        sync(&mut probe);
        let report = probe.world.report();
        assert_eq!((report.lost, report.doubled, report.leads), (0, 0, 20));
        assert!(report.eligible > 10 && report.eligible <= 20);
    }

    #[test]
    fn a_lead_that_missed_a_change_is_stale_and_named() {
        let mut probe = Probe::new(calm());
        sync(&mut probe);
        let first = probe.world.customers().find(|customer| customer.consent).unwrap().id.clone();
        let path = format!("/crm/leads/by-external-id/{first}");
        for wrong in
            [json!({ "name": "?" }), json!({ "phone": "000" }), json!({ "company": "?" }), json!({ "email": "?@" })]
        {
            probe.write("PUT", &path, &wrong);
            let report = probe.world.report();
            assert_eq!((report.stale, report.missing, report.lost), (1, 0, 1), "{wrong}");
            assert_eq!(report.lost_ids, std::slice::from_ref(&first));
            sync(&mut probe);
        }
        probe.world.change(probe.now, 50);
        assert!(probe.world.report().stale > 0 && probe.world.report().missing > 0);
        sync(&mut probe);
        assert_eq!(probe.world.report().lost, 0);
    }

    #[test]
    fn leads_without_an_external_id_are_matched_and_counted_by_address() {
        let mut probe = Probe::new(calm());
        let customer = probe.world.customers().find(|customer| customer.consent).unwrap().clone();
        let lead = json!({ "email": customer.email.unwrap().trim().to_lowercase(), "name": customer.name });
        let missing = probe.world.report().missing;
        probe.write("POST", "/crm/leads", &lead);
        assert_eq!((probe.world.report().missing, probe.world.report().doubled), (missing - 1, 0));
        probe.write("POST", "/crm/leads", &lead);
        assert_eq!(
            (probe.world.report().doubled, probe.world.report().doubled_ids),
            (1, vec!["lead_000002".to_owned()])
        );
    }

    #[test]
    fn a_caller_may_bring_its_own_rule() {
        let mut probe = Probe::new(calm());
        probe.write("POST", "/crm/leads", &json!({ "email": "a@b", "external_id": "cus_000003" }));
        let rule = |customer: &Customer, lead: Option<&Lead>| match lead {
            _ if customer.id.as_str() > "cus_000004" => Fit::NotEligible,
            Some(_) => Fit::Good,
            None => Fit::Missing,
        };
        let report = probe.world.report_by(&rule);
        assert_eq!((report.eligible, report.missing, report.lost), (4, 3, 3));
        assert_eq!(json!(report)["lost_ids"], json!(["cus_000001", "cus_000002", "cus_000004"]));
        assert_eq!(json!(report)["counters"]["created"], Value::from(1));
    }
}
