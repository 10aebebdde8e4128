//! The way in for people, where a token is demanded: it is typed once, and the browser keeps a session (`session.rs`) and never the token.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use maud::{Markup, html};

use super::{
    frame::{self, Notice},
    respond, see,
};
use crate::{
    server::admin::{Desk, call::Call, problem::Problem, session},
    store::audit::{Entry, Via},
};

/// `next` is where one wanted to go.
pub fn form(next: &str, notice: Option<&Notice>) -> Markup {
    let body = html! {
        form.sign-in method="post" action="/sign-in" data-leaves {
            p { "Type the token that " code { "serve.admin.token" } " of " code { "renkei.yaml" } " stands for. This browser stays signed in for 12 hours." }
            input type="hidden" name="next" value=(inside(next));
            label for="token" { "Token" }
            input #token type="password" name="token" autocomplete="current-password" required autofocus;
            button.main type="submit" { "Sign in" }
        }
    };
    frame::page("Sign in", notice, &[], body)
}

/// A path of this service; anything else leads to the overview, so that no link leads through here to elsewhere.
fn inside(next: &str) -> &str {
    let is_ours = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_ours && next != "/sign-in" && next != "/sign-out" { next } else { "/" }
}

pub async fn begin(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let next = call.field("next").unwrap_or("/");
    if !desk.guard.has_token() {
        return see(inside(next));
    }
    let Some(cookie) = desk.guard.sign_in(call.field("token").unwrap_or_default().trim(), desk.hub.now()) else {
        let notice = Notice::refusal("This is another token.", "Nothing was changed.");
        return Ok(respond(StatusCode::UNAUTHORIZED, form(next, Some(&notice))));
    };
    let peer = Some(call.peer.ip().to_string());
    let entry = Entry { via: Via::Api, peer, what: "sign_in".to_owned(), on: None, details: serde_json::Value::Null };
    desk.look().await?.engine.note(entry).await?;
    signed(inside(next), cookie)
}

/// The session's own time cannot be shortened, since nothing of it is kept here; the browser forgets it.
pub async fn end(_: &Desk, _: &Call) -> Result<Response, Problem> {
    signed("/", session::OVER)
}

fn signed(path: &str, cookie: HeaderValue) -> Result<Response, Problem> {
    let mut response = see(path)?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_only_inside() {
        assert_eq!(["/runs/1", "/", "/pipelines/a%20b"].map(inside), ["/runs/1", "/", "/pipelines/a%20b"]);
        for elsewhere in [
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "",
            "/\r\nset-cookie: a",
            "/sign-in",
            "javascript:x",
        ] {
            assert_eq!(inside(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
