//! The request for a page of a stream, and what its refusal means. Pure: a scan goes in, a call comes out.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use url::Url;

use super::{instant, paginate};
use crate::{
    config::plan::{Api, Auth, Format, Incremental, PageSize, Paginate, Stream},
    expr::Scope,
    http::{Answer, Call, Ruling, render},
    model::{Blame, Cursor, Fault, Position, Reason, Scan},
};

/// What a page is asked for by.
pub struct Asked<'a> {
    pub scan: &'a Scan,
    /// The page's size, where it is not the declared one.
    pub size: Option<u64>,
    /// What templates see as `slice`.
    pub slice: Option<&'a str>,
    /// What a look-up asks for.
    pub lookup: Option<&'a str>,
    /// What templates see as `job`.
    pub job: Option<&'a str>,
}

/// The request for the next page.
pub fn call(api: &Api, stream: &Stream, name: &Arc<str>, asked: &Asked<'_>) -> Result<Call, Fault> {
    let scan = asked.scan;
    let ask = paginate::ask(stream, scan.answer(), asked.size)?;
    let bounds = Bounds::of(stream, scan);
    let token = match scan.answer() {
        Some(Position::Token(token)) => Some(token.as_str()),
        _ => None,
    };
    let page = serde_json::json!({"token": token, "number": ask.number, "offset": ask.offset, "size": ask.size});
    let window = serde_json::json!({"since": bounds.since, "until": bounds.until});
    let scope = Scope::new()
        .json("config", api.settings.as_str())
        .json("page", page.to_string())
        .json("window", window.to_string())
        .json("slice", asked.slice.unwrap_or("{}"))
        .json("lookup", asked.lookup.unwrap_or("null"))
        .json("job", asked.job.unwrap_or("null"));
    let unbuilt = |reason: Reason| {
        Fault::halt(reason.code, Blame::Config, format!("the request of stream {}: {}", stream.name, reason.message))
            .help("Nothing was sent. Mend the stream's request in its connector, or the connection's settings.")
    };
    let mut call = render::call(api, &stream.request, name, &scope, true).map_err(unbuilt)?;
    if let Some(decode) = &stream.form.decode
        && !stream.request.headers.iter().any(|(name, _)| *name == header::ACCEPT)
    {
        let wanted = if matches!(decode.format, Format::Csv(_)) { "text/csv, */*;q=0.5" } else { "*/*" };
        call.headers.insert(header::ACCEPT, HeaderValue::from_static(wanted));
    }
    if let Some(Position::Url(next)) = scan.answer() {
        // The server wrote the whole address of the next page, its parameters included.
        call.url =
            Url::parse(next).map_err(|_| paginate::stuck(stream, "the saved address of the next page is no URL"))?;
        return Ok(call);
    }
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let size = |size: &'_ PageSize| size.query.clone().zip(number(ask.size));
    let (place, limit) = match &stream.paginate {
        Paginate::Cursor { query, size: sized, .. } => {
            (query.clone().zip(token.map(str::to_owned)), sized.as_ref().and_then(size))
        }
        Paginate::Page { query, size: sized, .. } => {
            (Some(query.clone()).zip(number(ask.number)), sized.as_ref().and_then(size))
        }
        Paginate::Offset { query, size: sized, .. } => (Some(query.clone()).zip(number(ask.offset)), size(sized)),
        Paginate::None | Paginate::NextUrl { .. } | Paginate::Link => (None, None),
    };
    let parameters = bounds.parameters(stream).into_iter().chain(place).chain(limit);
    let parameters: Vec<(String, String)> = parameters.collect();
    render::add_query(&mut call.url, parameters.iter().map(|(name, value)| (name.as_str(), value.clone())));
    Ok(call)
}

/// A server may repeat our API key in its links. The signer adds it to each request; it must not be saved.
pub fn without_secrets(api: &Api, position: Position) -> Position {
    let (Position::Url(url), Auth::ApiKeyQuery { parameter, .. }) = (&position, &api.auth) else {
        return position;
    };
    let Ok(mut url) = Url::parse(url) else { return position };
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != parameter)
        .map(|(n, v)| (n.into_owned(), v.into_owned()))
        .collect();
    url.set_query(None);
    render::add_query(&mut url, kept.iter().map(|(name, value)| (name.as_str(), value.clone())));
    Position::Url(url.into())
}

/// The window's bounds as they are sent.
struct Bounds {
    since: Option<String>,
    until: Option<String>,
}

impl Bounds {
    fn of(stream: &Stream, scan: &Scan) -> Self {
        let (format, days) = match &stream.incremental {
            Some(Incremental::Field(field)) => (Some(field.format), field.days),
            Some(Incremental::Token { .. }) | None => (None, None),
        };
        let sent = |bound: &Option<Cursor>| bound.as_ref().map(|bound| instant::sent(format, days, bound));
        Self { since: sent(&scan.from), until: sent(&scan.until) }
    }

    fn parameters(&self, stream: &Stream) -> Vec<(String, String)> {
        let (since, until) = match &stream.incremental {
            Some(Incremental::Field(field)) => (field.since.as_ref(), field.until.as_ref()),
            Some(Incremental::Token { query, .. }) => (query.as_ref(), None),
            None => (None, None),
        };
        let parameter = |name: Option<&String>, value: &Option<String>| name.cloned().zip(value.clone());
        parameter(since, &self.since).into_iter().chain(parameter(until, &self.until)).collect()
    }
}

/// Says what to do where the refused request began a pass with a token that the vendor may have forgotten.
pub fn explained(fault: Fault, stream: &Stream, scan: &Scan) -> Fault {
    let by_token = matches!(stream.incremental, Some(Incremental::Token { .. }));
    if !by_token || scan.from.is_none() || scan.answer().is_some() {
        return fault;
    }
    let help = format!(
        "Nothing was read and nothing was changed. If the vendor no longer knows the token of the last pass, read the \
         stream from its start, where what was written before is recognised: renkei run --full-refresh {}",
        stream.name
    );
    fault.help(help)
}

/// Whether the vendor no longer knows the token with which the pass began.
pub fn is_forgotten(answer: &Answer, scan: &Scan, stream: &Stream) -> bool {
    let Some(Incremental::Token { expired, .. }) = &stream.incremental else { return false };
    let is_first = scan.from.is_some() && scan.answer().is_none();
    let is_forgotten =
        is_first && matches!(answer.ruling, Ruling::Refused(_)) && expired.contains(&answer.status.as_u16());
    if is_forgotten {
        tracing::warn!(stream = %stream.name, "the vendor no longer knows the last token, so everything is listed again");
    }
    is_forgotten
}

/// Whether the server no longer accepts the position: a token or URL of its own that it once gave.
pub fn is_expired(answer: &Answer, scan: &Scan) -> bool {
    matches!(scan.answer(), Some(Position::Token(_) | Position::Url(_)))
        && matches!(answer.ruling, Ruling::Refused(_))
        && matches!(
            answer.status,
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::UNPROCESSABLE_ENTITY
        )
}
