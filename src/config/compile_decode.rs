//! How answers are written: formats, charsets, and what a stream can be told by which of them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    check::Check,
    diagnostic::Problem,
    plan::{Charset, Decode, EmptyCell, Form, Format, Incremental, Large, NextToken, Packed, Paginate, Table},
    raw_decode::{RawCompressed, RawDecode, RawEmptyCell, RawLarge, RawTable},
    raw_stream::RawStream,
    shape::Spanned,
    source::Span,
};
use crate::model::Code;

const HOUR: Duration = Duration::from_secs(3600);
const COLUMNS_MAX: usize = 10_000;

impl Check<'_> {
    /// How a stream's answers are written. What it says about its pages must be there to be found.
    pub fn answer_form(&self, raw: &RawStream, paginate: &Paginate, incremental: Option<&Incremental>) -> Form {
        let decode = raw.decode.as_ref().map(|decode| self.decode(decode));
        if let (Some(declared), Some(Decode { format: Format::JsonLines | Format::Csv(_), .. })) =
            (&raw.decode, &decode)
        {
            self.nothing_around(declared.span, raw, paginate, incremental);
        }
        if let (
            Some(large),
            Paginate::Page { .. } | Paginate::Offset { .. } | Paginate::Cursor { next: NextToken::LastRecord(_), .. },
        ) = (&raw.large, paginate)
        {
            let help = "page by `next_url`, `link` or `cursor: { next }`, or let one answer hold everything";
            self.unreadable(large.span, "the pages of a large answer cannot be counted by their records", help);
        }
        let export = raw.export.as_ref().and_then(|export| self.export(export, raw, paginate, incremental));
        let large = raw.large.as_ref().map(|large| self.large(&large.value));
        Form { decode, large, export: export.map(Arc::new) }
    }

    fn decode(&self, raw: &Spanned<RawDecode>) -> Decode {
        let RawDecode { json_lines, csv, charset, compressed } = &raw.value;
        if let (Some(lines), Some(_)) = (json_lines, csv) {
            self.conflict(lines.span, "an answer has one format", "keep either `json_lines` or `csv`");
        }
        let format = match (csv, json_lines) {
            (Some(csv), _) => Format::Csv(self.table(&csv.value)),
            (None, Some(_)) => Format::JsonLines,
            (None, None) => Format::Json,
        };
        let charset = charset.as_ref().map(|name| {
            Charset::named(&name.value).unwrap_or_else(|| {
                let help =
                    "write a name of the WHATWG Encoding Standard, such as `shift_jis`, `euc-jp` or `windows-1252`";
                self.unreadable(name.span, &format!("`{}` is no known charset", name.value.escape_debug()), help);
                Charset::UTF_8
            })
        });
        let packed = match compressed {
            None => Packed::No,
            Some(RawCompressed::Gzip) => Packed::Gzip,
            Some(RawCompressed::Zip) => Packed::Zip,
        };
        Decode { format, charset: charset.unwrap_or(Charset::UTF_8), packed }
    }

    fn table(&self, raw: &RawTable) -> Table {
        let sign = |written: &Option<Spanned<String>>, default: u8| {
            let Some(written) = written else { return default };
            match written.value.as_bytes() {
                [sign] if sign.is_ascii() && !matches!(sign, b'\r' | b'\n' | 0) => *sign,
                _ => {
                    let help = "write one ASCII character that is no line break, such as `;` or \"\\t\"";
                    self.unreadable(written.span, "this is no sign that CSV can be written with", help);
                    default
                }
            }
        };
        let (separator, quote) = (sign(&raw.separator, b','), sign(&raw.quote, b'"'));
        if let Some(span) =
            raw.quote.as_ref().or(raw.separator.as_ref()).map(|sign| sign.span).filter(|_| separator == quote)
        {
            self.conflict(span, "separator and quote are the same", "give each a character of its own");
        }
        let mut seen = BTreeSet::new();
        for column in &raw.columns {
            if column.value.is_empty() || !seen.insert(&column.value) {
                let help = "give every column a name of its own";
                self.unreadable(
                    column.span,
                    &format!("the column `{}` cannot be told from others", column.value),
                    help,
                );
            }
        }
        if let Some(beyond) = raw.columns.get(COLUMNS_MAX) {
            self.unreadable(beyond.span, "more columns than a row may have", "declare at most 10000 columns");
        }
        let columns: Vec<String> = raw.columns.iter().map(|column| column.value.clone()).collect();
        let empty = match raw.empty {
            None => EmptyCell::Null,
            Some(RawEmptyCell::Absent) => EmptyCell::Absent,
            Some(RawEmptyCell::Text) => EmptyCell::Text,
        };
        Table { columns: Some(columns).filter(|columns| !columns.is_empty()), separator, quote, empty }
    }

    /// Rows and lines have nothing around them, so an answer of them cannot say where the next page is.
    fn nothing_around(&self, at: Span, raw: &RawStream, paginate: &Paginate, incremental: Option<&Incremental>) {
        if let Some(records) = &raw.records {
            let help = "an answer in rows or lines is nothing but records: remove `records`";
            self.conflict(records.span, "`records` is a place in JSON", help);
        }
        let asks = match paginate {
            Paginate::Cursor { next, more, .. } => matches!(next, NextToken::Body(_)) || more.is_some(),
            Paginate::NextUrl { .. } => true,
            Paginate::Page { more, total_pages, .. } => more.is_some() || total_pages.is_some(),
            Paginate::Offset { more, total, .. } => more.is_some() || total.is_some(),
            Paginate::None | Paginate::Link => false,
        };
        if asks {
            let help = "page by `link`, by `page` or `offset` with a size, or by `cursor: { last }`";
            self.unreadable(at, "an answer in rows or lines has no place that tells of the next page", help);
        }
        if matches!(incremental, Some(Incremental::Token { .. })) {
            let help = "use a field of the records: `incremental: { field, format }`";
            self.unreadable(at, "an answer in rows or lines has no place for a token of changes", help);
        }
    }

    fn large(&self, raw: &RawLarge) -> Large {
        Large {
            bytes_max: self.size(raw.bytes_max.as_ref(), 8 << 30, 1 << 20..=1 << 40),
            silence_max: self.time(raw.silence_max.as_ref(), HOUR / 60, Duration::from_millis(100)..=HOUR),
            time_max: self.time(raw.time_max.as_ref(), 2 * HOUR, Duration::from_secs(1)..=24 * HOUR),
        }
    }

    fn unreadable(&self, at: Span, message: &str, help: &str) {
        self.report(Problem::new(Code::AnswerForm, at, message).help(help));
    }
}
