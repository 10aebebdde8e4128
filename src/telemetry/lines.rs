//! Log lines as JSON, one object each. A line that is written within a run names the run and its pipeline, and the trace and span
//! that it belongs to where there is a trace; what the line itself says under such a name wins.

use std::{fmt, sync::Arc};

use chrono::SecondsFormat;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{RUN, spans::ids_around};
use crate::model::Clock;

/// Takes a whole line with its end.
pub type WriteLine = Arc<dyn Fn(&[u8]) + Send + Sync>;

pub struct Lines {
    clock: Arc<dyn Clock>,
    write: WriteLine,
}

impl Lines {
    pub fn new(clock: Arc<dyn Clock>, write: WriteLine) -> Self {
        Self { clock, write }
    }
}

/// What a span around a run says of it.
struct Names(Map<String, Value>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().target() != RUN {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        fields.0.retain(|name, _| matches!(name.as_str(), "run" | "pipeline"));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Names(fields.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Fields::default();
        let now = self.clock.now().to_rfc3339_opts(SecondsFormat::Micros, true);
        line.0.insert("timestamp".to_owned(), now.into());
        line.0.insert("level".to_owned(), metadata.level().as_str().into());
        event.record(&mut line);
        line.0.insert("target".to_owned(), metadata.target().into());
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some((trace, span)) = ids_around(&span) {
                line.add("trace_id", trace.to_string().into());
                line.add("span_id", span.to_string().into());
            }
            let extensions = span.extensions();
            if let Some(Names(names)) = extensions.get::<Names>() {
                names.iter().for_each(|(name, value)| line.add(name, value.clone()));
            }
        }
        let mut text = Value::Object(line.0).to_string();
        text.push('\n');
        (self.write)(text.as_bytes());
    }
}

/// The fields of a line as JSON.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn add(&mut self, name: &str, value: Value) {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), value);
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::model::SystemClock;

    /// The lines that `work` writes.
    fn lines(work: impl FnOnce()) -> Vec<Value> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let shared = written.clone();
        let write: WriteLine = Arc::new(move |line: &[u8]| {
            assert_eq!(line.last(), Some(&b'\n'));
            shared.lock().unwrap().push(serde_json::from_slice(line).unwrap());
        });
        let layer = Lines::new(Arc::new(SystemClock), write);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        written.lock().unwrap().clone()
    }

    #[test]
    fn a_line_within_a_run_names_it_however_deep_and_no_other_line_does() {
        let all = lines(|| {
            tracing::info!(count = 3, share = 0.5, name = "a\"b\nc", is = true, "before");
            let run = tracing::error_span!(target: RUN, "run", run = "id-1", pipeline = "leads", other = 7);
            let _run = run.enter();
            let deeper = tracing::error_span!("deeper", pipeline = "not this one");
            let _deeper = deeper.enter();
            tracing::warn!(why = ?"x", "within");
            tracing::error!(run = "said itself", "own");
        });
        let [before, within, own] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!(
            (&before["message"], &before["count"], &before["share"]),
            (&"before".into(), &3.into(), &0.5.into())
        );
        assert_eq!(
            (&before["name"], &before["is"], &before["level"]),
            (&"a\"b\nc".into(), &true.into(), &"INFO".into())
        );
        assert!(before.get("run").is_none() && before.get("pipeline").is_none());
        assert_eq!((&within["run"], &within["pipeline"]), (&"id-1".into(), &"leads".into()));
        assert!(within.get("other").is_none());
        assert_eq!((&own["run"], &own["pipeline"]), (&"said itself".into(), &"leads".into()));
        assert!(before["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
