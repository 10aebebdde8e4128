//! Pipelines: every name is resolved, every expression compiled, and what cannot work together is said here.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    calendar::Calendars,
    check::Check,
    compile_personal_way::Way,
    compile_targets::Target,
    diagnostic::Problem,
    footprint::digest,
    plan::{Api, Changed, Connection, Database, Files, From, Limits, Makes, Operation, Pipeline, Stream, To},
    raw_pipeline::{RawChanged, RawFrom, RawLimits, RawPipeline, RawTo},
    shape::{Named, OneOrMany, Source, Spanned},
    units::Share,
};
use crate::{
    expr::Expression,
    model::{Code, Path},
};

/// A share of one record is no share.
const SAMPLE: u64 = 100;

const ROOTS: [&str; 1] = ["record"];

/// The connections by name. Nothing stands for one that could not be compiled; its own problems are reported already.
pub type Connections = BTreeMap<String, Option<Connection>>;

fn limits(raw: &RawLimits) -> Limits {
    let share = raw.rejects.map(|Share(share)| share);
    Limits { share, count: raw.rejects_max, sample: raw.sample.unwrap_or(SAMPLE) }
}

impl Check<'_> {
    /// One target of a file.
    pub fn pipeline(
        &self,
        raw: &Spanned<RawPipeline>,
        target: &Target<'_>,
        connections: &Connections,
        calendars: &Calendars,
    ) -> Option<Pipeline> {
        let (owner, raw, to) = (raw.span, &raw.value, target.to);
        self.version(&raw.version);
        self.pipeline_name(&target.pipeline, owner.file);
        let from = raw.from.as_ref();
        if from.is_none() {
            self.missing_key(raw.version.span, owner, "from", "write `from: { connection: .., stream: .. }`");
        }
        let from = from.and_then(|from| self.from(from, raw, to, connections));
        let from = from.and_then(|from| self.split(raw, to, from));
        let steps = self.steps_to(target, self.steps(&raw.steps, connections));
        if raw.to.is_none() {
            self.missing_key(raw.version.span, owner, "to", "write `to: { connection: .., operation: .. }`");
        }
        let fields = to.and_then(|to| to.value.fields.as_ref()).map(|fields| self.expressions(fields));
        let typed = to.map(|to| &to.value);
        let to = to.and_then(|to| self.to(to, from.as_ref(), connections));
        let (steps_of, fields_of) = (steps.as_deref(), fields.as_deref());
        let way = Way { from: from.as_ref(), steps: steps_of, fields: fields_of, to: to.as_ref(), typed };
        let personal = self.personal(raw, &way);
        self.rows_named_in_the_clear(raw, from.as_ref());
        let contracts = self.contracts(raw, typed, from.as_ref(), to.as_ref());
        let schedule = raw.schedule.as_ref().map(|schedule| self.schedule(schedule, calendars));
        let slo = raw.slo.as_ref().filter(|_| !matches!(schedule, Some(None)));
        let slo = slo.map(|slo| self.slo(slo, from.as_ref(), schedule.as_ref().and_then(Option::as_ref)));
        let canary = raw.canary.as_ref().map(|canary| self.canary(canary, from.as_ref(), to.as_ref()));
        Some(Pipeline {
            name: target.pipeline.clone(),
            file: target.file.to_owned(),
            description: raw.description.clone().unwrap_or_default(),
            from: from?,
            steps: steps?,
            fields,
            to: to?,
            limits: raw.limits.as_ref().map(limits),
            canary,
            slo,
            personal,
            contracts,
            // One that cannot be used is reported, and then there is no plan at all.
            schedule: schedule.flatten(),
            made_of: digest([self.sources.text(owner.file)]),
        })
    }

    pub(super) fn known<'c>(&self, name: &Spanned<String>, connections: &'c Connections) -> Option<&'c Connection> {
        match connections.get(&name.value) {
            Some(connection) => connection.as_ref(),
            // The whole map of connections could not be read, which is reported.
            None if connections.is_empty() && !self.reading.dropped.borrow().is_empty() => None,
            None => {
                let known = connections.keys().map(String::as_str);
                self.unknown("connection", name, known, "the connections of renkei.yaml are");
                None
            }
        }
    }

    fn from(
        &self,
        raw: &Spanned<RawFrom>,
        pipeline: &RawPipeline,
        to: Option<&Spanned<RawTo>>,
        connections: &Connections,
    ) -> Option<From> {
        let RawFrom { connection, stream, ingress, .. } = &raw.value;
        let connected = connection.as_ref().and_then(|it| connections.get(&it.value)?.as_ref());
        if let Some(database) = connected.and_then(Connection::database) {
            let (rows, stream) = self.rows(raw, to, database)?;
            return Some(From { api: None, rows: Some(rows), stream, ingress: None });
        }
        self.nothing_of_rows(&raw.value);
        let pushed = ingress.as_ref().map(|ingress| (ingress, self.ingress(ingress)));
        if pushed.is_some() {
            self.push_fits(raw, pipeline, to);
        }
        let (api, stream) = match (connection, stream, &pushed) {
            (None, None, Some((ingress, _))) => (None, self.pushed_stream(ingress)),
            _ => {
                if let Some((ingress, _)) = &pushed {
                    self.nothing_of_its_own(&ingress.value);
                }
                let (api, stream) = self.read_from(raw, connections)?;
                (Some(api), Some(stream))
            }
        };
        let ingress = match pushed {
            Some((_, ingress)) => Some(Arc::new(ingress?)),
            None => None,
        };
        Some(From { api, rows: None, stream: stream?, ingress })
    }

    fn read_from(&self, raw: &Spanned<RawFrom>, connections: &Connections) -> Option<(Arc<Api>, Arc<Stream>)> {
        let RawFrom { connection, stream, .. } = &raw.value;
        for (key, is_there) in [("connection", connection.is_some()), ("stream", stream.is_some())] {
            if !is_there {
                let help = "write `from: { connection: .., stream: .. }`, or `from: { ingress: .. }`";
                self.missing_key(raw.span, raw.span, key, help);
            }
        }
        let (connection, stream) = (connection.as_ref()?, stream.as_ref()?);
        let api = match self.known(connection, connections)? {
            Connection::Api(api) => api,
            Connection::Folder(_) | Connection::Postgres(_) | Connection::Sqlite(_) | Connection::Mysql(_) => {
                let message = format!("`{}` can only be written to", connection.value);
                let problem = Problem::new(Code::UnknownName, connection.span, message);
                self.report(problem.help("read from a connection with a connector, or from a database"));
                return None;
            }
        };
        match api.streams.get(&stream.value) {
            Some(stream) => Some((Arc::clone(api), Arc::clone(stream))),
            None => {
                self.unknown_stream(stream, api, connections);
                None
            }
        }
    }

    /// What a pipeline that records are pushed to cannot do.
    fn push_fits(&self, from: &Spanned<RawFrom>, pipeline: &RawPipeline, to: Option<&Spanned<RawTo>>) {
        let is_read = from.value.connection.is_some() || from.value.stream.is_some();
        if let Some(schedule) = pipeline.schedule.as_ref().filter(|_| !is_read) {
            self.conflict(
                schedule.span,
                "nothing is read here on a schedule",
                "remove `schedule`; records are delivered as they come",
            );
        }
        let Some(to) = to else { return };
        if let Some(name) = &to.value.name {
            let message = "what is pushed has one verdict, for whoever pushed it, and several targets have several";
            self.conflict(name.span, message, "write one target, or a pipeline for each");
        }
        if let Some(file) = to.value.file.as_ref().filter(|_| is_read) {
            let message = "a file is written in one order, and records that are read and pushed have none";
            self.conflict(file.span, message, "write to an operation, or use a pipeline for each");
        }
        if let Some(table) = to.value.table.as_ref().filter(|_| is_read) {
            let message = "a table does not tell which of two states is newer";
            self.conflict(table.span, message, "write to an operation, or use a pipeline for each");
        }
        if let Some(deletes) = to.value.deletes.as_ref().filter(|_| !is_read) {
            self.conflict(deletes.span, "nothing that is pushed tells what is gone", "remove `deletes`");
        }
    }

    fn unknown_stream(&self, name: &Spanned<String>, api: &Api, connections: &Connections) {
        if self.is_broken(api, name) {
            return;
        }
        let other = connections.iter().find_map(|(other, connection)| match connection {
            Some(Connection::Api(other_api)) if other_api.streams.contains_key(&name.value) => Some(other),
            _ => None,
        });
        if let Some(other) = other {
            let message = format!("`{}` has no stream `{}`", api.name, name.value);
            let help = format!("the connection `{other}` has one of that name");
            self.report(Problem::new(Code::UnknownName, name.span, message).help(help));
            return;
        }
        let lead = format!("the streams of the connector `{}` are", api.connector);
        self.unknown("stream", name, api.streams.keys().map(String::as_str), &lead);
    }

    pub fn expressions(&self, fields: &Named<Spanned<Source>>) -> Vec<(String, Expression)> {
        let one = |(name, value): &(Spanned<String>, Spanned<Source>)| {
            self.expression(value, &ROOTS).map(|value| (name.value.clone(), value))
        };
        fields.iter().filter_map(one).collect()
    }

    fn to(&self, raw: &Spanned<RawTo>, from: Option<&From>, connections: &Connections) -> Option<To> {
        let to = &raw.value;
        let connection = self.known(&to.connection, connections)?;
        match connection {
            Connection::Api(api) => {
                let operation =
                    self.wanted(raw, "operation", to.operation.as_ref(), [("file", &to.file), ("table", &to.table)])?;
                self.to_operation(raw, operation, api, from)
            }
            Connection::Folder(folder) => {
                let file =
                    self.wanted(raw, "file", to.file.as_ref(), [("operation", &to.operation), ("table", &to.table)])?;
                self.file_name(file);
                self.no_key(to, "a file keeps records in the order they come");
                if let Some((first, _)) = to.columns.iter().flat_map(|columns| columns.iter()).next()
                    && folder.form != Files::Parquet
                {
                    self.conflict(first.span, "`columns` belong to a table or a Parquet file", "remove `columns`");
                }
                let columns = self.file_columns(folder, to, file);
                Some(To::File { folder: Arc::clone(folder), name: file.value.clone(), columns })
            }
            Connection::Postgres(_) | Connection::Sqlite(_) | Connection::Mysql(_) => {
                let table =
                    self.wanted(raw, "table", to.table.as_ref(), [("operation", &to.operation), ("file", &to.file)])?;
                self.to_table(raw, table, connection.database()?)
            }
        }
    }

    /// The one of `operation`, `file` and `table` that fits the connection.
    fn wanted<'t>(
        &self,
        raw: &Spanned<RawTo>,
        key: &str,
        value: Option<&'t Spanned<String>>,
        others: [(&str, &Option<Spanned<String>>); 2],
    ) -> Option<&'t Spanned<String>> {
        let connection = &raw.value.connection.value;
        let mut wrong = false;
        for (other, span) in others.iter().filter_map(|(other, value)| value.as_ref().map(|value| (other, value.span)))
        {
            let message = format!("`{connection}` takes no `{other}`");
            self.report(
                Problem::new(Code::UnknownName, span, message).help(format!("write `{key}:` for this connection")),
            );
            wrong = true;
        }
        if value.is_none() && !wrong {
            self.missing_key(raw.value.connection.span, raw.span, key, format!("write `{key}:` for this connection"));
        }
        if let Some((first, _)) = raw.value.columns.iter().flat_map(|columns| columns.iter()).next()
            && key == "operation"
        {
            self.conflict(first.span, "`columns` belong to a table or a Parquet file", "remove `columns`");
        }
        if let Some(changed) = raw.value.changed.as_ref().filter(|_| key != "operation") {
            self.conflict(changed.span, "`changed` belongs to an operation that creates", "remove `changed`");
        }
        if let Some(deletes) = raw.value.deletes.as_ref().filter(|_| key != "operation") {
            self.conflict(deletes.span, "`deletes` belongs to an operation", "remove `deletes`");
        }
        value
    }

    fn to_operation(
        &self,
        raw: &Spanned<RawTo>,
        name: &Spanned<String>,
        api: &Arc<Api>,
        from: Option<&From>,
    ) -> Option<To> {
        let operation = self.known_operation(name, api);
        let key = raw.value.key.as_ref().and_then(|key| self.sink_key(key, raw.value.fields.as_ref()));
        let changed = operation.and_then(|operation| self.changed(raw, operation, api, from.map(|from| &*from.stream)));
        let deletes = match (&raw.value.deletes, operation) {
            (Some(deletes), Some(operation)) => self.deletes(deletes, operation, api, from),
            _ => Some(None),
        };
        Some(To::Operation {
            api: Arc::clone(api),
            operation: Arc::clone(operation?),
            key,
            changed: changed?,
            deletes: deletes?.map(Arc::new),
        })
    }

    pub fn known_operation<'c>(&self, name: &Spanned<String>, api: &'c Api) -> Option<&'c Arc<Operation>> {
        let operation = api.operations.get(&name.value);
        if operation.is_none() && !self.is_broken(api, name) {
            let lead = format!("the operations of the connector `{}` are", api.connector);
            self.unknown("operation", name, api.operations.keys().map(String::as_str), &lead);
        }
        operation
    }

    /// Whether a stream or operation exists but has problems of its own.
    pub(super) fn is_broken(&self, api: &Api, name: &Spanned<String>) -> bool {
        self.broken.borrow().contains(&(api.connector.clone(), name.value.clone()))
    }

    fn sink_key(&self, key: &OneOrMany<String>, fields: Option<&Named<Spanned<Source>>>) -> Option<Path> {
        let [key] = key.0.as_slice() else {
            if let Some(second) = key.0.get(1) {
                self.conflict(
                    second.span,
                    "the key of an operation is one field",
                    "name one field; or none, for the stream's key",
                );
            }
            return None;
        };
        let path = self.path(key);
        if let Some(fields) = fields {
            self.among_fields(key, fields, &path);
        }
        Some(path)
    }

    fn among_fields(&self, key: &Spanned<String>, fields: &Named<Spanned<Source>>, path: &Path) {
        let first = path.as_str().split(['.', '[']).next().unwrap_or_default();
        if fields.get(first).is_none() {
            let message = format!("the key `{}` is not among `fields`", key.value);
            let help = super::suggest::or_list(first, fields.names().into_iter(), "the fields are");
            self.report(Problem::new(Code::UnknownName, key.span, message).help(help));
        }
    }

    fn changed(
        &self,
        raw: &Spanned<RawTo>,
        operation: &Operation,
        api: &Api,
        stream: Option<&Stream>,
    ) -> Option<Changed> {
        let Some(changed) = &raw.value.changed else {
            let brings_changes = stream.is_some_and(|stream| stream.incremental.is_some());
            if operation.makes == Makes::Create && brings_changes {
                let at = raw.value.operation.as_ref().map_or(raw.span, |operation| operation.span);
                let help = "say what to do with a record that changes after it was created: `changed: skip` leaves it, \
                            `changed: { operation: <name> }` sends that operation, which sees the id as `sink.id`";
                let message = format!("`{}` only creates, and the stream also brings changes", operation.name);
                self.absent(raw.span, Problem::new(Code::MissingKey, at, message).help(help));
                return None;
            }
            return Some(Changed::Same);
        };
        if operation.makes != Makes::Create {
            let message = format!("`{}` handles changes by itself", operation.name);
            self.conflict(changed.span, message, "remove `changed`; it is for operations that only create");
        }
        match &changed.value {
            RawChanged::Skip => Some(Changed::Skip),
            RawChanged::Operation(name) => {
                let operation = self.known_operation(name, api)?;
                if operation.makes == Makes::Create {
                    let message = format!("`{}` creates, too", name.value);
                    self.conflict(name.span, message, "name an operation that updates, upserts or deletes");
                }
                Some(Changed::Operation(Arc::clone(operation)))
            }
        }
    }

    fn no_key(&self, to: &RawTo, reason: &str) {
        if let Some(key) = to.key.as_ref().and_then(|key| key.0.first()) {
            self.conflict(key.span, format!("`key` has no meaning here: {reason}"), "remove `key`");
        }
    }

    fn file_name(&self, file: &Spanned<String>) {
        let proper = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let text = &file.value;
        if text.is_empty() || text.len() > 100 || text.starts_with('.') || !text.chars().all(proper) {
            let problem = Problem::new(Code::BadPath, file.span, "this cannot be the base name of a file");
            self.report(problem.help("use letters, digits, `_`, `-` and `.`; the folder stands in the connection"));
        }
    }

    fn to_table(&self, raw: &Spanned<RawTo>, table: &Spanned<String>, database: Database) -> Option<To> {
        let to = &raw.value;
        self.identifier("table", table);
        let key: &[Spanned<String>] = to.key.as_ref().map_or(&[], |key| &key.0);
        if key.is_empty() {
            self.missing_key(table.span, raw.span, "key", "name the columns of the unique key, such as `key: id`");
        }
        for column in key {
            self.identifier("column", column);
            if let Some(fields) = to.fields.as_ref().filter(|fields| fields.get(&column.value).is_none()) {
                let message = format!("the key `{}` is not among `fields`", column.value);
                let help = super::suggest::or_list(&column.value, fields.names().into_iter(), "the fields are");
                self.report(Problem::new(Code::UnknownName, column.span, message).help(help));
            }
        }
        let mut columns = BTreeMap::new();
        for (name, kind) in to.columns.iter().flat_map(|columns| columns.iter()) {
            self.identifier("column", name);
            self.column_type(kind);
            columns.insert(name.value.clone(), kind.value.clone());
        }
        let key = key.iter().map(|column| column.value.clone()).collect();
        Some(To::Table { database, table: table.value.clone(), key, columns })
    }

    fn column_type(&self, kind: &Spanned<String>) {
        let proper = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | '(' | ')' | ',' | '[' | ']');
        let text = &kind.value;
        if !text.starts_with(|c: char| c.is_ascii_alphabetic()) || !text.chars().all(proper) {
            let problem = Problem::new(Code::BadPath, kind.span, "this is no column type");
            self.report(
                problem.help("write a type of the database, such as text, bigint, numeric(12,2) or timestamptz"),
            );
        }
    }
}
