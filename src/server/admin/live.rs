//! Live events, as server-sent events (WHATWG HTML, "Server-sent events"). A listener has no queue: it asks the ring for what came after the
//! last one it took, so one that is slow falls behind, is told what it lost, and is let go; it may come back and go on from there.

use std::{convert::Infallible, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{Desk, call::Call, problem::Problem};
use crate::{
    engine::Stop,
    model::Code,
    server::{
        events::{EventId, News},
        hub::Hub,
    },
};

/// A sign of life goes out after so long without an event, so that a line that broke is noticed.
const SILENCE_MAX: Duration = Duration::from_secs(15);
const LAST_EVENT_ID: &str = "last-event-id";

struct Listener {
    hub: std::sync::Arc<Hub>,
    seen: EventId,
    stop: Stop,
    /// Nothing more is said after this.
    over: bool,
    _place: OwnedSemaphorePermit,
}

pub async fn events(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let place = desk.listeners.clone().try_acquire_owned().map_err(|_| {
        let detail = "too many listen already";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::AdminBusy, detail, "try again when one has gone")
            .with(header::RETRY_AFTER, HeaderValue::from_static("5"))
    })?;
    let seen = match call.headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default()) {
        None | Some("") => desk.hub.events.now(),
        Some(id) => id.parse().map_err(|()| {
            Problem::request(format!("Last-Event-ID: `{}` is no id of an event", id.escape_debug()), "leave it out")
        })?,
    };
    let listener = Listener { hub: desk.hub.clone(), seen, stop: desk.stop.clone(), over: false, _place: place };
    let parts = stream::unfold(Some((listener, true)), |told| async move {
        let (mut listener, is_first) = told?;
        if listener.over {
            return None;
        }
        // The head of the answer leaves with the first part, so that a listener knows that it is heard.
        let text = if is_first { ": listening\n\n".to_owned() } else { listener.next().await? };
        Some((Ok::<_, Infallible>(Bytes::from(text)), Some((listener, false))))
    });
    let mut response = Response::new(Body::from_stream(parts));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

impl Listener {
    /// What is to be said next; nothing when the service stops.
    async fn next(&mut self) -> Option<String> {
        let news = tokio::select! {
            biased;
            () = self.stop.wait() => return None,
            news = timeout(SILENCE_MAX, self.hub.events.after(self.seen)) => news,
        };
        let Ok(News { lost, events }) = news else { return Some(": here\n\n".to_owned()) };
        if lost > 0 {
            self.over = true;
            // The id is of the event before the ones that are still there, so who comes back goes on with them.
            let before = events.first().map_or(self.seen, |first| first.id.before());
            return Some(format!("id: {before}\nevent: lost\ndata: {{\"lost\":{lost}}}\n\n"));
        }
        let mut text = String::new();
        for event in events {
            text.push_str(&format!("id: {}\nevent: {}\ndata: {}\n\n", event.id, event.kind, event.data));
            self.seen = event.id;
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::{engine::Stopper, model::SystemClock};

    #[tokio::test]
    async fn a_listener_that_fell_behind_is_told_what_it_lost_and_goes_on_with_the_id_that_it_got() {
        let hub = Arc::new(Hub::new(Arc::new(SystemClock)));
        let (_stopper, stop) = Stopper::new();
        let listener =
            |seen, place| Listener { hub: hub.clone(), seen, stop: stop.clone(), over: false, _place: place };
        let places = Arc::new(Semaphore::new(2));
        let place = || places.clone().try_acquire_owned().unwrap();
        let mut slow = listener(hub.events.now(), place());
        (0..1_003).for_each(|n| hub.tell("run_ended", json!({ "n": n })));
        let lost = slow.next().await.unwrap();
        assert!(slow.over && lost.contains("event: lost\ndata: {\"lost\":3}\n"), "{lost}");
        let id = lost.lines().next().unwrap().trim_start_matches("id: ");
        let mut back = listener(id.parse().unwrap(), place());
        let news = back.next().await.unwrap();
        assert!(!back.over && news.matches("event: run_ended").count() == 1_000 && news.contains("\"n\":1002"));
    }
}
