//! What a look at a server means: its name, the connection, both certificates and its clock. Pure.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use serde_json::json;
use url::Url;

use super::{
    Line, UNREACHED,
    words::{day, days, span},
};
use crate::{
    auth::Certificate,
    http::{Look, SendError, fresh_date, is_loopback, keys::Dates, unanswered},
    model::{Blame, Code, Fault},
};

/// A Date header is cut to seconds and was some time under way. What signs with times is refused at 60 s by the strictest
/// servers.
const SKEW: TimeDelta = TimeDelta::seconds(30);

/// So long before its end a server's certificate should have been renewed, unless its whole life is short.
const RENEWED_BEFORE: TimeDelta = TimeDelta::days(7);

/// Name, connection and certificate of the server. `look` is nothing where the name may not be connected to.
pub fn reach(
    url: &Url,
    addresses: &Result<Vec<IpAddr>, SendError>,
    look: Option<&Result<Look, SendError>>,
    now: DateTime<Utc>,
) -> Vec<Line> {
    let host = url.host_str().unwrap_or_default();
    match (addresses, look) {
        (Err(_), Some(Ok(look))) => {
            let seen = format!("{host} is not resolved here, and it answers: a proxy resolves it");
            vec![Line::ok("dns", seen), connected(look), tls(url, look, now)]
        }
        (Err(error), _) => {
            let help = "Nothing was sent. Compare the host of `base_url` with the vendor's documentation, and see whether \
                        this machine resolves other names; where a proxy is needed, look at it.";
            let failed = Line::failed("dns", &unanswered(error));
            let dns = match error {
                SendError::Egress(_) => failed,
                _ => Line { seen: format!("{host} has no address: {}", plain(error)), ..failed.help(help) },
            };
            vec![dns, Line::not_tried("connect", "there is no address"), Line::not_tried("tls", "there is no address")]
        }
        (Ok(addresses), look) => {
            let mut lines = vec![dns(url, addresses)];
            match look {
                Some(Ok(look)) => lines.extend([connected(look), tls(url, look, now)]),
                Some(Err(error)) => lines.extend(unconnected(url, error)),
                None => lines.extend(["connect", "tls"].map(|check| Line::not_tried(check, UNREACHED))),
            }
            lines
        }
    }
}

fn dns(url: &Url, addresses: &[IpAddr]) -> Line {
    let host = url.host_str().unwrap_or_default();
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let seen = match url.domain() {
        Some(_) => format!("{host} is {}", all.join(", ")),
        None => format!("{host} is an address"),
    };
    Line::ok("dns", seen).fact("addresses", all)
}

fn connected(look: &Look) -> Line {
    let peer = look.peer.map_or_else(|| "the server".to_owned(), |peer| peer.to_string());
    let (took, status) = (look.took.as_millis() as u64, look.status.as_u16());
    Line::ok("connect", format!("{peer} answers after {took} ms"))
        .fact("peer", look.peer.map(|peer| peer.to_string()))
        .fact("took_ms", took)
        .fact("status", status)
}

/// Connection and certificate of a server that did not answer, by how far it came.
fn unconnected(url: &Url, error: &SendError) -> [Line; 2] {
    let made = || Line::ok("connect", "a connection is made");
    let unseen = |why: &str| Line::not_tried("tls", why);
    let slow = "The connection is made, and a request without credentials is not answered. Some servers want more; see \
                whether the read below works, and else look at the server or raise `timeouts.attempt`.";
    match error {
        SendError::Unreachable(_) => {
            let help = "Nothing was sent. See whether the server runs, whether a firewall lets this machine through, and \
                        whether host and port of `base_url` are right; where a proxy is needed, look at it.";
            [Line::failed("connect", &unanswered(error)).help(help), unseen(UNREACHED)]
        }
        SendError::Tls(_) => {
            let help = "Nothing was sent. A certificate of your own authority wants its PEM file as `ca:` of the connection, \
                        and one of another name the right host in `base_url`; one that is over is the operator's to renew, \
                        unless this machine's clock is wrong.";
            [made(), Line::failed("tls", &unanswered(error)).help(help)]
        }
        // It says so only after its own certificate was taken.
        SendError::ClientRefused(_) => [made(), Line::ok("tls", "the server's certificate holds")],
        SendError::ClientCertificate(_) => {
            [Line::not_tried("connect", "there is no client certificate to show"), unseen(UNREACHED)]
        }
        SendError::Egress(_) => [Line::failed("connect", &unanswered(error)), unseen(UNREACHED)],
        SendError::Timeout
        | SendError::Broken(_)
        | SendError::Truncated { .. }
        | SendError::BodyTooLarge { .. }
        | SendError::Unkept { .. }
        | SendError::Redirect { .. } => {
            let tls = match url.scheme() {
                "https" => unseen("the server did not answer, so its certificate was not seen"),
                _ => plain_http(url),
            };
            [Line::warning("connect", plain(error), slow), tls]
        }
    }
}

/// The words of an error without its title.
fn plain(error: &SendError) -> String {
    match error {
        SendError::Unreachable(why) => why.clone(),
        other => unanswered(other).message,
    }
}

fn tls(url: &Url, look: &Look, now: DateTime<Utc>) -> Line {
    match &look.certificate {
        _ if url.scheme() != "https" => plain_http(url),
        Some(dates) => server_certificate(dates, now),
        None => Line::ok("tls", "the server's certificate holds; its dates were not seen"),
    }
}

fn plain_http(url: &Url) -> Line {
    match is_loopback(url) {
        true => Line::ok("tls", "none: plain HTTP on this machine"),
        false => Line::warning(
            "tls",
            "none: credentials and records travel in the clear",
            "Write https:// in `base_url` if the server speaks it.",
        ),
    }
}

fn server_certificate(dates: &Dates, now: DateTime<Utc>) -> Line {
    let left = dates.not_after - now;
    let life = dates.not_after - dates.not_before;
    let ends =
        format!("the server's certificate ({}) holds until {}, {}", dates.subject, day(dates.not_after), days(left));
    let line = match left < RENEWED_BEFORE.min(life / 5) {
        true => Line::warning(
            "tls",
            ends,
            "The server's operator has to renew it; after its end every call fails (RK0202).",
        ),
        false => Line::ok("tls", ends),
    };
    line.fact("subject", dates.subject.clone())
        .fact("not_before", json!(dates.not_before))
        .fact("not_after", json!(dates.not_after))
        .fact("days_left", left.num_days())
}

/// Our own certificate, where there is one or the server wants one.
pub fn client_certificate(
    own: Option<Certificate>,
    look: Option<&Result<Look, SendError>>,
    now: DateTime<Utc>,
) -> Option<Line> {
    const CHECK: &str = "client_certificate";
    let refusal = match look {
        Some(Err(error @ SendError::ClientRefused(_))) => Some(unanswered(error)),
        _ => None,
    };
    let Some(own) = own else {
        let help = "The server wants a client certificate: name one under `client_certificate` of the connection.";
        return refusal.map(|fault| Line::failed(CHECK, &fault).help(help));
    };
    let unusable = |why: String| Fault::halt(Code::ClientCertificate, Blame::Credentials, why);
    let (Some(from), Some(until)) = (own.not_before, own.not_after) else {
        let help = "Nothing was sent. Mend the files or the password under `client_certificate`.";
        return Some(Line::failed(CHECK, &unusable(own.trouble.unwrap_or_default())).help(help));
    };
    let subject = own.subject.unwrap_or_default();
    let ends = format!("{subject} holds until {}, {}", day(until), days(until - now));
    let renew =
        "Have it renewed, and put the new files in the place of the old ones: they are taken up without a restart.";
    let line = match refusal {
        _ if until < now => Line::failed(CHECK, &unusable(format!("{subject} ended at {}", day(until)))).help(renew),
        Some(fault) => {
            let help = "Compare its subject and its authority with what the server's operator lets in.";
            let failed = Line::failed(CHECK, &fault);
            Line { seen: format!("{}; {ends}", failed.seen), ..failed }.help(help)
        }
        None if now < from => Line::warning(
            CHECK,
            format!("{subject} holds from {} on", day(from)),
            "Wait until then, or put a certificate there that holds now; see also whether this machine's clock is right.",
        ),
        None if own.warning => Line::warning(CHECK, ends, renew),
        None => Line::ok(CHECK, ends),
    };
    Some(line.fact("subject", subject).fact("not_after", json!(until)).fact("days_left", own.days_left))
}

/// The server's clock beside ours, by an answer that came at `now`.
pub fn clock(headers: Option<&HeaderMap>, now: DateTime<Utc>) -> Line {
    let Some(headers) = headers else { return Line::not_tried("clock", UNREACHED) };
    let Some(date) = fresh_date(headers) else {
        return Line::not_tried("clock", "the server's answer tells no time of day");
    };
    // Half of what is cut off.
    let off = date + TimeDelta::milliseconds(500) - now;
    let seconds = (off.num_milliseconds() as f64 / 1000.0).round() as i64;
    let line = match off.abs() <= SKEW {
        true => Line::ok("clock", format!("within {} s of the server's", seconds.abs().max(1))),
        false => {
            let way = if seconds > 0 { "behind" } else { "ahead of" };
            Line::warning(
                "clock",
                format!("this machine's clock is {} {way} the server's", span(off.abs())),
                "Set this machine's clock (timedatectl shows whether it follows a time server). renkei reads windows and \
                 signs by the server's time, but the ends of certificates, schedules and logs go by this clock.",
            )
        }
    };
    line.fact("offset_seconds", seconds)
}
