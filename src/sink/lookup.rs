//! Asking the sink about a record before it is written: the look-up by natural key, and the reading of a revision.
//!
//! The hard idea is that finding nothing leads to a creation, so nothing must be found by mistake: a search without its key would
//! find everything or nothing, an address that does not exist finds nothing for ever, and an answer without its list is no answer.
//! Each of them is said instead of believed.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Value, value::RawValue};

use super::{clear::Clear, redact, repeat::Found};
use crate::{
    config::plan::{Api, Body, LookUp, Node, Operation, RequestPlan, Revision, RevisionAt},
    expr::Scope,
    http::{Answer, Call, Client, Ruling, render},
    model::{Blame, Code, Disposition, Fault, Fields, Path, Reason},
    store::Item,
};

/// What was found, or why this record cannot be asked about. A fault is about all records.
pub type Asked = Result<Result<Found, Reason>, Fault>;

/// The way to ask about the records of one operation.
pub struct Asking<'a> {
    pub client: &'a Client,
    pub api: &'a Api,
    pub operation: &'a Operation,
    pub clear: &'a Clear,
}

impl Asking<'_> {
    /// Looks an item up. `now` is the time before the search leaves.
    pub async fn look_up(&self, look_up: &LookUp, item: &Item, now: DateTime<Utc>) -> Asked {
        Ok(self.look_up_whole(look_up, item, now).await?.map(|(found, _)| found))
    }

    /// As `look_up`, with the text of the record where one was found.
    pub async fn look_up_whole(
        &self,
        look_up: &LookUp,
        item: &Item,
        now: DateTime<Utc>,
    ) -> Result<Result<(Found, Option<String>), Reason>, Fault> {
        let call = {
            let scope = Scope::of(&item.fields).json("config", self.api.settings.as_str());
            asks_for_one(&look_up.request, &scope).and_then(|()| self.call(&look_up.request, &scope))
        };
        if let Some((_, sent)) = &look_up.matched
            && text_at(item.fields.as_str(), sent).is_none()
        {
            return Ok(Err(without_key(&format!("the field {sent}"))));
        }
        match self.ask(&look_up.request, call, item).await? {
            Ok(Some(answer)) => match found(look_up, &answer.body, &item.fields, now) {
                Ok(found) => Ok(Ok(found)),
                Err(why) => Err(self.strange("look-up", &why)),
            },
            Ok(None) => Ok(Ok((Found::Nothing { asked: now }, None))),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// Reads the record of an item, whose id at the sink is `id`, for its own sake. Nothing: there is no such record.
    pub async fn read_whole(
        &self,
        request: &RequestPlan,
        item: &Item,
        id: Option<&str>,
    ) -> Result<Result<Option<Answer>, Reason>, Fault> {
        let call = self.reading(request, item, id);
        self.ask(request, call, item).await
    }

    fn reading(&self, request: &RequestPlan, item: &Item, id: Option<&str>) -> Result<Call, Reason> {
        let sink = serde_json::json!({"id": id}).to_string();
        let scope = Scope::of(&item.fields).json("sink", sink.as_str()).json("config", self.api.settings.as_str());
        self.call(request, &scope)
    }

    /// Reads an item's record, whose id at the sink is `id`. `body` is what would be sent, by the revision that was read.
    pub async fn read(
        &self,
        revision: &Revision,
        item: &Item,
        id: Option<&str>,
        body: impl Fn(&str) -> Option<String>,
    ) -> Asked {
        let answer = match self.read_whole(&revision.read, item, id).await? {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(Ok(Found::Gone)),
            Err(reason) => return Ok(Err(reason)),
        };
        let text = std::str::from_utf8(&answer.body).unwrap_or_default();
        let Some(at) = revision_of(revision, &answer) else {
            return Err(self.strange("reading", "it has no revision where one was declared"));
        };
        let ours = body(&at).is_some_and(|sent| is_ours(revision, &sent, text));
        Ok(Ok(Found::Read { revision: at, ours }))
    }

    fn call(&self, request: &RequestPlan, scope: &Scope<'_>) -> Result<Call, Reason> {
        let name: Arc<str> = self.operation.name.as_str().into();
        render::call(self.api, request, &name, scope, true)
    }

    /// The accepted answer; nothing where there is no such record.
    async fn ask(
        &self,
        request: &RequestPlan,
        call: Result<Call, Reason>,
        item: &Item,
    ) -> Result<Result<Option<Answer>, Reason>, Fault> {
        let mut call = match call {
            Ok(call) => call,
            Err(reason) => return Ok(Err(reason)),
        };
        call.hides = self.clear.hides([item]);
        let answer = self.client.execute(&call).await?;
        let Ruling::Refused(fault) = &answer.ruling else { return Ok(Ok(Some(answer))) };
        let gone = fault.code == Code::NotFound;
        match gone {
            // The address is the same for every record, so it is the address that is not there.
            true if request.path.constant().is_some() && !answer.status.is_success() => Err(wrong_address(fault)),
            true => Ok(Ok(None)),
            false if answer.status == StatusCode::METHOD_NOT_ALLOWED => Err(wrong_address(fault)),
            false => {
                let told = redact::without_values(&fault.message, &item.fields, &answer.secrets);
                Ok(Err(Reason::new(Code::RecordRefused, format!("asking the sink about it failed: {told}"))))
            }
        }
    }

    fn strange(&self, what: &str, why: &str) -> Fault {
        let message = format!("the answer to the {what} of operation {} cannot be used: {why}", self.operation.name);
        Fault::halt(Code::StrangeAnswer, Blame::Remote, message).help(
            "Nothing is lost or doubled: the batch stays staged. Compare `repeat:` of the operation with an answer of the API.",
        )
    }
}

fn wrong_address(fault: &Fault) -> Fault {
    fault.clone().with(Disposition::Halt).help(
        "The batch stays staged and no record of it is written. Check the path and method under `repeat:` of the operation, and \
         run again.",
    )
}

/// Refuses a search in which a part that names the record has no value: it would find others.
fn asks_for_one(request: &RequestPlan, scope: &Scope<'_>) -> Result<(), Reason> {
    let names_it = |roots: &[String]| roots.iter().any(|root| root == "record");
    for (name, template) in &request.query {
        let has_value =
            || template.render(scope).is_ok_and(|value| value.is_some_and(|value| !value.trim().is_empty()));
        if names_it(template.roots()) && !has_value() {
            return Err(without_key(&format!("the query parameter {name}")));
        }
    }
    match &request.body {
        Some(Body::Json(node) | Body::Form(node)) => node_asks_for_one(node, scope),
        None => Ok(()),
    }
}

fn node_asks_for_one(node: &Node, scope: &Scope<'_>) -> Result<(), Reason> {
    let roots = match node {
        Node::Literal(_) => return Ok(()),
        Node::Object(fields) => return fields.iter().try_for_each(|(_, node)| node_asks_for_one(node, scope)),
        Node::List(items) => return items.iter().try_for_each(|node| node_asks_for_one(node, scope)),
        Node::Text(template) => template.roots(),
        Node::Value(expression) => expression.roots(),
    };
    let is_empty = |json: Option<String>| json.is_none_or(|json| matches!(json.trim_matches(['"', ' ']), "" | "null"));
    if roots.iter().any(|root| root == "record") && is_empty(render::json(node, scope)?) {
        return Err(without_key("the look-up's body"));
    }
    Ok(())
}

fn without_key(part: &str) -> Reason {
    Reason::new(Code::MissingSinkKey, format!("{part} that names it in the look-up has no value"))
}

/// The revision of a record that was read, where it has one.
pub fn revision_of(revision: &Revision, answer: &Answer) -> Option<String> {
    let at = match &revision.at {
        RevisionAt::Header(name) => answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned),
        RevisionAt::Body(path) => text_at(std::str::from_utf8(&answer.body).unwrap_or_default(), path),
    };
    at.filter(|at| !at.is_empty())
}

/// Reads what a look-up found; where it is one record, with its text.
fn found(
    look_up: &LookUp,
    body: &[u8],
    ours: &Fields,
    asked: DateTime<Utc>,
) -> Result<(Found, Option<String>), String> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    serde_json::from_str::<&RawValue>(text).map_err(|_| "it is no JSON".to_owned())?;
    let at =
        look_up.list.find(text).map(RawValue::get).ok_or_else(|| format!("it has nothing at `{}`", look_up.list))?;
    let entries: Vec<&str> = match at.as_bytes().first() {
        Some(b'[') => {
            let all: Vec<&RawValue> = serde_json::from_str(at).map_err(|_| "its list cannot be read".to_owned())?;
            all.into_iter().map(RawValue::get).collect()
        }
        Some(b'{') => vec![at],
        _ if at == "null" => Vec::new(),
        _ => return Err(format!("what it has at `{}` is neither a list nor an object", look_up.list)),
    };
    let is_it = |entry: &&str| match &look_up.matched {
        None => true,
        Some((answer, sent)) => text_at(entry, answer) == text_at(ours.as_str(), sent),
    };
    let mut all: Vec<(String, &str)> = Vec::new();
    for entry in entries.into_iter().filter(is_it) {
        let id = text_at(entry, &look_up.id).ok_or_else(|| format!("a found record has no id at `{}`", look_up.id))?;
        if !all.iter().any(|(known, _)| *known == id) {
            all.push((id, entry));
        }
    }
    Ok(match all.len() {
        0 => (Found::Nothing { asked }, None),
        1 => {
            let (id, entry) = all.remove(0);
            (Found::One(id), Some(entry.to_owned()))
        }
        count => (Found::Several(count), None),
    })
}

/// The text of a JSON text, number or boolean at a path; nothing for an empty text.
fn text_at(json: &str, path: &Path) -> Option<String> {
    let raw = path.find(json)?.get();
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok().filter(|text: &String| !text.is_empty()),
        b'{' | b'[' | b'n' => None,
        _ => Some(raw.to_owned()),
    }
}

/// Whether the record that was read holds all that would be sent.
fn is_ours(revision: &Revision, sent: &str, read: &str) -> bool {
    let value = |json: &str, path: &Path| serde_json::from_str(path.find(json)?.get()).ok();
    let (sent, read): (Option<Value>, Option<Value>) =
        (value(sent, &revision.compare.sent), value(read, &revision.compare.answer));
    matches!((sent, read), (Some(sent @ Value::Object(_)), Some(read)) if covers(&read, &sent))
}

/// Objects may hold more than was sent, and what was sent as null may be absent.
pub fn covers(read: &Value, sent: &Value) -> bool {
    match (sent, read) {
        (Value::Object(sent), Value::Object(read)) => sent.iter().all(|(name, value)| match read.get(name) {
            Some(found) => covers(found, value),
            None => value.is_null(),
        }),
        (Value::Number(a), Value::Number(b)) => a == b || (a.as_f64().is_some() && a.as_f64() == b.as_f64()),
        _ => sent == read,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::{config::plan::Compare, expr::Template};

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn request(query: &str) -> RequestPlan {
        RequestPlan {
            method: Method::GET,
            route: "/x".into(),
            path: Template::compile("/x").unwrap(),
            query: vec![("q".to_owned(), Template::compile(query).unwrap())],
            headers: Vec::new(),
            body: None,
            timeout: None,
        }
    }

    fn look_up(matched: bool) -> LookUp {
        LookUp {
            request: request("{{ record.email }}"),
            list: path("data"),
            id: path("id"),
            matched: matched.then(|| (path("mail"), path("email"))),
            update: None,
            lag: Duration::ZERO,
            compare: Compare { answer: path("."), sent: path(".") },
        }
    }

    fn fields(value: &Value) -> Fields {
        Fields::parse(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_is_found_is_one_none_or_several_and_only_what_matches() {
        let ours = fields(&json!({"email": "a@b"}));
        let all = json!({"data": [{"id": 1, "mail": "a@b"}, {"id": 2, "mail": "x@a@b"}]}).to_string();
        let asked = DateTime::<Utc>::MIN_UTC;
        let nothing = Found::Nothing { asked };
        for (matched, body, expected) in [
            (true, all.as_str(), Ok(Found::One("1".to_owned()))),
            (false, all.as_str(), Ok(Found::Several(2))),
            (false, r#"{"data":[{"id":"7"},{"id":"7"}]}"#, Ok(Found::One("7".to_owned()))),
            (false, r#"{"data":{"id":"7"}}"#, Ok(Found::One("7".to_owned()))),
            (false, r#"{"data":[]}"#, Ok(nothing.clone())),
            (false, r#"{"data":null}"#, Ok(nothing)),
        ] {
            let found = found(&look_up(matched), body.as_bytes(), &ours, asked).map(|(found, entry)| {
                assert_eq!(entry.is_some(), matches!(found, Found::One(_)), "{body}");
                found
            });
            assert_eq!(found, expected, "{body}");
        }
        for body in ["<html>", "{}", r#"{"data":7}"#, r#"{"data":[{"mail":"a@b"}]}"#] {
            assert!(found(&look_up(false), body.as_bytes(), &ours, asked).is_err(), "{body}");
        }
    }

    #[test]
    fn a_search_without_its_key_is_refused() {
        let refused = |request: &RequestPlan, record: Value| {
            let record = fields(&record);
            asks_for_one(request, &Scope::of(&record)).is_err()
        };
        for record in [json!({}), json!({"email": ""}), json!({"email": null}), json!({"email": " "})] {
            assert!(refused(&request("{{ record.email }}"), record.clone()), "{record}");
            let node =
                Node::Object(vec![("q".to_owned(), Node::Text(Template::compile("{{ record.email }}").unwrap()))]);
            let post = RequestPlan { body: Some(Body::Json(node)), query: Vec::new(), ..request("") };
            assert!(refused(&post, record.clone()), "{record}");
        }
        assert!(!refused(&request("{{ record.email }}"), json!({"email": "a@b"})));
    }

    #[test]
    fn what_was_sent_is_recognised_among_what_the_sink_holds() {
        let revision = Revision {
            read: request(""),
            at: RevisionAt::Body(path("rev")),
            header: None,
            conflict: Vec::new(),
            compare: Compare { answer: path("."), sent: path("record") },
        };
        let read =
            json!({"id": 7, "rev": 3, "name": "A", "total": 1.0, "tags": ["x"], "deep": {"a": 1, "b": 2}}).to_string();
        let ours = |sent: Value| is_ours(&revision, &json!({"record": sent}).to_string(), &read);
        assert!(ours(json!({"name": "A", "total": 1, "tags": ["x"], "deep": {"a": 1}, "gone": null})));
        assert!(!ours(json!({"name": "B"})));
        assert!(!ours(json!({"tags": ["x", "y"]})));
        assert!(!ours(json!({"other": 1})));
        assert!(!is_ours(&revision, "name=A", &read));
    }
}
