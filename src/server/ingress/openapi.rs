//! What callers may send and what they are answered, as an OpenAPI 3.1 document: one route for each pipeline, with its own schema.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::hall::Route;
use crate::config::plan::{Callers, Mode};

/// The document of some routes.
pub fn document<'r>(routes: impl Iterator<Item = &'r Arc<Route>>) -> Value {
    let (mut paths, mut schemes) = (Map::new(), Map::new());
    for route in routes {
        let security = scheme(&route.ingress.callers).map(|(name, scheme)| {
            schemes.insert(name.to_owned(), scheme);
            json!([{ name: [] }])
        });
        let security = security.unwrap_or_else(|| json!([]));
        paths.insert(format!("/in/{}", route.segment), json!({ "post": push(route, &security) }));
        let status = json!({
            "summary": "What became of a record",
            "operationId": format!("{}_record", route.pipeline.name),
            "security": security,
            "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
            "responses": { "200": answer("Where the record stands", "Record"), "401": problem(), "404": problem() },
        });
        paths.insert(format!("/in/{}/records/{{id}}", route.segment), json!({ "get": status }));
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "renkei", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "securitySchemes": schemes, "schemas": schemas() },
    })
}

fn push(route: &Route, security: &Value) -> Value {
    let record = match &route.ingress.schema {
        Some(schema) => schema.text().clone(),
        None => json!({ "type": "object" }),
    };
    let list = json!({ "type": "array", "items": record, "minItems": 1, "maxItems": route.ingress.records_max });
    let default = match route.ingress.mode {
        Mode::Sync => "the sink's verdict, or 202 where it does not come in time",
        Mode::Async => "202 as soon as the record is durable",
    };
    let header = |name: &str, required: bool, description: &str| json!({ "name": name, "in": "header", "required": required, "description": description, "schema": { "type": "string" } });
    let description = &route.pipeline.description;
    let mut responses = Map::new();
    responses.insert("200".to_owned(), answer("Every record has its verdict", "Record"));
    responses.insert("201".to_owned(), answer("The record was created at the sink", "Record"));
    responses.insert("202".to_owned(), answer("The record is durable and will be delivered", "Record"));
    for status in ["400", "401", "408", "409", "413", "415", "422", "429", "503"] {
        responses.insert(status.to_owned(), problem());
    }
    json!({
        "summary": if description.is_empty() { "Push records" } else { description },
        "description": format!("Answered with {default}."),
        "operationId": format!("{}_push", route.pipeline.name),
        "security": security,
        "parameters": [
            header("Idempotency-Key", route.ingress.idempotency.required, "A request that is sent again under its key is answered again."),
            header("Prefer", false, "`respond-async` for 202, `wait=N` for the verdict within N seconds."),
        ],
        "requestBody": {
            "required": true,
            "content": {
                "application/json": { "schema": { "anyOf": [record, list] } },
                "application/x-ndjson": { "schema": { "type": "string" } },
            },
        },
        "responses": responses,
    })
}

fn answer(description: &str, schema: &str) -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

fn problem() -> Value {
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    json!({ "description": "Problem details (RFC 9457)", "content": { "application/problem+json": { "schema": schema } } })
}

fn schemas() -> Value {
    let text = json!({ "type": "string" });
    let verdicts = json!(["created", "updated", "unchanged", "deleted", "skipped", "rejected", "parked"]);
    json!({
        "Record": {
            "type": "object",
            "properties": {
                "id": text, "status": { "enum": ["accepted", "done"] }, "verdict": { "enum": verdicts }, "sink_id": text,
                "code": text, "reason": text, "status_url": text,
                "records": { "type": "array", "items": { "$ref": "#/components/schemas/Record" } },
            },
        },
        "Problem": {
            "type": "object",
            "required": ["title", "status", "detail", "code"],
            "properties": {
                "title": text, "status": { "type": "integer" }, "detail": text, "code": text,
                "errors": { "type": "array", "items": { "type": "object", "properties": { "at": text, "message": text } } },
            },
        },
    })
}

fn scheme(callers: &Callers) -> Option<(&'static str, Value)> {
    match callers {
        Callers::Anybody => None,
        Callers::Bearer(_) => Some(("bearer", json!({ "type": "http", "scheme": "bearer" }))),
        Callers::ApiKey { header, .. } => {
            Some(("api_key", json!({ "type": "apiKey", "in": "header", "name": header.as_str() })))
        }
        Callers::StandardWebhooks(_) => {
            Some(("standard_webhooks", json!({ "type": "apiKey", "in": "header", "name": "webhook-signature" })))
        }
        Callers::Signed(plan) => {
            Some(("hmac", json!({ "type": "apiKey", "in": "header", "name": plan.header.as_str() })))
        }
    }
}
