//! How an answer speaks of each record: the shapes, and what must be said with them. A shape that could leave a record
//! without a verdict, or that waits for something that is never sent, is refused here.

use super::{
    check::Check,
    compile_body::uses_in,
    plan::{AnswerShape, BatchPlan, FirstError, Makes, Match, MatchBy, RowTest, WholeAnswer},
    raw_answer::{RawAnswer, RawFirstError, RawListed, RawMatch, RawPositional, RawWhole},
    raw_operation::RawOperation,
    shape::Spanned,
    source::Span,
};
use crate::model::Path;

/// What the rest of the operation says that an answer depends on.
pub struct Around<'a> {
    pub makes: Makes,
    pub batch: Option<&'a BatchPlan>,
    /// Whether the operation says where a record's id stands.
    pub sink_id: bool,
}

impl Check<'_> {
    /// The shape of the answer, and how a refusal names the record that is to blame.
    pub fn answer(&self, raw: &RawOperation, around: &Around<'_>) -> Option<(AnswerShape, Option<FirstError>)> {
        let Some(answer) = &raw.answer else { return Some((AnswerShape::whole(), None)) };
        self.one_shape(answer);
        let (span, answer) = (answer.span, &answer.value);
        if raw.batch.is_none() && answer.whole.is_none() {
            let help = "add `batch: { size: .. }`, or remove it; `whole` alone can speak of a single record";
            self.conflict(span, "this `answer` describes a batch's answer", help);
        }
        let first_error = answer.first_error.as_ref().map(|raw| self.first_error(&raw.value));
        let shape = match (&answer.whole, &answer.positional, &answer.list, &answer.job) {
            (Some(whole), ..) => self.whole(whole, around),
            (_, Some(positional), ..) => self.positional(&positional.value),
            (_, _, Some(list), _) => self.listed(&list.value, around)?,
            (.., Some(job)) => self.job(&job.value, around)?,
            (None, None, None, None) => AnswerShape::whole(),
        };
        Some((shape, first_error))
    }

    fn one_shape(&self, answer: &Spanned<RawAnswer>) {
        let (span, raw) = (answer.span, &answer.value);
        let spans: [Option<Span>; 4] = [
            raw.whole.as_ref().map(|shape| shape.span),
            raw.positional.as_ref().map(|shape| shape.span),
            raw.list.as_ref().map(|shape| shape.span),
            raw.job.as_ref().map(|shape| shape.span),
        ];
        let mut given = spans.into_iter().flatten();
        if given.next().is_none() && raw.first_error.is_none() {
            self.missing_key(span, span, "whole", "write one of `whole:`, `positional:`, `list:` and `job:`");
        }
        if let Some(second) = given.next() {
            let help = "keep one of `whole`, `positional`, `list` and `job`; `first_error` may stand beside each";
            self.conflict(second, "an answer has one shape", help);
        }
    }

    fn whole(&self, raw: &Spanned<RawWhole>, around: &Around<'_>) -> AnswerShape {
        let ok = self.maybe_path(raw.value.ok.as_ref());
        let errors: Vec<Path> = raw.value.errors.iter().flat_map(|all| &all.0).map(|path| self.path(path)).collect();
        if ok.is_none() && !errors.is_empty() && !around.sink_id && around.makes != Makes::Delete {
            let help = "add `sink_id:` or `ok:`: where the errors are absent, something must say that it went well";
            self.conflict(raw.span, "`errors` alone cannot tell a success from an answer about something else", help);
        }
        AnswerShape::Whole(WholeAnswer { ok, errors })
    }

    fn positional(&self, raw: &RawPositional) -> AnswerShape {
        AnswerShape::Positional {
            list: raw.list.as_ref().map_or_else(Path::whole, |list| self.path(list)),
            test: RowTest { ok: self.maybe_path(raw.ok.as_ref()), errors: self.maybe_path(raw.errors.as_ref()) },
        }
    }

    fn listed(&self, raw: &RawListed, around: &Around<'_>) -> Option<AnswerShape> {
        Some(AnswerShape::Listed {
            ok: self.path(&raw.ok),
            errors: self.maybe_path(raw.errors.as_ref()),
            matched: self.matched(&raw.matched, around)?,
        })
    }

    pub fn matched(&self, raw: &Spanned<RawMatch>, around: &Around<'_>) -> Option<Match> {
        let matched = &raw.value;
        let by = match (&matched.index, &matched.answer, &matched.sent, &matched.key, &matched.id) {
            (Some(index), None, None, None, None) => MatchBy::Index(self.path(index)),
            (None, Some(answer), Some(sent), None, None) => {
                MatchBy::Field { answer: self.path(answer), sent: self.path(sent) }
            }
            (None, None, None, Some(key), None) => {
                if around.batch.is_some_and(|batch| !uses_in(&batch.each, "key")) {
                    let help = "put it into what is sent for each record, such as `each: { ref: \"{{ key }}\" }`";
                    self.conflict(key.span, "the key is never sent, so no entry can echo it", help);
                }
                MatchBy::Key(self.path(key))
            }
            (None, None, None, None, Some(id)) => {
                if matches!(around.makes, Makes::Create | Makes::Upsert) {
                    let help = "match by `index`, by `key`, or by `answer` and `sent`";
                    self.conflict(id.span, "a record that is about to be created has no id yet", help);
                }
                MatchBy::Id(self.path(id))
            }
            _ => {
                let message = "`match` names a record in one way: by position, by a field, by its key or by its id";
                let help = "write { index: <path> }, { answer: <path in the entry>, sent: <path in what was sent> }, \
                            { key: <path> } or { id: <path> }";
                self.conflict(raw.span, message, help);
                return None;
            }
        };
        Some(Match { by, in_errors: self.maybe_path(matched.in_errors.as_ref()) })
    }

    fn first_error(&self, raw: &RawFirstError) -> FirstError {
        if let Some(after) = raw.after.as_ref().filter(|after| after.value.is_empty()) {
            let help = "write the text before the position, such as `records[`";
            self.conflict(after.span, "`after` is empty", help);
        }
        let from = self.number(raw.from.as_ref(), 0, 0..=1);
        FirstError {
            index: self.path(&raw.index),
            after: raw.after.as_ref().map(|after| after.value.clone()),
            from: usize::try_from(from).unwrap_or(0),
            message: self.maybe_path(raw.message.as_ref()),
        }
    }
}
