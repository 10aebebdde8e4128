//! Records on their way to one file, whatever its form.

use std::sync::Arc;

use super::sheet::Sheet;
use crate::{
    config::plan::FileColumn,
    model::{Fault, Fields, Reason},
    sink::FileForm,
};

/// What a file that is written whole holds.
#[derive(Clone, Debug)]
pub enum WholeForm {
    Lines(FileForm),
    Parquet(Arc<[FileColumn]>),
}

impl WholeForm {
    /// The ending of file names.
    pub fn ending(&self) -> &'static str {
        match self {
            Self::Lines(form) => form.ending(),
            Self::Parquet(_) => "parquet",
        }
    }

    /// The media type. That of Parquet is registered with IANA since 2024.
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::Lines(FileForm::JsonLines) => "application/x-ndjson",
            Self::Lines(FileForm::Csv { .. }) => "text/csv; charset=utf-8",
            Self::Parquet(_) => "application/vnd.apache.parquet",
        }
    }

    pub fn draft(&self) -> Draft {
        match self {
            Self::Lines(form) => Draft::Lines { form: form.clone(), bytes: Vec::new() },
            Self::Parquet(columns) => Draft::Parquet(Sheet::new(columns.clone())),
        }
    }
}

/// A file that is not written yet.
#[derive(Debug)]
pub enum Draft {
    Lines { form: FileForm, bytes: Vec<u8> },
    Parquet(Sheet),
}

impl Draft {
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Lines { bytes, .. } => bytes.is_empty(),
            Self::Parquet(sheet) => sheet.is_empty(),
        }
    }

    /// Adds one record, or says why it cannot be written: then nothing of it was added.
    pub fn push(&mut self, record: &Fields) -> Result<(), Reason> {
        match self {
            Self::Lines { form, bytes } => {
                form.push(bytes, record);
                Ok(())
            }
            Self::Parquet(sheet) => sheet.push(record),
        }
    }

    /// The file's bytes.
    pub fn finish(self) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Lines { form, bytes } => Ok([form.head(), bytes].concat()),
            Self::Parquet(sheet) => sheet.finish(),
        }
    }
}
