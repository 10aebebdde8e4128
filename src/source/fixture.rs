//! A stream for the tests beside the code.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::cut::{Cut, cut};
use crate::{
    config::plan::{CursorField, CursorFormat, Incremental, Lag, RequestPlan, Stream},
    expr::Template,
    model::Path,
};

pub fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

/// Records at `data`, named by `id`, one page.
pub fn stream() -> Stream {
    let request = RequestPlan::new(Method::GET, "/leads", Template::compile("/leads").unwrap());
    Stream {
        records: path("data"),
        key: vec![path("id")],
        pages_max: 100,
        empty_pages_max: 2,
        ..Stream::new("leads", request)
    }
}

/// The same with a cursor field `at`, an overlap of ten seconds (or three) and five seconds to settle.
pub fn incremental(format: CursorFormat) -> Stream {
    let overlap = match format {
        CursorFormat::Integer => Lag::Count(3),
        _ => Lag::Time(Duration::from_secs(10)),
    };
    let field = CursorField {
        field: path("at"),
        format,
        days: None,
        ascending: false,
        overlap,
        settle: Duration::from_secs(5),
        since: Some("since".to_owned()),
        until: Some("until".to_owned()),
        start: None,
    };
    Stream { incremental: Some(Incremental::Field(field)), ..stream() }
}

pub fn field(stream: &mut Stream) -> &mut CursorField {
    match &mut stream.incremental {
        Some(Incremental::Field(field)) => field,
        _ => panic!("the stream has no cursor field"),
    }
}

pub fn cut_text(stream: &Stream, body: &str) -> Cut {
    cut(&Bytes::copy_from_slice(body.as_bytes()), &HeaderMap::new(), stream, &str::to_owned).unwrap()
}
