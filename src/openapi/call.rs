//! What can be called: both generations of documents in one form.

use serde_json::Value;

use super::{
    document::{Document, Generation, Place},
    schema::{Schema, Types},
};

pub const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// A method at a path.
#[derive(Clone, Debug)]
pub struct Call<'d> {
    pub method: &'static str,
    /// As the document writes it, without the base path.
    pub path: &'d str,
    pub pointer: String,
    pub id: &'d str,
    pub summary: &'d str,
    pub deprecated: bool,
    pub parameters: Vec<Parameter<'d>>,
    pub body: Option<Body<'d>>,
    pub answer: Option<Answer<'d>>,
    /// Requirements of its own; nothing: those of the document.
    pub security: Option<&'d Value>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum In {
    Path,
    Query,
    Header,
    Other,
}

#[derive(Clone, Debug)]
pub struct Parameter<'d> {
    pub name: &'d str,
    pub place: In,
    pub required: bool,
    pub schema: Schema<'d>,
    pub description: &'d str,
    /// An object is written as `name[field]=value`.
    pub deep: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyKind {
    Json,
    Form,
    /// Such as multipart.
    Other,
}

/// What a request takes.
#[derive(Clone, Debug)]
pub struct Body<'d> {
    pub kind: BodyKind,
    schema: Option<Schema<'d>>,
    /// Of the second generation: fields of a form.
    form: Vec<Parameter<'d>>,
}

/// What comes back when it went well.
#[derive(Clone, Debug)]
pub struct Answer<'d> {
    pub schema: Option<Schema<'d>>,
    pub headers: Vec<&'d str>,
}

/// A field of a body.
pub struct BodyField<'d> {
    pub name: &'d str,
    pub required: bool,
    pub schema: Schema<'d>,
}

impl<'d> Body<'d> {
    /// It may have fields that are not described.
    pub fn is_open(&self) -> bool {
        self.schema.as_ref().is_some_and(Schema::is_open)
    }

    /// Where its schema stands in the document.
    pub fn pointer(&self) -> Option<&str> {
        self.schema.as_ref().and_then(Schema::pointer)
    }

    pub fn fields(&self) -> Vec<BodyField<'d>> {
        let of_schema = self.schema.iter().flat_map(Schema::fields);
        let of_schema =
            of_schema.map(|field| BodyField { name: field.name, required: field.required, schema: field.schema });
        let of_form = self.form.iter().map(|one| BodyField {
            name: one.name,
            required: one.required,
            schema: one.schema.clone(),
        });
        of_schema.chain(of_form).collect()
    }
}

impl<'d> Call<'d> {
    pub fn parameter(&self, place: In, name: &str) -> Option<&Parameter<'d>> {
        let same = |one: &&Parameter<'_>| match place {
            In::Header => one.name.eq_ignore_ascii_case(name),
            _ => one.name == name,
        };
        self.parameters.iter().filter(|one| one.place == place).find(same)
    }

    pub fn query(&self) -> impl Iterator<Item = &Parameter<'d>> {
        self.parameters.iter().filter(|one| one.place == In::Query)
    }
}

/// Every call of a document, in its order.
pub fn calls(document: &Document) -> Vec<Call<'_>> {
    let mut all = Vec::new();
    for (path, place) in document.place().get("paths").iter().flat_map(Place::fields) {
        if !path.starts_with('/') {
            continue;
        }
        let item = document.resolve(place);
        for method in METHODS {
            if let Some(operation) = item.get(method).filter(|one| one.value.is_object()) {
                all.push(call(document, method, path, &item, &operation));
            }
        }
    }
    all
}

fn call<'d>(
    document: &'d Document,
    method: &'static str,
    path: &'d str,
    item: &Place<'d>,
    operation: &Place<'d>,
) -> Call<'d> {
    let lists = [operation.get("parameters"), item.get("parameters")];
    let places = lists.iter().flatten().flat_map(Place::items).map(|place| document.resolve(place));
    let mut parameters: Vec<Parameter<'d>> = Vec::new();
    let (mut form, mut whole) = (Vec::new(), None);
    for place in places {
        match place.text("in").unwrap_or_default() {
            "body" => whole = whole.or(Some(place)),
            "formData" => form.push(parameter(document, &place)),
            _ => {
                let one = parameter(document, &place);
                let is_known = |known: &Parameter<'_>| known.name == one.name && known.place == one.place;
                if !one.name.is_empty() && !parameters.iter().any(is_known) {
                    parameters.push(one);
                }
            }
        }
    }
    let body = match document.generation {
        Generation::OpenApi3 => operation.get("requestBody").and_then(|place| body(document, document.resolve(place))),
        Generation::Swagger2 => old_body(document, operation, whole, form),
    };
    Call {
        method,
        path,
        pointer: operation.pointer.clone(),
        id: operation.text("operationId").unwrap_or_default(),
        summary: operation.text("summary").or_else(|| operation.text("description")).unwrap_or_default(),
        deprecated: operation.flag("deprecated"),
        parameters,
        body,
        answer: answer(document, operation),
        security: operation.value.get("security"),
    }
}

fn parameter<'d>(document: &'d Document, place: &Place<'d>) -> Parameter<'d> {
    let content = place.get("content").and_then(|content| content.fields().into_iter().next());
    let described = place.get("schema").or_else(|| content.and_then(|(_, media)| media.get("schema")));
    let schema = Schema::of(document, described.unwrap_or_else(|| place.clone()));
    let kind = match place.text("in").unwrap_or_default() {
        "path" => In::Path,
        "query" => In::Query,
        "header" => In::Header,
        _ => In::Other,
    };
    let deep = place.text("style") == Some("deepObject") && schema.types().may_be(Types::OBJECT);
    Parameter {
        name: place.text("name").unwrap_or_default(),
        place: kind,
        required: place.flag("required"),
        schema,
        description: place.text("description").unwrap_or_default(),
        deep,
    }
}

fn is_json(media: &str) -> bool {
    let kind = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json") || kind == "*/*" || kind == "text/json"
}

fn body<'d>(document: &'d Document, place: Place<'d>) -> Option<Body<'d>> {
    let content = place.get("content")?.fields();
    let json = content.iter().find(|(media, _)| is_json(media)).map(|one| (BodyKind::Json, one));
    let form = || content.iter().find(|(media, _)| media.contains("x-www-form-urlencoded"));
    let found = json.or_else(|| form().map(|one| (BodyKind::Form, one)));
    let (kind, (_, media)) = found.or_else(|| content.first().map(|one| (BodyKind::Other, one)))?;
    let schema = media.get("schema").map(|schema| Schema::of(document, schema));
    Some(Body { kind, schema, form: Vec::new() })
}

fn old_body<'d>(
    document: &'d Document,
    operation: &Place<'d>,
    whole: Option<Place<'d>>,
    form: Vec<Parameter<'d>>,
) -> Option<Body<'d>> {
    let consumes = operation.get("consumes").or_else(|| document.place().get("consumes"));
    let media: Vec<&str> = consumes.iter().flat_map(Place::items).filter_map(|place| place.value.as_str()).collect();
    if let Some(whole) = whole {
        let json = media.is_empty() || media.iter().any(|media| is_json(media));
        let kind = if json { BodyKind::Json } else { BodyKind::Other };
        let schema = whole.get("schema").map(|schema| Schema::of(document, schema));
        return Some(Body { kind, schema, form: Vec::new() });
    }
    let multipart = media.iter().any(|media| media.contains("multipart"));
    let only_multipart = multipart && !media.iter().any(|media| media.contains("urlencoded"));
    let kind = if only_multipart { BodyKind::Other } else { BodyKind::Form };
    (!form.is_empty()).then_some(Body { kind, schema: None, form })
}

/// The answer of the smallest good status, one with a JSON body before others.
fn answer<'d>(document: &'d Document, operation: &Place<'d>) -> Option<Answer<'d>> {
    let responses = operation.get("responses")?.fields();
    let good = responses.iter().filter(|(status, _)| status.starts_with('2')).map(|(_, place)| place);
    let fallback = responses.iter().filter(|(status, _)| *status == "default").map(|(_, place)| place);
    let mut all: Vec<Answer<'d>> = good.map(|place| one_answer(document, document.resolve(place.clone()))).collect();
    if all.is_empty() {
        all.extend(fallback.map(|place| one_answer(document, document.resolve(place.clone()))));
    }
    let best = all.iter().position(|answer| answer.schema.is_some()).unwrap_or(0);
    (!all.is_empty()).then(|| all.swap_remove(best))
}

fn one_answer<'d>(document: &'d Document, place: Place<'d>) -> Answer<'d> {
    let headers = place.get("headers").iter().flat_map(Place::fields).map(|(name, _)| name).collect();
    let content = place.get("content").map(|content| content.fields()).unwrap_or_default();
    let media = content.into_iter().find(|(media, _)| is_json(media)).map(|(_, media)| media);
    let described = media.as_ref().and_then(|media| media.get("schema")).or_else(|| place.get("schema"));
    let schema = described.map(|described| Schema::of(document, described));
    // A schema that says nothing is worse than an example.
    let schema = match schema.filter(|schema| !schema.is_bare()) {
        Some(schema) => Some(schema),
        None => sample(document, &place, media.as_ref())
            .or_else(|| media.as_ref().and_then(|media| media.get("schema")).map(|at| Schema::of(document, at))),
    };
    Answer { schema, headers }
}

fn sample<'d>(document: &'d Document, place: &Place<'d>, media: Option<&Place<'d>>) -> Option<Schema<'d>> {
    let named = media.and_then(|media| media.get("examples"));
    let named = named.and_then(|all| all.fields().into_iter().next());
    let named = named.and_then(|(_, one)| document.resolve(one).get("value"));
    let single = || media.and_then(|media| media.get("example"));
    let old = || place.get("examples").and_then(|all| all.get("application/json"));
    let found = named.or_else(single).or_else(old)?;
    (found.value.is_object() || found.value.is_array()).then(|| Schema::of_sample(document, found))
}
