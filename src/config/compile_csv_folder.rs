//! Folders of CSV files, and the pipelines that write to them.

use super::{
    check::Check, compile_connection::SEGMENT_BYTES, diagnostic::Problem, fill::HOLE, plan::Folder,
    raw_csv_folder::RawCsvFolder, raw_pipeline::RawTo, shape::Spanned,
};
use crate::model::Code;

impl Check<'_> {
    pub(super) fn csv_folder(&self, name: &Spanned<String>, csv: &Spanned<RawCsvFolder>) -> Folder {
        let RawCsvFolder { path, rotate, separator } = &csv.value;
        let rotate_bytes = self.size(rotate.as_ref(), SEGMENT_BYTES, 1000..=100_000_000_000);
        let separator = separator.as_ref().map_or(',', |typed| self.separator(typed));
        Folder { name: name.value.clone(), path: self.place(path), rotate_bytes, csv: Some(separator) }
    }

    fn separator(&self, typed: &Spanned<String>) -> char {
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

    /// The columns of a CSV file are told by the pipeline: records have fields in any order, and not all of them.
    pub(super) fn has_columns(&self, folder: &Folder, to: &RawTo, file: &Spanned<String>) {
        if folder.csv.is_some() && to.fields.as_ref().is_none_or(|fields| fields.is_empty()) {
            let help = "write `fields: { .. }`: their names are the columns, in this order";
            self.missing_key(file.span, file.span, "fields", help);
        }
    }
}
