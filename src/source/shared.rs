//! One reading for several targets. Pipelines of one file that are at work at the same time ask for the same pages at the same
//! checkpoints: the first one reads, the others take what it read. None waits for another: who falls behind by more than what is
//! kept reads for itself.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::OnceCell, time::Instant};

use super::Source;
use crate::model::{BoxFuture, Checkpoint, Fault, Page};

/// Pages that are kept for others.
const PAGES: usize = 8;
/// How much they hold together; the newest is kept in any case.
const BYTES: usize = 16 << 20;
/// Who begins later than this looks for itself what has changed.
const BEGINS: Duration = Duration::from_secs(5);
/// The same within a listing, whose end is where it began to be read.
const FRESH: Duration = Duration::from_secs(60);

/// The readings that are under way, by the files of their pipelines.
#[derive(Default)]
pub struct Readings(Mutex<BTreeMap<String, Weak<Pages>>>);

impl Readings {
    /// A source whose pages are shared with everybody who reads for the same file meanwhile.
    pub fn share(&self, file: &str, source: Box<dyn Source>) -> Box<dyn Source> {
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readings.retain(|_, pages| pages.strong_count() > 0);
        let pages = readings.get(file).and_then(Weak::upgrade).unwrap_or_default();
        readings.insert(file.to_owned(), Arc::downgrade(&pages));
        Box::new(Shared { source, pages })
    }
}

/// What was read last. It goes with the last of its readers.
#[derive(Default)]
struct Pages(Mutex<VecDeque<Kept>>);

struct Kept {
    at: Checkpoint,
    since: Instant,
    page: Arc<OnceCell<Page>>,
}

impl Pages {
    /// The page at a checkpoint, which may still have to be read.
    fn at(&self, at: &Checkpoint) -> Arc<OnceCell<Page>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|page| page.since.elapsed() < if page.at.scan.is_none() { BEGINS } else { FRESH });
        let size = |page: &Kept| page.page.get().map_or(0, |page| page.body_bytes);
        while kept.len() > 1 && (kept.len() > PAGES || kept.iter().map(size).sum::<usize>() > BYTES) {
            kept.pop_front();
        }
        if let Some(known) = kept.iter().find(|page| page.at == *at) {
            return known.page.clone();
        }
        let page = Arc::default();
        kept.push_back(Kept { at: at.clone(), since: Instant::now(), page: Arc::clone(&page) });
        page
    }
}

struct Shared {
    source: Box<dyn Source>,
    pages: Arc<Pages>,
}

impl Source for Shared {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(async move {
            let place = place(at);
            let page = self.pages.at(&place);
            let page = page.get_or_try_init(|| self.source.read(&place)).await?.clone();
            Ok(of_target(page, at))
        })
    }

    fn is_live(&self) -> bool {
        self.source.is_live()
    }
}

/// Where the stream is read, without what only one target has: its mark in a file, and what it knows of deletions.
fn place(at: &Checkpoint) -> Checkpoint {
    let mut place = Checkpoint { mark: None, deletions: None, ..at.clone() };
    if let Some(scan) = &mut place.scan {
        scan.start_mark = None;
    }
    place
}

/// The page as one target would have read it.
fn of_target(mut page: Page, at: &Checkpoint) -> Page {
    let start_mark = at.scan.as_ref().map_or(at.mark, |scan| scan.start_mark);
    page.next.mark = at.mark;
    page.next.deletions.clone_from(&at.deletions);
    for scan in page.next.scan.iter_mut().chain([&mut page.scan]) {
        scan.start_mark = start_mark;
    }
    page
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::model::{Blame, Code, Cursor, DeletionState, Mark, Scan};

    /// Tells how often it was asked; every page leads to the next number.
    struct Counting(Arc<AtomicUsize>, usize);

    impl Source for Counting {
        fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
            Box::pin(async move {
                let number = self.0.fetch_add(1, Relaxed);
                if self.1 == usize::MAX {
                    return Err(Fault::halt(Code::Bug, Blame::Bug, "refused"));
                }
                let scan = Scan { pages: number as u64 + 1, ..at.scan.clone().unwrap_or_default() };
                let next = Checkpoint { scan: Some(scan.clone()), ..at.clone() };
                let (records, rejects, skipped) = (Vec::new(), Vec::new(), Vec::new());
                Ok(Page { records, rejects, skipped, next, scan, end: false, restarted: false, body_bytes: self.1 })
            })
        }
    }

    /// Two targets of one file, and how often the stream was read.
    fn two(bytes: usize) -> (Box<dyn Source>, Box<dyn Source>, Arc<AtomicUsize>) {
        let (readings, asked) = (Readings::default(), Arc::new(AtomicUsize::new(0)));
        let one = || readings.share("leads", Box::new(Counting(asked.clone(), bytes)));
        (one(), one(), asked)
    }

    #[tokio::test]
    async fn what_belongs_to_one_target_stays_with_it() {
        let (one, other, asked) = two(1);
        let known = |braked| Some(Box::new(DeletionState { braked, ..DeletionState::default() }));
        let mark = |bytes| {
            let mark = Some(Mark { segment: 0, bytes });
            Checkpoint { mark, deletions: known(bytes == 5), ..Checkpoint::default() }
        };
        let (first, second) = (one.read(&mark(5)).await.unwrap(), other.read(&mark(9)).await.unwrap());
        assert_eq!(asked.load(Relaxed), 1);
        for (page, bytes) in [(&first, 5), (&second, 9)] {
            let begins = Some(Mark { segment: 0, bytes });
            assert_eq!((page.next.mark, page.scan.start_mark), (begins, begins));
            assert_eq!(page.next.deletions, known(bytes == 5));
            assert_eq!(page.next.scan.as_ref().unwrap().start_mark, begins);
        }
        // Later marks move, and where the listing began does not.
        let later = |page: &Page| Checkpoint { mark: Some(Mark { segment: 3, bytes: 3 }), ..page.next.clone() };
        let third = one.read(&later(&first)).await.unwrap();
        assert_eq!(third.scan.start_mark, Some(Mark { segment: 0, bytes: 5 }));
        other.read(&later(&second)).await.unwrap();
        assert_eq!(asked.load(Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_begins_later_looks_for_itself_and_a_listing_is_shared_longer() {
        let (one, other, asked) = two(1);
        let begin = Checkpoint { cursor: Some(Cursor::Integer(7)), ..Checkpoint::default() };
        let first = one.read(&begin).await.unwrap();
        one.read(&first.next).await.unwrap();
        tokio::time::advance(BEGINS + Duration::from_millis(1)).await;
        other.read(&first.next).await.unwrap();
        assert_eq!(asked.load(Relaxed), 2);
        other.read(&begin).await.unwrap();
        assert_eq!(asked.load(Relaxed), 3, "what changed meanwhile is to be seen");
        tokio::time::advance(FRESH).await;
        other.read(&first.next).await.unwrap();
        assert_eq!(asked.load(Relaxed), 4);
    }

    #[tokio::test]
    async fn few_pages_are_kept_and_a_refusal_is_not() {
        let (one, other, asked) = two(BYTES / 2);
        let mut at = Checkpoint::default();
        let begin = at.clone();
        for _ in 0..4 {
            at = one.read(&at).await.unwrap().next;
        }
        other.read(&begin).await.unwrap();
        assert_eq!(asked.load(Relaxed), 5, "the first page had to make room");
        let (one, other, asked) = two(usize::MAX);
        assert!(one.read(&begin).await.is_err() && other.read(&begin).await.is_err());
        assert_eq!(asked.load(Relaxed), 2, "each asks for itself");
    }
}
