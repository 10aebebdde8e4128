//! The people of the shop, made up from a seed: the same number is always the same person. Nobody here is real: names
//! are drawn from lists, and every address ends in `example.com`.
//!
//! They are as untidy as real customers: some addresses carry capitals and spaces, some are missing or are no address
//! at all, telephone numbers are written the local way, and a tenth gave no consent.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::call::rfc3339;

/// A name as it is written and as it stands in an address.
type Name = (&'static str, &'static str);

const JAPANESE_FAMILIES: [Name; 5] =
    [("佐藤", "sato"), ("鈴木", "suzuki"), ("高橋", "takahashi"), ("渡辺", "watanabe"), ("伊藤", "ito")];
const JAPANESE_GIVENS: [Name; 4] = [("愛子", "aiko"), ("健太", "kenta"), ("美咲", "misaki"), ("翔", "sho")];
const OTHER_FAMILIES: [Name; 5] =
    [("Müller", "mueller"), ("García", "garcia"), ("O'Brien", "obrien"), ("Rossi", "rossi"), ("Smith", "smith")];
const OTHER_GIVENS: [Name; 4] = [("Anna", "anna"), ("Luis", "luis"), ("Zoë", "zoe"), ("Max", "max")];
/// A country and how its telephone numbers begin.
const COUNTRIES: [(&str, &str); 5] =
    [("DE", "+49 30 "), ("ES", "+34 91 "), ("IE", "+353 1 "), ("IT", "+39 06 "), ("US", "+1 212 ")];
const COMPANIES: [&str; 8] = [
    "株式会社青空",
    "合同会社みらい",
    "有限会社山田商店",
    "Example GmbH",
    "Acme, Inc.",
    "Blue \"Sky\" Ltd",
    "Nordwind AS",
    "Café Central",
];
const TIERS: [&str; 3] = ["bronze", "silver", "gold"];
const UNUSABLE: [Option<&str>; 4] = [None, Some(""), Some("not given"), Some("taro.at.example.com")];

/// A customer of the shop as the shop's API shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Customer {
    pub id: String,
    pub email: Option<String>,
    pub name: String,
    pub phone: String,
    pub company: String,
    pub country: &'static str,
    pub consent: bool,
    pub tier: &'static str,
    pub lifetime_cents: u64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// It was deleted at `updated_at`. Lists show it no more, unless they are asked to.
    pub deleted: bool,
    /// The name that a flip changes to and back from.
    pub(super) other_name: String,
}

impl Customer {
    /// The person with this number, counted from 1.
    pub(super) fn born(seed: u64, number: usize, at: DateTime<Utc>, bad_email: f64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let country = if rng.bool() { "JP" } else { COUNTRIES[rng.usize(..COUNTRIES.len())].0 };
        let givens = if country == "JP" { JAPANESE_GIVENS } else { OTHER_GIVENS };
        let (family, given) = (family(&mut rng, country), givens[rng.usize(..givens.len())]);
        let email = if rng.f64() < bad_email {
            UNUSABLE[rng.usize(..UNUSABLE.len())].map(String::from)
        } else {
            Some(address(&mut rng, given.1, family.1, number))
        };
        Self {
            id: format!("cus_{number:06}"),
            email,
            name: full_name(given.0, family.0, country),
            phone: phone(&mut rng, country),
            company: COMPANIES[rng.usize(..COMPANIES.len())].into(),
            country,
            consent: rng.f64() >= 0.1,
            tier: TIERS[rng.usize(..TIERS.len())],
            lifetime_cents: rng.u64(..2_000_000),
            created_at: at,
            updated_at: at,
            deleted: false,
            other_name: full_name(given.0, self::family(&mut rng, country).0, country) + " (new)",
        }
    }

    /// Whether a CRM could write to this person.
    pub fn has_usable_email(&self) -> bool {
        self.email.as_deref().is_some_and(|email| email.contains('@'))
    }

    /// The record as JSON. Money is a number with two decimals, which a careless reader turns into a float.
    pub(super) fn to_json(&self) -> String {
        let mut text = String::with_capacity(420);
        text.push('{');
        let email = self.email.as_deref().map_or("null".into(), quoted);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#""id":"{}","email":{email},"name":{},"phone":{},"company":{},"country":"{}","consent":{},"tier":"{}","#,
            self.id,
            quoted(&self.name),
            quoted(&self.phone),
            quoted(&self.company),
            self.country,
            self.consent,
            self.tier,
        );
        let _ = write!(
            text,
            r#""lifetime_value":{}.{:02},"created_at":"{}","updated_at":"{}"{}}}"#,
            self.lifetime_cents / 100,
            self.lifetime_cents % 100,
            rfc3339(self.created_at),
            rfc3339(self.updated_at),
            if self.deleted { r#","deleted":true"# } else { "" },
        );
        text
    }
}

/// How a customer can change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Edit {
    Name,
    Phone,
    Company,
    /// Only what a pipeline to a CRM seldom maps.
    Value,
    /// To the other name; a second flip brings the first one back.
    Flip,
}

impl Edit {
    pub fn apply(self, customer: &mut Customer, rng: &mut fastrand::Rng) {
        match self {
            Self::Name => {
                let (name, _) = family(rng, customer.country);
                customer.name = format!("{name} {}", rng.u32(100..1000));
            }
            Self::Phone => customer.phone = phone(rng, customer.country),
            Self::Company => customer.company = format!("{} {}", COMPANIES[rng.usize(..COMPANIES.len())], rng.u8(1..)),
            Self::Value => customer.lifetime_cents += 1 + rng.u64(..100_000),
            Self::Flip => std::mem::swap(&mut customer.name, &mut customer.other_name),
        }
    }
}

fn address(rng: &mut fastrand::Rng, given: &str, family: &str, number: usize) -> String {
    let host = ["example.com", "mail.example.com", "shop.example.com"][rng.usize(..3)];
    let plain = format!("{given}.{family}{number}@{host}");
    match rng.u8(..20) {
        0 => plain.to_uppercase(),
        1 => format!(" {plain} "),
        _ => plain,
    }
}

fn family(rng: &mut fastrand::Rng, country: &str) -> Name {
    let families = if country == "JP" { JAPANESE_FAMILIES } else { OTHER_FAMILIES };
    families[rng.usize(..families.len())]
}

fn full_name(given: &str, family: &str, country: &str) -> String {
    if country == "JP" { format!("{family} {given}") } else { format!("{given} {family}") }
}

/// The Japanese write the local form, the others the international one.
fn phone(rng: &mut fastrand::Rng, country: &str) -> String {
    match COUNTRIES.iter().find(|(name, _)| *name == country) {
        Some((_, prefix)) => format!("{prefix}{:07}", rng.u32(1_000_000..10_000_000)),
        None => format!("090-{:04}-{:04}", rng.u32(1000..10_000), rng.u32(..10_000)),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn people(count: usize) -> Vec<Customer> {
        (1..=count).map(|number| Customer::born(3, number, DateTime::UNIX_EPOCH, 0.03)).collect()
    }

    #[test]
    fn the_same_seed_and_number_is_the_same_person() {
        assert_eq!(people(50), people(50));
        assert_ne!(Customer::born(4, 1, DateTime::UNIX_EPOCH, 0.0).to_json(), people(1)[0].to_json());
    }

    #[test]
    fn a_few_percent_have_no_usable_address_and_the_others_are_at_example_com() {
        let people = people(2_000);
        let bad = people.iter().filter(|person| !person.has_usable_email()).count();
        assert!((30..=100).contains(&bad), "{bad} of 2000");
        let usable = people.iter().filter(|person| person.has_usable_email());
        for email in usable.filter_map(|person| person.email.as_deref()) {
            assert!(email.trim().to_lowercase().ends_with("example.com"), "{email}");
        }
        assert!(people.iter().any(|person| person.name.contains('藤')));
    }

    #[test]
    fn every_person_is_valid_json_with_money_to_the_cent() {
        for person in people(200) {
            let value: Value = serde_json::from_str(&person.to_json()).unwrap();
            assert_eq!(value["name"], person.name.as_str());
            assert_eq!(value["company"], person.company.as_str());
            assert!(value["lifetime_value"].is_number());
            assert_eq!(value["updated_at"], "1970-01-01T00:00:00.000Z");
        }
    }

    #[test]
    fn two_flips_bring_the_first_name_back() {
        let mut person = people(1).remove(0);
        let (before, mut rng) = (person.clone(), fastrand::Rng::with_seed(1));
        Edit::Flip.apply(&mut person, &mut rng);
        assert_ne!(person.name, before.name);
        Edit::Flip.apply(&mut person, &mut rng);
        assert_eq!(person, before);
    }
}
