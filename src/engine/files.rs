//! Sinks that are files: lines that are added to, and files that are written whole.

use super::Engine;
use crate::{
    config::plan::{FileColumn, Files, Folder, Place},
    http::Priority,
    model::Fault,
    sink::{BucketPlace, Clear, FileForm, FileSink, Shelf, Sink, WholeForm, WholeSink},
};

impl Engine {
    pub(super) fn file(
        &self,
        folder: &Folder,
        (name, columns): (&str, &[FileColumn]),
        priority: Priority,
        clear: Clear,
    ) -> Result<Box<dyn Sink>, Fault> {
        let lines = match folder.form {
            Files::JsonLines => Some(FileForm::JsonLines),
            Files::Csv(separator) => {
                let columns = columns.iter().map(|column| column.name.clone()).collect();
                Some(FileForm::Csv { separator, columns })
            }
            Files::Parquet => None,
        };
        Ok(match (&folder.place, lines) {
            (Place::Path(path), Some(form)) => {
                let sink = FileSink::new(path.clone(), name.to_owned(), folder.rotate_bytes).form(form);
                Box::new(sink.clear(clear))
            }
            (place, lines) => {
                let form = lines.map_or_else(|| WholeForm::Parquet(columns.into()), WholeForm::Lines);
                let shelf = match place {
                    Place::Path(path) => Shelf::folder(path.clone(), name.to_owned(), form.ending()),
                    Place::S3(bucket) => {
                        let client = self.client(&bucket.api)?.at(priority);
                        let kind = (form.ending(), form.media_type());
                        Shelf::Bucket(Box::new(BucketPlace::new(client, bucket, name, kind)))
                    }
                };
                Box::new(WholeSink::new(shelf, form, folder.rotate_bytes).clear(clear))
            }
        })
    }
}
