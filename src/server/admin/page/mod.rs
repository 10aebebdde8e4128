//! The page that people look at: HTML made here, for browsers with and without scripts. It owes people what the admin API owes programs, and
//! its forms do the same things by the same functions; it owes the browser that nothing of a record, an error or a vendor is ever anything but
//! text.
//!
//! ```text
//!   overview.rs  pipeline.rs  run.rs  letter.rs     one file a page, over what the store, the loop and the meters hold
//!   frame.rs  chart.rs  words.rs                    what pages have in common
//!   sign_in.rs  forms.rs                            what people send
//!   page.css  page.js                               the whole of it: no font, no image and no script from elsewhere
//! ```
//!
//! The hard idea is that there is one way to make a page. `page.js` hears events, fetches the page that is shown once more, and puts its parts
//! in place of the old ones, so what is live cannot differ from what a reload shows. Escaping is not a thing to remember: `maud` escapes
//! whatever is put into a template, a test lets nobody switch that off, and the Content-Security-Policy runs nothing that stands in a page.

mod chart;
mod drift;
mod forms;
mod frame;
mod letter;
mod objectives;
mod overview;
mod pipeline;
mod run;
mod sign_in;
mod words;

use std::sync::LazyLock;

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use maud::Markup;

use self::frame::Notice;
use super::{
    Desk,
    call::Call,
    problem::Problem,
    routes::{Route, get, post},
};
use crate::{
    model::{BoxFuture, Code},
    server::service::What,
};

type Handler = for<'a> fn(&'a Desk, &'a Call) -> BoxFuture<'a, Result<Response, Problem>>;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const ICON: &str = include_str!("icon.svg");

/// A route that shows something.
const fn shown(path: &'static str, handler: Handler) -> Route {
    Route { is_page: true, answers: (200, "text/html"), ..get(path, "A page.", handler) }
}

/// A route that a form is sent to.
const fn sent(path: &'static str, handler: Handler) -> Route {
    Route { is_page: true, answers: (303, "text/html"), ..post(path, "A form.", handler) }
}

/// The pages are for people, so they are not in the OpenAPI document.
pub static ROUTES: &[Route] = &[
    shown("/", |desk, call| Box::pin(overview::show(desk, call))),
    shown("/pipelines/{pipeline}", |desk, call| Box::pin(pipeline::show(desk, call))),
    shown("/runs/{run}", |desk, call| Box::pin(run::show(desk, call))),
    shown("/dead-letters/{letter}", |desk, call| Box::pin(letter::show(desk, call))),
    sent("/pipelines/{pipeline}/trigger", |desk, call| Box::pin(forms::ask(desk, call, What::Trigger))),
    sent("/pipelines/{pipeline}/pause", |desk, call| Box::pin(forms::ask(desk, call, What::Pause))),
    sent("/pipelines/{pipeline}/resume", |desk, call| Box::pin(forms::ask(desk, call, What::Resume))),
    sent("/pipelines/{pipeline}/cancel", |desk, call| Box::pin(forms::ask(desk, call, What::Cancel))),
    sent("/pipelines/{pipeline}/replay", |desk, call| Box::pin(forms::replay_all(desk, call))),
    sent("/dead-letters/{letter}/edit", |desk, call| Box::pin(letter::edit(desk, call))),
    sent("/dead-letters/{letter}/undo", |desk, call| Box::pin(letter::undo(desk, call))),
    sent("/dead-letters/{letter}/replay", |desk, call| Box::pin(letter::replay(desk, call))),
    Route { open: true, ..sent("/sign-in", |desk, call| Box::pin(sign_in::begin(desk, call))) },
    Route { open: true, ..sent("/sign-out", |desk, call| Box::pin(sign_in::end(desk, call))) },
    asset("/page.css", |_, _| Box::pin(async { Ok(file("text/css; charset=utf-8", STYLE)) })),
    asset("/page.js", |_, _| Box::pin(async { Ok(file("text/javascript; charset=utf-8", SCRIPT)) })),
    asset("/icon.svg", |_, _| Box::pin(async { Ok(file("image/svg+xml", ICON)) })),
];

const fn asset(path: &'static str, handler: Handler) -> Route {
    Route { open: true, ..shown(path, handler) }
}

/// Names the files of this build, so that browsers may keep them for good.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let sum =
        [STYLE, SCRIPT, ICON].iter().fold(0_u32, |sum, text| crc32fast::hash(text.as_bytes()).rotate_left(7) ^ sum);
    format!("{sum:08x}")
});

fn file(kind: &'static str, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    response
}

/// Nothing but our own two files, no form to elsewhere, and no page of others around ours. `same-origin` and not `no-referrer`, because a
/// browser tells a form's origin only with it.
const GUARDS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

fn respond(status: StatusCode, page: Markup) -> Response {
    let mut response = Response::new(Body::from(page.into_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.extend(GUARDS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

/// Sends the browser to look at a page after what it asked for was done, so that a reload asks for nothing twice.
fn see(path: &str) -> Result<Response, Problem> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let path = HeaderValue::from_str(path).map_err(|error| Problem::bug(&error.to_string()))?;
    response.headers_mut().insert(header::LOCATION, path);
    Ok(response)
}

/// Whether a request that met no route comes from somebody who reads pages.
pub fn is_wanted(request: &Request) -> bool {
    let accepted = request.headers().get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html")) && !request.uri().path().starts_with("/api/")
}

/// A refusal as a page; one for want of a token is the way to sign in.
pub fn refused(problem: Problem, method: &Method, at: &Uri) -> Response {
    if problem.code() == Code::AdminUnauthorized {
        return respond(problem.status(), sign_in::form(at.path(), None));
    }
    let title = match problem.status() {
        StatusCode::NOT_FOUND => "Nothing here",
        StatusCode::FORBIDDEN => "Not from there",
        status if status.is_server_error() => "Not now",
        _ => "Not so",
    };
    let notice = if method == Method::POST { Notice::of(&problem) } else { Notice::unseen(&problem) };
    respond(
        problem.status(),
        frame::page(title, Some(&notice), &[], maud::html! { p { a href="/" { "All pipelines" } } }),
    )
}

/// A path with a name in it.
fn path(start: &str, name: &str) -> String {
    let mut path = start.to_owned();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_path_is_one_part_of_it() {
        assert_eq!(path("/runs/", "a b/../<script>?#é"), "/runs/a%20b%2F..%2F%3Cscript%3E%3F%23%C3%A9");
    }
}
