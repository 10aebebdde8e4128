//! Whether rules can be kept where records are written: what names a record at the sink must be one text for good, and what the sink
//! is to get in the clear must still be what was encrypted. A deletion is written from a record that saw no steps, so it has a way
//! of its own.

use std::collections::BTreeSet;

use super::{
    check::Check,
    compile_personal::{Declared, plans},
    names::{Use, uses, uses_gone},
    plan::{From, Protect, StepPlan, To},
    raw_pipeline::RawTo,
    trace::{Spot, Traced},
};
use crate::{expr::Expression, model::Path};

/// A record's way through a pipeline, as far as it could be compiled.
pub struct Way<'a> {
    pub from: Option<&'a From>,
    pub steps: Option<&'a [StepPlan]>,
    pub fields: Option<&'a [(String, Expression)]>,
    pub to: Option<&'a To>,
    /// The same as typed.
    pub typed: Option<&'a RawTo>,
}

/// One way to the sink.
struct Side<'a> {
    rules: &'a [Declared],
    traced: Traced,
    uses: Vec<Use>,
    clear: Vec<Path>,
}

impl<'a> Side<'a> {
    fn new(rules: &'a [Declared], traced: Traced, uses: Vec<Use>) -> Self {
        Self { rules, traced, uses, clear: Vec::new() }
    }
}

impl Check<'_> {
    /// Checks the rules, and those of tombstones, against what writing needs. Finds what the sink gets in the clear, of a record
    /// and of a deletion.
    pub(super) fn ways_fit(
        &self,
        way: &Way<'_>,
        rules: &[Declared],
        tombstones: &[Declared],
    ) -> (Vec<Path>, Vec<Path>) {
        let (Some(steps), Some(to)) = (way.steps, way.to) else { return Default::default() };
        let mut traced = Traced::new(&plans(rules));
        steps.iter().for_each(|step| traced.step(step));
        let mut sides = vec![Side::new(rules, traced.mapped(way.fields), uses(to))];
        if let To::Operation { deletes: Some(deletes), .. } = to {
            for rules in [rules, tombstones] {
                let traced = Traced::new(&plans(rules)).mapped(deletes.fields.as_deref());
                sides.push(Side::new(rules, traced, uses_gone(to)));
            }
        }
        if let Some(to) = way.typed {
            self.clear(to, &mut sides);
        }
        sides.iter().for_each(|side| self.names_fit(side));
        let mut sides = sides.into_iter().map(|side| side.clear);
        (sides.next().unwrap_or_default(), sides.flatten().collect())
    }

    fn names_fit(&self, side: &Side<'_>) {
        let mut told = BTreeSet::new();
        for Use { steps, what, is_name } in &side.uses {
            for Spot { rule, protect, steps: spot } in side.traced.at(steps) {
                let is_clear = side.clear.iter().any(|path| path.steps() == spot);
                let help = match protect {
                    Protect::Mask => "hash it: all masked records would be taken for one",
                    Protect::Encrypt if *is_name && !is_clear => {
                        "hash it, or send it in the clear: its text is another one after the keys were rotated"
                    }
                    Protect::Encrypt | Protect::Hash => continue,
                };
                if told.insert((*rule, what)) {
                    let rule = &side.rules[*rule];
                    self.refuse(rule.at, format!("`{}` is {}, and {what}", rule.path, protect.done()), help);
                }
            }
        }
    }

    fn clear(&self, to: &RawTo, sides: &mut [Side<'_>]) {
        for name in to.clear.iter().flat_map(|names| &names.0) {
            let path = self.path(name);
            let (mut first, mut is_found) = (None, false);
            for side in &mut *sides {
                for spot in side.traced.at(path.steps()).filter(|_| !path.steps().is_empty()) {
                    first.get_or_insert(spot.protect);
                    let at = Path::of(&spot.steps).filter(|_| spot.protect == Protect::Encrypt);
                    is_found |= at.is_some();
                    side.clear.extend(at.filter(|at| !side.clear.contains(at)));
                }
            }
            let (message, help) = match first {
                _ if is_found => continue,
                Some(protect) => (
                    format!("`{}` is {}, and nobody can undo that", name.value, protect.done()),
                    "write `encrypt` for what the sink needs in the clear",
                ),
                None => (
                    format!("`{}` holds no encrypted value as it was read", name.value),
                    "name a mapped field that is nothing but the path of an encrypted one, such as `ssn: record.ssn`, and that no \
                     step sets",
                ),
            };
            self.refuse(name.span, message, help);
        }
    }
}
