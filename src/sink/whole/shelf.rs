//! Where whole files are put.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use super::bucket::BucketPlace;
use crate::{
    model::{Blame, Code, Fault, Mark},
    sink::segments::Segments,
};

/// A folder of this machine, or a bucket.
pub enum Shelf {
    Folder(FolderPlace),
    Bucket(Box<BucketPlace>),
}

/// Files of one name and ending in a folder.
pub struct FolderPlace {
    folder: PathBuf,
    name: String,
    ending: &'static str,
    /// Locked from the first `agree` on, for as long as this value lives.
    segments: Arc<Mutex<Option<Segments>>>,
}

impl Shelf {
    pub fn folder(folder: PathBuf, name: String, ending: &'static str) -> Self {
        Self::Folder(FolderPlace { folder, name, ending, segments: Arc::default() })
    }

    /// Takes away what no commit vouched for, and returns the number of the file that is next. Without a mark no file may be there,
    /// for nobody knows whose it is.
    pub async fn agree(&self, mark: Option<Mark>) -> Result<u64, Fault> {
        match self {
            Self::Folder(place) => place.blocking(move |segments| Ok(segments.agree_whole(mark)?.segment)).await,
            Self::Bucket(place) => place.agree(mark.map(|mark| mark.segment)).await,
        }
    }

    /// Writes a file: it is there with all its bytes when this returns.
    pub async fn put(&self, number: u64, bytes: Vec<u8>) -> Result<(), Fault> {
        match self {
            Self::Folder(place) => place.blocking(move |segments| segments.put_whole(number, &bytes)).await,
            Self::Bucket(place) => place.put(number, bytes.into()).await,
        }
    }
}

impl FolderPlace {
    /// Does file calls off the asynchronous threads.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Segments) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (slot, folder, name, ending) = (self.segments.clone(), self.folder.clone(), self.name.clone(), self.ending);
        let called = tokio::task::spawn_blocking(move || {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let segments = match slot.take() {
                Some(segments) => segments,
                None => Segments::lock(&folder, &name, ending)?,
            };
            call(slot.insert(segments))
        });
        called.await.unwrap_or_else(|_| Err(Fault::halt(Code::Bug, Blame::Bug, "a file call panicked")))
    }
}
