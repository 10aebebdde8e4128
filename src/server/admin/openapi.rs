//! The OpenAPI document (3.1), made of the table of routes.

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Desk, call::Call, json as answer, problem::Problem, routes};

pub async fn show(_: &Desk, _: &Call) -> Result<Response, Problem> {
    answer(&document())
}

fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes::ROUTES {
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.to_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "renkei admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What people do with a running service. Refusals are problem details (RFC 9457) with a code of docs/errors/.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Problem": {
                "type": "object",
                "required": ["type", "title", "status", "detail", "code", "help"],
                "properties": {
                    "type": { "type": "string" }, "title": { "type": "string" }, "status": { "type": "integer" },
                    "detail": { "type": "string" }, "code": { "type": "string" }, "help": { "type": "string" },
                },
            } },
        },
    })
}

fn operation(route: &routes::Route) -> Value {
    let open = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let open = open.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let asked = route.parameters.iter().map(|(name, description)| {
        json!({ "name": name, "in": "query", "description": description, "schema": { "type": "string" } })
    });
    let (status, kind) = route.answers;
    let problem = json!({
        "description": "A problem.",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    let mut operation = json!({
        "summary": route.summary,
        "parameters": open.chain(asked).collect::<Vec<_>>(),
        "responses": {
            status.to_string(): { "description": "Done as asked.", "content": { kind: {} } },
            "default": problem,
        },
    });
    if !route.open {
        operation["security"] = json!([{ "token": [] }]);
    }
    if let Some(schema) = route.body {
        operation["requestBody"] = json!({ "content": { "application/json": { "schema": schema() } } });
    }
    operation
}
