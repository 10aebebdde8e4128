//! Connectors: what does not depend on the account is compiled once and shared by all connections that use it.

use std::{collections::BTreeMap, sync::Arc};

use http::HeaderName;

use super::{
    check::Check,
    diagnostic::Problem,
    plan::{AnswerRule, Meaning, Operation, Stream, When},
    raw_connector::{RawAfter, RawAnswerRule, RawConnector, RawMeaning, RawWhen},
    shape::Spanned,
};
use crate::{expr::Template, model::Code};

/// A connector, as far as it is the same for every account.
pub struct Connector {
    /// The folder's name.
    pub name: String,
    pub raw: RawConnector,
    pub headers: Vec<(HeaderName, Template)>,
    pub answers: Vec<AnswerRule>,
    pub streams: Compiled<Stream>,
    pub operations: Compiled<Operation>,
}

/// By name; nothing stands for what could not be compiled.
pub type Compiled<T> = BTreeMap<String, Option<Arc<T>>>;

impl Check<'_> {
    pub fn connector(&self, name: String, raw: Spanned<RawConnector>) -> Connector {
        let (span, raw) = (raw.span, raw.value);
        self.version(&raw.version);
        self.names("setting", &raw.config);
        self.names("stream", &raw.streams);
        self.names("operation", &raw.operations);
        self.settings.replace(raw.config.names().into_iter().map(str::to_owned).collect());
        let headers = self.headers(&raw.headers, &["config"]);
        let answers = raw.answers.iter().map(|rule| self.answer_rule(rule)).collect();
        let streams = raw.streams.iter();
        let mut streams: Compiled<Stream> =
            streams.map(|(name, stream)| (name.value.clone(), self.stream(name, stream))).collect();
        self.slices_of_all(&raw.streams, &mut streams);
        self.deletions_of_all(&raw.streams, &streams);
        let operations = raw.operations.iter();
        let operations: Compiled<Operation> =
            operations.map(|(name, raw)| (name.value.clone(), self.operation(name, raw))).collect();
        self.look_up_updates(&raw.operations);
        self.note_personal(&name, &raw.streams);
        self.note_broken(&name, raw.streams.dropped(), &streams);
        self.note_broken(&name, raw.operations.dropped(), &operations);
        for (name, setting) in raw.config.iter() {
            if let (true, Some(default)) = (setting.required, &setting.default) {
                let message = format!("the setting `{}` is required and has a default", name.value);
                self.conflict(default.span, message, "keep one of `required` and `default`");
            }
        }
        if raw.streams.is_empty() && raw.operations.is_empty() {
            self.missing_key(
                raw.version.span,
                span,
                "streams",
                "describe something to read under `streams`, or to write under `operations`",
            );
        }
        Connector { name, raw, headers, answers, streams, operations }
    }

    fn note_broken<T>(&self, connector: &str, dropped: &[String], compiled: &Compiled<T>) {
        let failed = compiled.iter().filter(|(_, item)| item.is_none()).map(|(name, _)| name);
        let names = failed.chain(dropped).map(|name| (connector.to_owned(), name.clone()));
        self.broken.borrow_mut().extend(names);
    }

    fn answer_rule(&self, rule: &Spanned<RawAnswerRule>) -> AnswerRule {
        let when = &rule.value.when;
        if when.value.status.is_none() && when.value.header.is_none() && when.value.body.is_none() {
            self.missing_key(when.span, when.span, "status", "give at least one of `status`, `header` and `body`");
        }
        AnswerRule { when: self.when(&when.value), is: self.meaning(&rule.value.is) }
    }

    pub fn when(&self, raw: &RawWhen) -> When {
        let statuses = raw.status.iter().flat_map(|statuses| &statuses.0);
        let header = raw
            .header
            .as_ref()
            .and_then(|raw| self.header(&raw.name).map(|name| (name, raw.contains.clone().unwrap_or_default())));
        let body = raw.body.as_ref().map(|raw| {
            let values = raw.equals.iter().flat_map(|values| &values.0).map(|value| value.value.clone());
            (self.path(&raw.path), values.collect())
        });
        When { status: statuses.map(|range| (range.value.0, range.value.1)).collect(), header, body }
    }

    fn meaning(&self, raw: &RawMeaning) -> Meaning {
        match raw {
            RawMeaning::Accept => Meaning::Accept,
            RawMeaning::Reject => Meaning::Reject,
            RawMeaning::Missing => Meaning::Missing,
            RawMeaning::Park => Meaning::Park,
            RawMeaning::Credentials => Meaning::Credentials,
            RawMeaning::Halt => Meaning::Halt,
            RawMeaning::Retry(after) => Meaning::Retry { after: self.after(after) },
            RawMeaning::Throttle(after) => Meaning::Throttle { after: self.after(after) },
        }
    }

    fn after(&self, raw: &RawAfter) -> Option<std::time::Duration> {
        let hour = std::time::Duration::from_secs(3600);
        raw.after.as_ref().map(|after| self.time(Some(after), hour, std::time::Duration::ZERO..=hour))
    }

    /// Reports that a connector exists but cannot be used, once per place that uses it. Silent when its own file was
    /// reported already.
    pub fn no_such_connector<'n>(&self, name: &Spanned<String>, known: impl Iterator<Item = &'n str> + Clone) {
        if known.clone().any(|known| known == name.value) {
            return;
        }
        let message = format!("unknown connector `{}`", name.value);
        let help = super::suggest::or_list(&name.value, known, "the folders in `connectors/` are");
        self.report(Problem::new(Code::UnknownName, name.span, message).help(help));
    }
}
