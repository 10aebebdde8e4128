//! Follows protected fields on their way through steps and mapping, as far as that can be told from the files: a value that is
//! moved as a whole is still what it was, and one that an expression was applied to is not.
//!
//! Lists need no name in a rule's path, so places are compared without the positions in them.

use super::plan::{Flatten, PersonalRule, Protect, StepPlan};
use crate::{
    expr::Expression,
    model::{Path, Step},
};

/// Where protected values stand.
#[derive(Clone, Debug)]
pub struct Traced(Vec<Spot>);

#[derive(Clone, PartialEq, Debug)]
pub struct Spot {
    pub steps: Vec<Step>,
    pub protect: Protect,
    /// The rule, by its place among all.
    pub rule: usize,
}

impl Traced {
    /// Where they stand as the record is read.
    pub fn new(rules: &[PersonalRule]) -> Self {
        let spot =
            |(rule, of): (usize, &PersonalRule)| Spot { steps: of.path.steps().to_vec(), protect: of.protect, rule };
        Self(rules.iter().enumerate().map(spot).collect())
    }

    pub fn step(&mut self, step: &StepPlan) {
        match step {
            StepPlan::Filter(_) | StepPlan::Split | StepPlan::Dedupe(_) | StepPlan::Validate(_) => {}
            StepPlan::Coerce(fields) => fields.iter().for_each(|(path, _)| self.remove(path.steps())),
            StepPlan::Lookup(lookup) => self.remove(lookup.into.steps()),
            StepPlan::Flatten(flatten) => self.flatten(flatten),
            StepPlan::Set(fields) => {
                for (path, value) in fields {
                    let moved = self.moved(value, path.steps());
                    self.remove(path.steps());
                    self.0.extend(moved);
                }
            }
            StepPlan::Rename(pairs) => {
                let moved: Vec<Spot> =
                    pairs.iter().flat_map(|(from, to)| self.under(from.steps(), to.steps())).collect();
                pairs.iter().flat_map(|(from, to)| [from, to]).for_each(|path| self.remove(path.steps()));
                self.0.extend(moved);
            }
            StepPlan::Drop(paths) => paths.iter().for_each(|path| self.remove(path.steps())),
            StepPlan::Keep(paths) => self.0.retain(|spot| paths.iter().any(|path| meets(&spot.steps, path.steps()))),
        }
    }

    /// A rule does not say which of its names are lists, and lists are left as they are: the value may stand at any of the places.
    fn flatten(&mut self, flatten: &Flatten) {
        let mut more = Vec::new();
        for spot in &self.0 {
            let names = spot.steps.iter().take_while(|step| matches!(step, Step::Field(_)));
            let names: Vec<&str> = names
                .filter_map(|step| if let Step::Field(name) = step { Some(name.as_str()) } else { None })
                .collect();
            let is_meant = flatten
                .only
                .as_ref()
                .is_none_or(|only| names.first().is_some_and(|name| only.iter().any(|it| it == name)));
            let deepest = names.len().min(flatten.depth.saturating_add(1));
            for joined in (2..=deepest).filter(|_| is_meant) {
                let head = Step::Field(names[..joined].join(&flatten.separator));
                more.push(Spot { steps: [&[head], &spot.steps[joined..]].concat(), ..spot.clone() });
            }
        }
        self.0.extend(more);
    }

    /// Where they stand in what the sink gets.
    pub fn mapped(self, fields: Option<&[(String, Expression)]>) -> Self {
        let Some(fields) = fields else { return self };
        Self(fields.iter().flat_map(|(name, value)| self.moved(value, &[Step::Field(name.clone())])).collect())
    }

    /// Those that have to do with a place: they stand at it, inside it, or it is inside of them.
    pub fn at(&self, steps: &[Step]) -> impl Iterator<Item = &Spot> {
        self.0.iter().filter(move |spot| meets(&spot.steps, steps))
    }

    fn moved(&self, value: &Expression, to: &[Step]) -> Vec<Spot> {
        value.plain_path().map(|from| self.under(from.steps(), to)).unwrap_or_default()
    }

    /// What stands at or inside `from`, as it stands at `to`.
    fn under(&self, from: &[Step], to: &[Step]) -> Vec<Spot> {
        let at = |spot: &Spot| {
            let (rest, _) = apart(&spot.steps, from)?;
            Some(Spot { steps: [to, rest].concat(), ..spot.clone() })
        };
        self.0.iter().filter_map(at).collect()
    }

    /// Takes out what stands at or inside a place.
    fn remove(&mut self, place: &[Step]) {
        self.0.retain(|spot| !matches!(apart(&spot.steps, place), Some((_, []))));
    }
}

/// Whether two places are one, or one lies inside the other.
pub fn overlap(a: &Path, b: &Path) -> bool {
    meets(a.steps(), b.steps())
}

/// What is left of `a` behind the place `of`, which it is or lies inside of.
pub fn inside<'s>(a: &'s [Step], of: &'s [Step]) -> Option<&'s [Step]> {
    match apart(a, of) {
        Some((rest, [])) => Some(rest),
        _ => None,
    }
}

fn meets(a: &[Step], b: &[Step]) -> bool {
    apart(a, b).is_some()
}

/// What is left of each where the shorter one ends; nothing where they part before.
fn apart<'s>(a: &'s [Step], b: &'s [Step]) -> Option<(&'s [Step], &'s [Step])> {
    match (a.split_first(), b.split_first()) {
        (Some((Step::Item(one), a)), Some((Step::Item(other), b))) => (one == other).then(|| apart(a, b)).flatten(),
        (Some((Step::Item(_), a)), Some(_)) => apart(a, b),
        (Some(_), Some((Step::Item(_), b))) => apart(a, b),
        (Some((one, a)), Some((other, b))) => (one == other).then(|| apart(a, b)).flatten(),
        _ => Some((a, b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn expression(text: &str) -> Expression {
        Expression::compile(text).unwrap()
    }

    fn traced(steps: &[StepPlan], fields: Option<&[(&str, &str)]>) -> Vec<String> {
        let rule = |(text, protect): (&str, Protect)| PersonalRule { path: path(text), protect };
        let rules = [("ssn", Protect::Encrypt), ("who.mail", Protect::Hash), ("note", Protect::Mask)].map(rule);
        let mut traced = Traced::new(&rules);
        steps.iter().for_each(|step| traced.step(step));
        let fields: Option<Vec<(String, Expression)>> =
            fields.map(|fields| fields.iter().map(|(name, value)| ((*name).to_owned(), expression(value))).collect());
        let mut places: Vec<String> = traced
            .mapped(fields.as_deref())
            .0
            .iter()
            .map(|spot| format!("{} {}", Path::of(&spot.steps).unwrap(), spot.rule))
            .collect();
        places.sort();
        places
    }

    #[test]
    fn a_value_is_followed_as_long_as_it_is_moved_as_a_whole() {
        let set = |to: &str, value: &str| StepPlan::Set(vec![(path(to), expression(value))]);
        assert_eq!(traced(&[], None), ["note 2", "ssn 0", "who.mail 1"]);
        let renamed = StepPlan::Rename(vec![(path("ssn"), path("note")), (path("who"), path("person"))]);
        assert_eq!(traced(&[renamed], None), ["note 0", "person.mail 1"]);
        assert_eq!(traced(&[set("ssn", "record.ssn | trim")], None), ["note 2", "who.mail 1"]);
        assert_eq!(traced(&[set("id", "record.ssn")], None), ["id 0", "note 2", "ssn 0", "who.mail 1"]);
        assert_eq!(traced(&[StepPlan::Drop(vec![path("who"), path("note.x")])], None), ["note 2", "ssn 0"]);
        assert_eq!(traced(&[StepPlan::Keep(vec![path("who.mail"), path("x")])], None), ["who.mail 1"]);
        let fields = [("a", "record.ssn"), ("b", "record.who"), ("c", "record.who.mail"), ("d", "record.note ~ \"x\"")];
        assert_eq!(traced(&[], Some(&fields)), ["a 0", "b.mail 1", "c 1"]);
    }

    #[test]
    fn places_are_compared_without_positions_in_lists() {
        assert!(overlap(&path("a[0].b"), &path("a.b.c")) && overlap(&path("a"), &path("a[3]")));
        assert!(!overlap(&path("a[0]"), &path("a[1]")) && !overlap(&path("a.b"), &path("a.c")));
    }
}
