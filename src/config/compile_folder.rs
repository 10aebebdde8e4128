//! Folders of files, and the pipelines that write to them.

use super::{
    check::Check,
    diagnostic::Problem,
    fill::HOLE,
    plan::{ColumnKind, FileColumn, Files, Folder, Place},
    raw_folder::{RawCsvFolder, RawJsonl, RawParquetFolder},
    raw_pipeline::RawTo,
    shape::Spanned,
    units::Size,
};
use crate::model::Code;

const SEGMENT_BYTES: u64 = 128 << 20;
/// Of files that are put together in memory.
const WHOLE_BYTES: u64 = 8 << 20;
const WHOLE_BYTES_MAX: u64 = 64 << 20;
/// More digits than this are no decimal of Parquet that everybody reads.
const DIGITS_MAX: u8 = 38;

impl Check<'_> {
    pub(super) fn jsonl(&self, name: &Spanned<String>, raw: &RawJsonl) -> Folder {
        let rotate_bytes = self.segment(raw.rotate.as_ref());
        Folder {
            name: name.value.clone(),
            place: Place::Path(self.place(&raw.path)),
            rotate_bytes,
            form: Files::JsonLines,
        }
    }

    pub(super) fn csv_folder(&self, name: &Spanned<String>, csv: &Spanned<RawCsvFolder>) -> Folder {
        let RawCsvFolder { path, rotate, separator } = &csv.value;
        let rotate_bytes = self.segment(rotate.as_ref());
        let form = Files::Csv(self.separator(separator.as_ref()));
        Folder { name: name.value.clone(), place: Place::Path(self.place(path)), rotate_bytes, form }
    }

    pub(super) fn parquet_folder(&self, name: &Spanned<String>, raw: &RawParquetFolder) -> Folder {
        let rotate_bytes = self.whole_file(raw.rotate.as_ref());
        let place = Place::Path(self.place(&raw.path));
        Folder { name: name.value.clone(), place, rotate_bytes, form: Files::Parquet }
    }

    fn segment(&self, rotate: Option<&Spanned<Size>>) -> u64 {
        self.size(rotate, SEGMENT_BYTES, 1000..=100_000_000_000)
    }

    /// The size of a file that is written whole.
    pub(super) fn whole_file(&self, rotate: Option<&Spanned<Size>>) -> u64 {
        self.size(rotate, WHOLE_BYTES, 1000..=WHOLE_BYTES_MAX)
    }

    pub(super) fn separator(&self, typed: Option<&Spanned<String>>) -> char {
        let Some(typed) = typed else { return ',' };
        let may = |letter: char| !letter.is_alphanumeric() && !matches!(letter, '"' | '\n' | '\r' | '.' | '-' | '+');
        let mut letters = typed.value.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) if may(letter) => letter,
            _ if typed.value.contains(HOLE) => ',',
            _ => {
                let message = format!("`{}` cannot stand between cells", typed.value);
                let help =
                    "write one character that is no letter, digit, quote or part of a number, such as `;` or `\"\\t\"`";
                self.report(Problem::new(Code::OutOfRange, typed.span, message).help(help));
                ','
            }
        }
    }

    /// The columns of a file are told by the pipeline: records have fields in any order, and not all of them. None for JSON Lines.
    pub(super) fn file_columns(&self, folder: &Folder, to: &RawTo, file: &Spanned<String>) -> Vec<FileColumn> {
        if folder.form == Files::JsonLines {
            return Vec::new();
        }
        let names: Vec<&Spanned<String>> =
            to.fields.iter().flat_map(|fields| fields.iter()).map(|(name, _)| name).collect();
        if names.is_empty() {
            let help = "write `fields: { .. }`: their names are the columns, in this order";
            self.missing_key(file.span, file.span, "fields", help);
        }
        for (name, _) in to.columns.iter().flat_map(|columns| columns.iter()) {
            if !names.iter().any(|field| field.value == name.value) {
                let message = format!("the column `{}` is not among `fields`", name.value);
                let help = super::suggest::or_list(
                    &name.value,
                    names.iter().map(|name| name.value.as_str()),
                    "the fields are",
                );
                self.report(Problem::new(Code::UnknownName, name.span, message).help(help));
            }
        }
        let kind = |name: &str| {
            let typed = to.columns.as_ref().and_then(|columns| columns.get(name));
            typed.map_or(ColumnKind::Text, |(_, typed)| self.column_kind(typed))
        };
        names.into_iter().map(|name| FileColumn { name: name.value.clone(), kind: kind(&name.value) }).collect()
    }

    fn column_kind(&self, typed: &Spanned<String>) -> ColumnKind {
        let text = typed.value.trim();
        match text {
            "text" => ColumnKind::Text,
            "json" => ColumnKind::Json,
            "boolean" => ColumnKind::Boolean,
            "bigint" => ColumnKind::BigInt,
            "double" => ColumnKind::Double,
            "date" => ColumnKind::Date,
            "timestamp" => ColumnKind::Timestamp,
            _ => decimal(text).unwrap_or_else(|| {
                let message = format!("`{text}` is no type of a Parquet column");
                let help =
                    "write text, json, boolean, bigint, double, decimal(12,2) with up to 38 digits, date or timestamp";
                self.report(Problem::new(Code::OutOfRange, typed.span, message).help(help));
                ColumnKind::Text
            }),
        }
    }
}

fn decimal(text: &str) -> Option<ColumnKind> {
    let (digits, behind) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (digits, behind): (u8, u8) = (digits.trim().parse().ok()?, behind.trim().parse().ok()?);
    ((1..=DIGITS_MAX).contains(&digits) && behind <= digits).then_some(ColumnKind::Decimal(digits, behind))
}
