//! The table of routes: what is answered, what the OpenAPI document says, and what metrics call it.

use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use super::{Desk, accounts, call::Call, health, letters, live, openapi, page, pipelines, problem::Problem, runs};
use crate::{
    model::{BoxFuture, Code},
    server::service::What,
};

type Handler = for<'a> fn(&'a Desk, &'a Call) -> BoxFuture<'a, Result<Response, Problem>>;

pub struct Route {
    pub method: &'static str,
    /// Parts in braces are open.
    pub path: &'static str,
    pub summary: &'static str,
    /// Answered without a token: it tells nothing but that somebody is there.
    pub open: bool,
    /// It is of the page: people get HTML, send forms, and may be signed in by a cookie.
    pub is_page: bool,
    pub parameters: &'static [(&'static str, &'static str)],
    /// The JSON Schema of the body, where there may be one.
    pub body: Option<fn() -> Value>,
    /// What it answers with.
    pub answers: (u16, &'static str),
    pub handler: Handler,
}

/// What metrics call a request that met no route.
pub const NONE: &str = "none";

const JSON: (u16, &str) = (200, "application/json");
const ACCEPTED: (u16, &str) = (202, "application/json");
const LIMIT: (&str, &str) = ("limit", "How many.");
const OF_PIPELINE: (&str, &str) = ("pipeline", "Only of this pipeline.");

/// A route that shows something.
pub const fn get(path: &'static str, summary: &'static str, handler: Handler) -> Route {
    let (parameters, body, answers) = (&[] as &[_], None, JSON);
    Route { method: "GET", path, summary, open: false, is_page: false, parameters, body, answers, handler }
}

/// A route that changes something.
pub const fn post(path: &'static str, summary: &'static str, handler: Handler) -> Route {
    Route { method: "POST", ..get(path, summary, handler) }
}

pub static ROUTES: &[Route] = &[
    Route {
        open: true,
        ..get("/livez", "Whether the process answers.", |desk, call| Box::pin(health::live(desk, call)))
    },
    Route {
        open: true,
        ..get("/readyz", "Whether the service takes requests; 503 while it stops.", |desk, call| {
            Box::pin(health::ready(desk, call))
        })
    },
    get("/healthz", "How the loop, the store and the pipelines do; 503 where one cannot work.", |desk, call| {
        Box::pin(health::health(desk, call))
    }),
    Route { open: true, ..get("/version", "The version.", |desk, call| Box::pin(health::version(desk, call))) },
    Route {
        answers: (200, crate::telemetry::CONTENT_TYPE),
        ..get("/metrics", "Metrics for a Prometheus server.", |desk, call| Box::pin(health::metrics(desk, call)))
    },
    Route { open: true, ..get("/openapi.json", "This document.", |desk, call| Box::pin(openapi::show(desk, call))) },
    get("/api/v1/pipelines", "All pipelines and where they stand.", |desk, call| Box::pin(pipelines::list(desk, call))),
    get("/api/v1/pipelines/{pipeline}", "One pipeline with its checkpoint, next times and last runs.", |desk, call| {
        Box::pin(pipelines::show(desk, call))
    }),
    Route {
        answers: ACCEPTED,
        ..post("/api/v1/pipelines/{pipeline}/trigger", "Runs it now.", |desk, call| {
            Box::pin(pipelines::ask(desk, call, What::Trigger))
        })
    },
    post("/api/v1/pipelines/{pipeline}/pause", "Lets nothing of it begin, over restarts too.", |desk, call| {
        Box::pin(pipelines::ask(desk, call, What::Pause))
    }),
    post("/api/v1/pipelines/{pipeline}/resume", "Ends a pause.", |desk, call| {
        Box::pin(pipelines::ask(desk, call, What::Resume))
    }),
    Route {
        answers: ACCEPTED,
        ..post("/api/v1/pipelines/{pipeline}/cancel", "Ends its run at the next checkpoint.", |desk, call| {
            Box::pin(pipelines::ask(desk, call, What::Cancel))
        })
    },
    Route {
        parameters: &[OF_PIPELINE, LIMIT, ("before", "The id of a run: only earlier ones.")],
        ..get("/api/v1/runs", "Runs, the newest first.", |desk, call| Box::pin(runs::list(desk, call)))
    },
    get("/api/v1/runs/{run}", "One run with what became of its records and why.", |desk, call| {
        Box::pin(runs::show(desk, call))
    }),
    Route {
        parameters: &[OF_PIPELINE],
        ..get("/api/v1/checkpoints", "How far each stream is delivered.", |desk, call| {
            Box::pin(pipelines::checkpoints(desk, call))
        })
    },
    Route {
        parameters: letters::PARAMETERS,
        ..get("/api/v1/dead-letters", "Dead letters, the newest first, without their records.", |desk, call| {
            Box::pin(letters::list(desk, call))
        })
    },
    get("/api/v1/dead-letters/{letter}", "One dead letter with its record.", |desk, call| {
        Box::pin(letters::show(desk, call))
    }),
    Route {
        body: Some(letters::edit_schema),
        ..post("/api/v1/dead-letters/{letter}/edit", "Mends its record.", |desk, call| {
            Box::pin(letters::edit(desk, call))
        })
    },
    Route {
        body: Some(letters::replay_schema),
        answers: ACCEPTED,
        ..post("/api/v1/dead-letters/replay", "Sends records their way again.", |desk, call| {
            Box::pin(letters::replay(desk, call))
        })
    },
    Route {
        body: Some(letters::drop_schema),
        ..post("/api/v1/dead-letters/drop", "Takes letters away for good.", |desk, call| {
            Box::pin(letters::remove(desk, call))
        })
    },
    get("/api/v1/budgets", "Every limit of every account, and which calls are left alone.", |desk, call| {
        Box::pin(accounts::budgets(desk, call))
    }),
    get("/api/v1/connections", "How connections are signed in.", |desk, call| {
        Box::pin(accounts::connections(desk, call))
    }),
    Route {
        answers: (200, "text/event-stream"),
        ..get("/api/v1/events", "What happens, live, as server-sent events.", |desk, call| {
            Box::pin(live::events(desk, call))
        })
    },
];

/// The route of a request, and what its open parts are.
pub fn find(method: &Method, path: &str) -> Result<(&'static Route, Vec<String>), Problem> {
    let mut allowed = Vec::new();
    for route in ROUTES.iter().chain(page::ROUTES) {
        let Some(names) = names(route.path, path) else { continue };
        if route.method == method.as_str() {
            return Ok((route, names));
        }
        allowed.push(route.method);
    }
    if allowed.is_empty() {
        return Err(Problem::unknown("route", path, "/openapi.json lists all of them"));
    }
    let allow = HeaderValue::from_str(&allowed.join(", ")).unwrap_or(HeaderValue::from_static("GET"));
    let detail = format!("{path} does not take {method}");
    Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::AdminRequest, detail, "/openapi.json lists what it takes")
        .with(header::ALLOW, allow))
}

/// The open parts of a path that a template fits. A part is one name: neither empty nor a way to elsewhere, and compared as it was
/// meant, after its escapes. Nothing is looked up by a path, so a strange one is only unknown.
fn names(template: &str, path: &str) -> Option<Vec<String>> {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    let mut names = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(names),
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {
                names.push(unescaped(given)?)
            }
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

fn unescaped(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(16 * high + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_one_route_as_it_was_meant_and_a_strange_one_fits_none() {
        let found = |path: &str| find(&Method::GET, path).map(|(route, names)| (route.path, names)).ok();
        let one = |route: &'static str, name: &str| Some((route, vec![name.to_owned()]));
        assert_eq!(found("/livez"), Some(("/livez", Vec::new())));
        assert_eq!(found("/api/v1/pipelines/a%20b"), one("/api/v1/pipelines/{pipeline}", "a b"));
        assert_eq!(found("/api/v1/pipelines/%2e%2e%2fx"), one("/api/v1/pipelines/{pipeline}", "../x"));
        let strange =
            ["/livez/", "//livez", "/LIVEZ", "/api/v1/pipelines/", "/api/v1/../../livez", "/api/v1/pipelines/%zz"];
        for path in strange.into_iter().chain(["/api/v1/pipelines/%ff", "/api/v1/runs/a/b", "", "//"]) {
            assert_eq!(found(path), None, "{path}");
        }
        assert!(find(&Method::DELETE, "/livez").is_err());
    }
}
