//! Look-ups: a stream of its own for each, which is a connector's with more in its query, or a request that stands in the step.

use std::sync::Arc;

use http::Method;

use super::{
    check::Check,
    compile_body::{RawRequest, unknown_field, uses},
    compile_personal::plans,
    compile_pipeline::Connections,
    diagnostic::Problem,
    plan::{Api, Asks, Connection, Lookup, Missing, Personal, Protect, RequestPlan, Stream},
    raw_steps::{RawLookup, RawMissing},
    shape::{Named, Source, Spanned},
};
use crate::{
    expr::Template,
    model::{Code, Path},
};

/// What the templates of a look-up see.
const ROOTS: [&str; 2] = ["config", "lookup"];
const FIELDS: [&str; 2] = ["values", "value"];
const BATCH: u64 = 100;
const BATCH_MAX: u64 = 10_000;
const REMEMBERED: u64 = 10_000;
const READ_WHOLE: u64 = 100_000;
const MAX: u64 = 1_000_000;

impl Check<'_> {
    pub fn lookup(&self, raw: &Spanned<RawLookup>, connections: &Connections) -> Option<Lookup> {
        let step = &raw.value;
        let by = self.path(&step.by);
        let matched = self.expression(&step.r#match, &["record"]);
        let into = self.path(&step.into);
        let api = self.looked_up_at(&step.connection, connections)?;
        let own = match &step.stream {
            Some(name) => Some(self.looked_up_stream(raw, name, api)?),
            None => None,
        };
        let stream = match own {
            Some(own) => self.of_stream(step, own),
            None => self.of_request(raw),
        }?;
        let asks = self.asks(raw, &stream.request)?;
        let personal = self.looked_up_personal(step, own, api, &by);
        let default = if asks == Asks::All { READ_WHOLE } else { REMEMBERED };
        Some(Lookup {
            api: Arc::clone(api),
            names: own.map(|own| own.key.clone()).unwrap_or_default(),
            stream: Arc::new(Stream { key: vec![by], single: own.is_none(), ..stream }),
            asks,
            matched: matched?,
            into,
            missing: match step.missing {
                None | Some(RawMissing::Reject) => Missing::Reject,
                Some(RawMissing::Skip) => Missing::Skip,
                Some(RawMissing::Empty) => Missing::Empty,
            },
            max: self.number(step.max.as_ref(), default, 1..=MAX) as usize,
            personal,
        })
    }

    fn looked_up_at<'c>(&self, name: &Spanned<String>, connections: &'c Connections) -> Option<&'c Arc<Api>> {
        match self.known(name, connections)? {
            Connection::Api(api) => Some(api),
            Connection::Folder(_) | Connection::Postgres(_) | Connection::Sqlite(_) | Connection::Mysql(_) => {
                let message = format!("`{}` can only be written to", name.value);
                let problem = Problem::new(Code::UnknownName, name.span, message);
                self.report(problem.help("look up at a connection with a connector"));
                None
            }
        }
    }

    fn looked_up_stream<'a>(
        &self,
        raw: &Spanned<RawLookup>,
        name: &Spanned<String>,
        api: &'a Api,
    ) -> Option<&'a Arc<Stream>> {
        let RawLookup { get, post, body, records, .. } = &raw.value;
        let spans = [get.as_ref().map(|it| it.span), post.as_ref().map(|it| it.span)];
        let spans = spans.into_iter().chain([records.as_ref().map(|it| it.span)]).flatten();
        let more = spans.chain(body.is_some().then_some(raw.span)).next();
        if let Some(more) = more {
            let help = "keep `stream`, with what it needs under `query`; or keep the request, and name no stream";
            self.conflict(more, "a stream has a request of its own", help);
        }
        let stream = api.streams.get(&name.value);
        if stream.is_none() && !self.is_broken(api, name) {
            let lead = format!("the streams of the connector `{}` are", api.connector);
            self.unknown("stream", name, api.streams.keys().map(String::as_str), &lead);
        }
        if stream.is_some_and(|stream| stream.form.export.is_some()) {
            let help = "name another stream of the connector, or write the request here";
            self.conflict(name.span, "an export answers no look-up", help);
        }
        stream
    }

    /// The stream, asked for all of it or for what `query` says.
    fn of_stream(&self, raw: &RawLookup, own: &Stream) -> Option<Stream> {
        let more = self.parameters_of(&raw.query)?;
        let mut request = own.request.clone();
        // What the step says of a parameter counts more than what the stream says.
        request.query.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        request.query.extend(more);
        Some(Stream { request, incremental: None, version: None, conditional: false, ..own.clone() })
    }

    fn of_request(&self, raw: &Spanned<RawLookup>) -> Option<Stream> {
        let RawLookup { get, post, body, query, records, .. } = &raw.value;
        let (method, path) = match (get, post) {
            (Some(path), None) => (Method::GET, path),
            (None, Some(path)) => (Method::POST, path),
            (None, None) => {
                let help = "name a `stream` of the connection, or write `get: /path`";
                self.missing_key(raw.span, raw.span, "stream", help);
                return None;
            }
            (Some(_), Some(post)) => {
                self.conflict(post.span, "a look-up has one path", "keep either `get` or `post`");
                return None;
            }
        };
        if method == Method::GET && body.is_some() {
            self.conflict(path.span, "a GET has no body", "use `query`, or `post` instead of `get`");
        }
        let filled = match body {
            Some(body) => Some(self.body(body, &ROOTS)?),
            None => None,
        };
        let headers = Named::default();
        let request = RawRequest { method, path, query, headers: &headers, timeout: None };
        let request = self.request(&request, filled, &ROOTS)?;
        Some(Stream {
            records: records.as_ref().map_or_else(Path::whole, |path| self.path(path)),
            single: true,
            pages_max: 1,
            empty_pages_max: 1,
            ..Stream::new(request.route.to_string(), request)
        })
    }

    fn parameters_of(&self, query: &Named<Spanned<Source>>) -> Option<Vec<(String, Template)>> {
        let one = |(name, value): &(Spanned<String>, Spanned<Source>)| {
            self.template(value, &ROOTS).map(|template| (name.value.clone(), template))
        };
        query.iter().map(one).collect()
    }

    /// For how many values the request asks, by what it uses.
    fn asks(&self, raw: &Spanned<RawLookup>, request: &RequestPlan) -> Option<Asks> {
        if let Err(error) = unknown_field(request, "lookup", &FIELDS, "part of a look-up") {
            let problem = Problem::new(Code::Expression, raw.span, error.message);
            self.report(problem.help("`lookup.values` is a list, and `lookup.value` one value"));
            return None;
        }
        let without = |known: &[&str]| unknown_field(request, "lookup", known, "part").is_err();
        let (many, one) = (without(&["value"]), without(&["values"]));
        let batch = raw.value.batch.as_ref();
        match (many, one) {
            (true, true) => {
                let help = "keep `lookup.values` where the request takes several values, and `lookup.value` where it takes one";
                self.conflict(raw.span, "`lookup.values` and `lookup.value` in one request", help);
                None
            }
            (true, false) => Some(Asks::Many(self.number(batch, BATCH, 1..=BATCH_MAX) as usize)),
            (false, is_one) => {
                if let Some(batch) = batch {
                    let help = "use `lookup.values` in the request, or remove `batch`";
                    self.conflict(batch.span, "the request does not take several values", help);
                }
                if !is_one && raw.value.stream.is_none() && uses(request, "lookup") {
                    return None;
                }
                Some(if is_one { Asks::One } else { Asks::All })
            }
        }
    }

    /// The rules of the stream that is looked up.
    fn looked_up_personal(&self, raw: &RawLookup, own: Option<&Arc<Stream>>, api: &Api, by: &Path) -> Personal {
        let Some(own) = own else { return Personal::default() };
        let ground = self.personal.borrow();
        let rules = ground.of_stream(&api.connector, &own.name);
        for rule in rules {
            if super::trace::overlap(&rule.path, by) {
                let message = format!("`{}` of `{}` is {}", rule.path, own.name, rule.protect.done());
                let problem = Problem::new(Code::StepMisplaced, raw.by.span, message);
                self.report(
                    problem.help("records are found by a field that is as the vendor sends it; name another one"),
                );
            }
        }
        let needs_keys = rules.iter().any(|rule| rule.protect != Protect::Mask);
        self.keys_fit(rules, &ground.keys);
        let keys = ground.keys_at_hand().filter(|_| needs_keys);
        Personal { rules: plans(rules), keys, ..Personal::default() }
    }
}
