//! Spans and lines as protobuf, and what a collector answers. The field numbers are those of opentelemetry-proto 1.9 (read
//! 2026-11-25); a test has the types that OpenTelemetry publishes read what is written here.
//!
//! A writer of its own, because it is a page: a message is its fields, a field is a number, a type and bytes. Fields that hold
//! nothing are left out, as protobuf has it.

use tracing::Level;

use super::line::{Attribute, Kind, LogLine, Resource, SpanLine, Value};
use crate::telemetry::trace_context::TraceContext;

/// A message under way.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, field: u32, wire: u32) {
        self.varint(u64::from(field << 3 | wire));
    }

    fn number(&mut self, field: u32, value: u64) {
        self.tag(field, 0);
        self.varint(value);
    }

    fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn text(&mut self, field: u32, value: &str) {
        if !value.is_empty() {
            self.bytes(field, value.as_bytes());
        }
    }

    fn message(&mut self, field: u32, fill: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }

    /// A KeyValue.
    fn attribute(&mut self, field: u32, (name, value): &Attribute) {
        self.message(field, |pair| {
            match name.contains('.') {
                true => pair.text(1, name),
                false => pair.text(1, &format!("renkei.{name}")),
            }
            pair.message(2, |any| any.value(value));
        });
    }

    /// The fields of an AnyValue. One that is empty or zero is said all the same: it is a choice that was made.
    fn value(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.bytes(1, text.as_bytes()),
            Value::Bool(is) => self.number(2, u64::from(*is)),
            Value::Int(number) => self.number(3, number.cast_unsigned()),
            Value::Float(number) => self.fixed64(4, number.to_bits()),
        }
    }
}

/// A request with one resource and one scope: `fill` puts the items into the scope's message.
fn request(resource: &Resource, fill: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |of_resource| {
        of_resource.message(1, |message| {
            for (name, value) in &resource.0 {
                message.message(1, |pair| {
                    pair.text(1, name);
                    pair.message(2, |any| any.bytes(1, value.as_bytes()));
                });
            }
        });
        of_resource.message(2, |of_scope| {
            of_scope.message(1, |scope| {
                scope.text(1, "renkei");
                scope.text(2, env!("CARGO_PKG_VERSION"));
            });
            fill(of_scope);
        });
    });
    request.0
}

/// An ExportTraceServiceRequest.
pub fn traces(resource: &Resource, spans: &[SpanLine]) -> Vec<u8> {
    request(resource, |scope| spans.iter().for_each(|span| scope.message(2, |message| write_span(message, span))))
}

/// An ExportLogsServiceRequest.
pub fn logs(resource: &Resource, lines: &[LogLine]) -> Vec<u8> {
    request(resource, |scope| lines.iter().for_each(|line| scope.message(2, |message| write_line(message, line))))
}

fn flags(context: &TraceContext) -> u32 {
    u32::from(context.sampled)
}

fn write_span(message: &mut Message, span: &SpanLine) {
    message.bytes(1, &span.context.trace.0);
    message.bytes(2, &span.context.span.0);
    message.text(3, span.context.state.as_deref().unwrap_or_default());
    if let Some(parent) = span.parent {
        message.bytes(4, &parent.0);
    }
    message.text(5, &span.name);
    message.number(
        6,
        match span.kind {
            Kind::Internal => 1,
            Kind::Server => 2,
            Kind::Client => 3,
        },
    );
    message.fixed64(7, span.began_ns);
    message.fixed64(8, span.ended_ns);
    span.attributes.iter().for_each(|attribute| message.attribute(9, attribute));
    for link in &span.links {
        message.message(13, |message| {
            message.bytes(1, &link.trace.0);
            message.bytes(2, &link.span.0);
            message.fixed32(6, flags(link));
        });
    }
    if span.is_error {
        message.message(15, |status| status.number(3, 2));
    }
    message.fixed32(16, flags(&span.context));
}

fn write_line(message: &mut Message, line: &LogLine) {
    let (number, text) = match line.level {
        Level::TRACE => (1, "TRACE"),
        Level::DEBUG => (5, "DEBUG"),
        Level::INFO => (9, "INFO"),
        Level::WARN => (13, "WARN"),
        Level::ERROR => (17, "ERROR"),
    };
    message.fixed64(1, line.at_ns);
    message.number(2, number);
    message.text(3, text);
    message.message(5, |any| any.bytes(1, line.body.as_bytes()));
    line.attributes.iter().for_each(|attribute| message.attribute(6, attribute));
    if let Some(context) = &line.context {
        message.fixed32(8, flags(context));
        message.bytes(9, &context.trace.0);
        message.bytes(10, &context.span.0);
    }
    message.fixed64(11, line.at_ns);
}

/// How many of a request's items a collector did not take, and why, by the answer to one that it took. An answer that cannot be
/// read takes nothing back.
pub fn partial(body: &[u8]) -> (u64, String) {
    let inner = fields(body).find_map(|(field, value)| match value {
        Read::Bytes(bytes) if field == 1 => Some(bytes),
        _ => None,
    });
    let mut partial = (0, String::new());
    for (field, value) in fields(inner.unwrap_or_default()) {
        match (field, value) {
            (1, Read::Number(count)) => partial.0 = u64::try_from(count.cast_signed()).unwrap_or_default(),
            (2, Read::Bytes(text)) => partial.1 = String::from_utf8_lossy(text).into_owned(),
            _ => {}
        }
    }
    partial
}

enum Read<'b> {
    Number(u64),
    Bytes(&'b [u8]),
    Other,
}

/// The fields of a message, as far as they can be read.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Read<'_>)> {
    std::iter::from_fn(move || {
        let tag = read_varint(&mut rest)?;
        let value = match tag & 7 {
            0 => Read::Number(read_varint(&mut rest)?),
            1 => rest.split_off(..8).map(|_| Read::Other)?,
            2 => {
                let length = usize::try_from(read_varint(&mut rest)?).ok()?;
                Read::Bytes(rest.split_off(..length)?)
            }
            5 => rest.split_off(..4).map(|_| Read::Other)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    })
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(count: u64, text: &str) -> Vec<u8> {
        let mut message = Message::default();
        message.fixed32(9, 7);
        message.message(1, |partial| {
            partial.number(1, count);
            partial.text(2, text);
        });
        message.0
    }

    #[test]
    fn what_a_collector_did_not_take_is_read_and_nonsense_takes_nothing_back() {
        assert_eq!(partial(&answer(300, "too old")), (300, "too old".to_owned()));
        assert_eq!(partial(&answer(0, "slow down")), (0, "slow down".to_owned()));
        assert_eq!(partial(&answer(u64::MAX, "")), (0, String::new()), "less than none");
        let whole = answer(300, "too old");
        for cut in 0..whole.len() {
            let _ = partial(&whole[..cut]);
        }
        for bad in [&b""[..], b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"{}", b"\x0a\xff\xff\x03", b"<html>"] {
            assert_eq!(partial(bad), (0, String::new()), "{bad:?}");
        }
    }
}
