//! What each failure of the request path is called, whose move it is, and what is safe. One exhaustive table, so that
//! the same failure reads the same everywhere.

use std::time::Duration;

use http::StatusCode;

use super::SendError;
use crate::model::{Blame, Code, Disposition, Fault};

const AGAIN: Disposition = Disposition::Retry { after: None };

/// What is safe after a call that ended without a usable answer.
const NOTHING_MOVED: &str = "Nothing is lost: the cursor has not moved, and staged records stay staged and are sent \
    again under the same keys.";

/// The fault of an attempt that got no answer.
pub fn unanswered(error: &SendError) -> Fault {
    match error {
        SendError::Unreachable(why) => {
            Fault::halt(Code::Unreachable, Blame::Remote, format!("the host cannot be reached: {why}"))
                .with(AGAIN)
                .help(format!("{NOTHING_MOVED} Check the base URL, the network and the proxy, then run again."))
        }
        SendError::Tls(why) => Fault::halt(Code::Tls, Blame::Remote, format!("TLS failed: {why}")).help(format!(
            "{NOTHING_MOVED} Nothing was sent. If the server's certificate comes from your own authority, name its PEM \
             file as `ca:` of the connection; otherwise the server's operator has to mend it."
        )),
        SendError::ClientCertificate(why) => Fault::halt(Code::ClientCertificate, Blame::Credentials, why.clone()).help(
            format!("{NOTHING_MOVED} Nothing was sent. Mend the files or the password under `client_certificate`, then run again."),
        ),
        SendError::ClientRefused(why) => {
            let message = format!("the server does not accept the client certificate: {why}");
            Fault::halt(Code::ClientRefused, Blame::Credentials, message).help(format!(
                "{NOTHING_MOVED} The server did not take the request on. `renkei auth status` shows the certificate and its \
                 end; where there is none, name one under `client_certificate` of the connection."
            ))
        }
        SendError::Egress(why) => Fault::halt(Code::Egress, Blame::Config, why.clone()).help(
            "Nothing was sent. If the request is meant to go there, declare the host under `egress.hosts`, or set \
             `egress.private: true` for names that resolve to private addresses.",
        ),
        SendError::Timeout => Fault::halt(Code::Timeout, Blame::Remote, "no answer in time").with(AGAIN).help(format!(
            "{NOTHING_MOVED} Run again; if this is an endpoint that takes its time, raise `timeouts.attempt`."
        )),
        SendError::Broken(why) => {
            Fault::halt(Code::Broken, Blame::Remote, format!("the connection broke: {why}"))
                .with(AGAIN)
                .help(format!("{NOTHING_MOVED} Run again."))
        }
        SendError::Truncated { status } => {
            Fault::halt(Code::Truncated, Blame::Remote, format!("the answer ({status}) ended before its body was whole"))
                .with(AGAIN)
                .help(format!("{NOTHING_MOVED} No part of the answer was used. Run again."))
        }
        SendError::BodyTooLarge { status } => Fault::halt(
            Code::BodyTooLarge,
            Blame::Config,
            format!("the answer ({status}) is larger than this connection allows"),
        )
        .help(format!(
            "{NOTHING_MOVED} No part of the answer was used. Ask for smaller pages, or raise the connection's body limit."
        )),
        SendError::Unkept { is_full, why } => {
            let code = if *is_full { Code::DiskFull } else { Code::AnswerFile };
            Fault::halt(code, Blame::Host, format!("a large answer cannot be kept on the disk: {why}")).help(format!(
                "{NOTHING_MOVED} No part of the answer was used. The state directory needs room for the whole answer as it comes."
            ))
        }
        SendError::Redirect { to } => {
            Fault::halt(Code::Redirect, Blame::Config, format!("the server redirects to {to}, which is not followed"))
                .help(format!(
                    "{NOTHING_MOVED} Credentials are never taken to another host. If the API moved, change the base URL."
                ))
        }
    }
}

/// The fault of an answer whose status says no, with what the server said about it.
pub fn refused(status: StatusCode, said: Option<&str>) -> Fault {
    if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return missing(status, said);
    }
    Fault::halt(Code::Refused, Blame::Remote, told("the server refused the request", status, said))
        .with(Disposition::Reject)
        .help(
            "The request was understood and will be refused again as it is. Look at what the server says, mend the \
             mapping, the record or the connector's request, and run again.",
        )
}

/// The fault of an answer that says, by its status or by a rule of the connector, that nothing is there.
pub fn missing(status: StatusCode, said: Option<&str>) -> Fault {
    let message = told("the server does not know this address", status, said);
    Fault::halt(Code::NotFound, Blame::Remote, message).with(Disposition::Reject).help(
        "Nothing was changed by it. Compare the base URL of the connection and the path of the stream or operation \
         with the vendor's documentation; if the path names a record, that record is gone on the other side.",
    )
}

pub fn unauthorized(status: StatusCode, said: Option<&str>) -> Fault {
    Fault::halt(
        Code::Unauthorized,
        Blame::Credentials,
        told("the server does not accept the credentials", status, said),
    )
    .help(format!(
        "{NOTHING_MOVED} Check that the credentials of this connection are current and belong to this host, then \
             run again."
    ))
}

pub fn forbidden(status: StatusCode, said: Option<&str>) -> Fault {
    Fault::halt(Code::Forbidden, Blame::Credentials, told("the account may not do this", status, said)).help(format!(
        "{NOTHING_MOVED} Give the account the permission or scope that this request needs, then run again."
    ))
}

pub fn throttled(status: StatusCode, said: Option<&str>) -> Fault {
    Fault::halt(Code::Throttled, Blame::Remote, told("the server kept asking us to slow down", status, said))
        .with(AGAIN)
        .help(format!(
            "{NOTHING_MOVED} Run again later, or lower the connection's `budget` if something else uses the same account."
        ))
}

pub fn server_error(status: StatusCode, said: Option<&str>) -> Fault {
    Fault::halt(Code::ServerError, Blame::Remote, told("the server failed", status, said))
        .with(AGAIN)
        .help(format!("{NOTHING_MOVED} Run again when the server is well."))
}

/// `limit` is what lets nothing through.
pub fn quota_wait(limit: &str) -> Fault {
    let message = format!("waiting for quota ({limit}) would take longer than allowed");
    Fault::halt(Code::QuotaWait, Blame::Remote, message)
        .with(AGAIN)
        .help(format!("{NOTHING_MOVED} Nothing was sent. Run again later, or raise `budget.wait_max` or the limit."))
}

/// The caller has no more time. `why` is what would have taken longer.
pub fn deadline(why: &str) -> Fault {
    Fault::halt(Code::Deadline, Blame::Remote, format!("the caller's time is up: {why}"))
        .with(AGAIN)
        .help(format!("{NOTHING_MOVED} Nothing was sent after it. Try again, or give the call more time."))
}

/// The breaker lets nothing through.
pub fn resting(call: &str, left: Option<Duration>) -> Fault {
    let until = match left {
        Some(left) => format!("nothing is sent for {:.0} s more", left.as_secs_f64().ceil()),
        None => "one attempt is under way to see whether it is well".to_owned(),
    };
    let message = format!("{call} is left alone for a while, because it kept failing; {until}");
    Fault::halt(Code::Resting, Blame::Remote, message)
        .with(Disposition::Retry { after: left })
        .help(format!("{NOTHING_MOVED} Nothing was sent. Run again when the server is well; `renkei limits` shows it."))
}

/// A call that must not be sent twice and may have had its effect.
pub fn outcome_unknown(fault: Fault) -> Fault {
    let message = format!("{}; whether it took effect is unknown", fault.message);
    Fault { message, ..fault }.with(Disposition::Park).help(
        "It was not sent again, because it declares no safe way to be. Look at the other side before you repeat it.",
    )
}

fn told(what: &str, status: StatusCode, said: Option<&str>) -> String {
    match said {
        Some(said) => format!("{what} ({}): {said}", status.as_u16()),
        None => format!("{what} ({})", status.as_u16()),
    }
}
