//! Answers that say no: problem details (RFC 9457) with the code of the error table, and what to do next.

use axum::{body::Body, response::Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{
    engine::{
        Refused,
        letters::{Mistake, Unmended},
    },
    model::{Blame, Code, Disposition, Fault},
};

#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: Code,
    detail: String,
    help: String,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    pub fn new(status: StatusCode, code: Code, detail: impl Into<String>, help: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), help: help.into(), header: None }
    }

    pub fn code(&self) -> Code {
        self.code
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong, and what to do next.
    pub fn said(&self) -> [&str; 2] {
        [&self.detail, &self.help]
    }

    pub fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some(Box::new((name, value))), ..self }
    }

    /// What was sent makes no sense.
    pub fn request(detail: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::AdminRequest, detail, help)
    }

    /// A name that nothing has.
    pub fn unknown(what: &str, name: &str, help: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Code::AdminUnknown,
            format!("there is no {what} `{}`", name.escape_debug()),
            help,
        )
    }

    /// The loop does not answer.
    pub fn busy() -> Self {
        let detail = "the service is stopping, or waits for its runs to end";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::AdminBusy,
            detail,
            "nothing was changed; ask again in a moment",
        )
        .with(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// The loop has heard of it, and has not said yet what came of it.
    pub fn late() -> Self {
        let detail = "the service did not say in time whether it was done";
        let help = "it may still be done: look before asking again, for asking twice does no harm but may be refused";
        Self::new(StatusCode::GATEWAY_TIMEOUT, Code::AdminBusy, detail, help)
    }

    pub fn bug(why: &str) -> Self {
        Fault::halt(Code::Bug, Blame::Bug, why).help("please report it").into()
    }

    /// A wish that the schedule does not grant.
    pub fn refused(pipeline: &str, refused: Refused) -> Self {
        let (detail, help) = match refused {
            Refused::Unknown => return Self::unknown("pipeline", pipeline, "GET /api/v1/pipelines lists all of them"),
            Refused::Paused => ("it is paused", "nothing was changed; resume it first"),
            Refused::Busy => {
                ("a run of it is under way or about to begin", "nothing was changed; wait for its end, or cancel it")
            }
            Refused::Idle => ("nothing of it is under way", "there is nothing to cancel"),
            Refused::Backfill => (
                "a backfill of it is under way",
                "pause the pipeline, or drop the backfill with `renkei backfill --drop`",
            ),
            Refused::Full => ("too many replays wait already", "nothing was changed; ask again when some have ended"),
            Refused::Gone => (
                "a dead letter of it is not there any more, or was met again since",
                "nothing was changed; look at it again",
            ),
        };
        Self::new(StatusCode::CONFLICT, Code::NotNow, format!("{pipeline}: {detail}"), help)
    }

    pub fn response(self) -> Response {
        let Self { status, code, detail, help, header } = self;
        let body = json!({
            "type": format!("urn:renkei:error:{code}"),
            "title": code.title(),
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
            "help": help,
        });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = header.map(|header| *header) {
            headers.insert(name, value);
        }
        response
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let status = match (fault.blame, fault.disposition) {
            (_, Disposition::Reject) => StatusCode::UNPROCESSABLE_ENTITY,
            (Blame::Config | Blame::Credentials, _) => StatusCode::CONFLICT,
            (Blame::Host, _) => StatusCode::SERVICE_UNAVAILABLE,
            (Blame::Remote | Blame::Record | Blame::Bug, _) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, fault.code, fault.message, fault.help)
    }
}

impl From<Mistake> for Problem {
    fn from(Mistake { message, help }: Mistake) -> Self {
        Self::request(message, help)
    }
}

impl From<Unmended> for Problem {
    fn from(unmended: Unmended) -> Self {
        match unmended {
            Unmended::Mistake(mistake) => mistake.into(),
            Unmended::Fault(fault) => (*fault).into(),
        }
    }
}
