//! How a trace is told to a person: what happened in time order, what is open now, how far the history goes back, and what to
//! type next.

use chrono::{DateTime, Utc};

use super::{
    format,
    letters::{kind, why},
    links::content,
    output::{Output, Paint, printable},
    trace::{Account, Event, Staged, Verdicted, passed, verdicted},
};
use crate::store::{About, Asks, Deed, Hop, Pass, Sending, Why};

/// Label and value under an event.
type Fact = (&'static str, String);

pub fn tell(key: &str, accounts: &[Account], output: &Output) {
    let paint = Paint(output.color_stdout);
    for (at, account) in accounts.iter().enumerate() {
        if at > 0 {
            output.line("");
        }
        let to = account.to.as_deref().map_or("no longer in pipelines/".to_owned(), |to| format!("to {to}"));
        let name = format!("{} in {}", printable(key), account.stream.pipeline);
        output.line(format_args!("{} (stream {}, {to})", paint.bold(name), account.stream.stream));
        if account.earlier > 0 {
            let all = account.earlier + account.events.len();
            output.line(format_args!("{} earlier ones: --limit {all}", account.earlier));
        }
        for group in groups(&account.events) {
            tell_group(group, paint, output);
        }
        tell_now(account, paint, output);
    }
}

/// Neighbouring events that say the same: a record that stays unchanged is told once.
fn groups(events: &[Event]) -> impl Iterator<Item = &[Event]> {
    events.chunk_by(|a, b| match (a, b) {
        (Event::Pass(a), Event::Pass(b)) => a.why == b.why,
        _ => false,
    })
}

fn tell_group(group: &[Event], paint: Paint, output: &Output) {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
    let (head, facts) = match last {
        Event::Hop(hop) => (hop_head(&hop.1, paint), hop_facts(&hop.0, &hop.1)),
        Event::Pass(pass) => (pass_head(pass, group.len(), first.at(), paint), vec![("run", pass.run.clone())]),
    };
    output.line(format_args!("{}  {head}", format::time(last.at())));
    for (label, value) in facts {
        fact(label, &value, paint, output);
    }
}

fn fact(label: &str, value: &str, paint: Paint, output: &Output) {
    output.line(format_args!("    {} {}", paint.dim(format_args!("{label:<8}")), printable(value)));
}

fn hop_head(hop: &Hop, paint: Paint) -> String {
    let Verdicted { verdict, id, reason } = verdicted(&hop.verdict);
    match (reason, id.or(hop.sink_id.as_deref())) {
        (Some(reason), _) => format!("{}: {}", paint.red(verdict), why(reason)),
        (None, Some(id)) => format!("{} as {}", paint.green(verdict), printable(id)),
        (None, None) => paint.green(verdict),
    }
}

fn pass_head(pass: &Pass, times: usize, first: DateTime<Utc>, paint: Paint) -> String {
    let (verdict, words) = passed(&pass.why);
    let verdict = match pass.why {
        Why::Created | Why::Updated => paint.green(verdict),
        _ => paint.bold(verdict),
    };
    let times = match times {
        1 => String::new(),
        times => format!(", for the {} time in a row since {}", ordinal(times), format::time(first)),
    };
    format!("{verdict}{times}: {}", printable(words))
}

fn ordinal(number: usize) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

fn hop_facts(about: &About, hop: &Hop) -> Vec<Fact> {
    let settled = about.settled_at;
    let mut facts = vec![("run", about.run.clone())];
    if let Some(by) = &about.read_by {
        facts.push(("read by", format!("{by}, which left it staged; it may have sent it")));
    }
    if let Some(letter) = &hop.letter {
        facts.push(("from", format!("dead letter {letter}, replayed")));
    }
    let times = [("read", about.read_at), ("staged", about.staged_at), ("settled", Some(settled))];
    let times = times.into_iter().filter_map(|(what, at)| Some(format!("{what} {}", clock(at?, settled))));
    facts.push(("times", times.collect::<Vec<_>>().join(", ")));
    if let Some(state) = state(hop) {
        facts.push(("state", state));
    }
    if let Some(fields) = &hop.fields {
        facts.push(("fields", fields.get().to_owned()));
    }
    facts.extend(hop.sent.iter().map(|sending| (label(sending.asks), sent(sending, settled))));
    if hop.sent.is_empty() && about.staged_at.is_some() {
        facts.push(("sent", "nothing by this run".to_owned()));
    }
    facts
}

fn state(hop: &Hop) -> Option<String> {
    let count = match hop.generation {
        0 => "the sink had accepted none before".to_owned(),
        1 => "the sink had accepted one before".to_owned(),
        count => format!("the sink had accepted {count} before"),
    };
    let version = hop.version.as_ref().map(|version| format!("version {}, ", version.as_str()));
    let deed = match hop.deed {
        Deed::Write => "",
        Deed::Again => "back at the source after its deletion, ",
        Deed::Delete => "gone at the source, ",
    };
    (!hop.name.is_empty()).then(|| format!("{deed}{}{count}, named {}", version.unwrap_or_default(), hop.name))
}

fn label(asks: Asks) -> &'static str {
    match asks {
        Asks::Write => "sent",
        Asks::LookUp => "look-up",
        Asks::Read => "reading",
        Asks::Job => "job",
    }
}

/// `10:00:00.300 by create_lead: 201 after 120 ms, 2 attempts, with 99 others, under the key 3f2a`.
fn sent(sending: &Sending, day: DateTime<Utc>) -> String {
    let Sending { asks, operation, at, took_ms, status, found, attempts, records, key } = sending;
    let told = match (found, status) {
        (Some(found), _) => found.clone(),
        (None, Some(status)) => status.to_string(),
        (None, None) if *asks == Asks::Write => "no answer".to_owned(),
        (None, None) => "no usable answer".to_owned(),
    };
    let mut text = format!("{} by {operation}: {told} after {took_ms} ms", clock(*at, day));
    if *attempts > 1 {
        text.push_str(&format!(", {attempts} attempts"));
    }
    match records {
        0 | 1 => {}
        2 => text.push_str(", with one other"),
        many => text.push_str(&format!(", with {} others", many - 1)),
    }
    if let Some(key) = key {
        text.push_str(&format!(", under the key {key}"));
    }
    text
}

/// The time of day, with the date where it is another one than that of the event.
fn clock(at: DateTime<Utc>, day: DateTime<Utc>) -> String {
    let shape = if at.date_naive() == day.date_naive() { "%H:%M:%S%.3f" } else { "%Y-%m-%d %H:%M:%S%.3f" };
    at.format(shape).to_string()
}

fn tell_now(account: &Account, paint: Paint, output: &Output) {
    let mut facts: Vec<Fact> = account.staged.iter().map(|staged| ("staged", staged_now(staged))).collect();
    facts.extend(account.letters.iter().map(|letter| {
        let first = letter.first_at.unwrap_or(letter.at);
        let met = format!("met {} since {}", times(letter.times), format::time(first));
        ("letter", format!("{}, {}, {met}: {}", letter.id, kind(letter), why(&letter.reason)))
    }));
    if let Some(link) = &account.link {
        let id = link.sink_id.as_deref().map_or(String::new(), |id| format!("{id}, "));
        let states = if link.generation == 1 { "1 state".to_owned() } else { format!("{} states", link.generation) };
        facts.push(("link", format!("{id}{states} accepted, {}", content(link))));
    }
    if !facts.is_empty() {
        output.line(paint.bold("now"));
    }
    facts.iter().for_each(|(label, value)| fact(label, value, paint, output));
    output.line(format_args!("{} {}", paint.bold("history"), reach(account)));
    if let Some((what, command)) = account.next() {
        output.line(format_args!("{} {what}: {command}", paint.bold("next   ")));
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn staged_now(staged: &Staged) -> String {
    let by = staged.read_by.as_ref().map_or(String::new(), |by| format!(" by {by}"));
    let fields = staged.fields.as_ref().map_or(String::new(), |fields| format!(": {fields}"));
    let sent = match (&staged.reason, staged.maybe_sent) {
        (Some(reason), _) => format!("to be rejected: {}", why(reason)),
        (None, true) => "not sent, or sent and not answered".to_owned(),
        (None, false) => "answered, and not yet settled".to_owned(),
    };
    format!("at {}{by}, {sent}{fields}", format::time(staged.at))
}

fn reach(account: &Account) -> String {
    let since = &account.since;
    let told = |at: DateTime<Utc>| format!("since {} UTC", format::time(at));
    match (since.hops, since.passes) {
        (None, None) => "none is kept of this pipeline".to_owned(),
        (Some(hops), None) => told(hops),
        (None, Some(passes)) => told(passes),
        (Some(hops), Some(passes)) if hops == passes => told(hops),
        (Some(hops), Some(passes)) => {
            format!("of writes and refusals {}, of records without a write {}", told(hops), told(passes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordinals_and_days_are_named_where_they_differ() {
        let shown: Vec<String> = [1, 2, 3, 4, 11, 12, 21, 112].map(ordinal).into();
        assert_eq!(shown, ["1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "112th"]);
        let at = |second: i64| DateTime::from_timestamp(1_767_225_600 + second, 5_000_000).unwrap();
        assert_eq!(
            (clock(at(0), at(9)), clock(at(-1), at(9))),
            ("00:00:00.005".into(), "2025-12-31 23:59:59.005".into())
        );
    }
}
