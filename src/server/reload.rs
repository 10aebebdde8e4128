//! Takes over changed files. They are read and checked off the loop; only a whole plan without a mistake reaches the service, and
//! until then the old one goes on.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{notify::Notify, service::Asked};
use crate::{
    config::{self, Footprint, Plan, Report, SystemEnvironment},
    model::Code,
};

/// Looks for changes are this far apart at least.
const LOOK: Duration = Duration::from_secs(2);
/// Of the time, looks take a part of this at the most: 10,000 files are looked at every fifteen seconds or so.
const LOOK_SHARE: u32 = 500;
/// Files that are being written are left alone until they have been quiet for so long.
const QUIET: Duration = Duration::from_millis(300);

/// Where the files are, and how they were when they were read last.
#[derive(Clone)]
pub struct Reloader {
    dir: PathBuf,
    seen: Arc<Mutex<Seen>>,
    notify: Arc<Notify>,
}

struct Seen {
    /// Whether anybody wants changes to be noticed.
    watch: bool,
    footprint: Footprint,
    /// Files besides those in their usual places.
    others: Vec<PathBuf>,
}

impl Reloader {
    /// `plan` was just read from `dir`.
    pub fn new(dir: &Path, plan: &Plan, notify: Arc<Notify>) -> Self {
        let others = plan.files.clone();
        let seen = Seen { watch: plan.serve.watch, footprint: Footprint::of(dir, &others), others };
        Self { dir: dir.to_owned(), seen: Arc::new(Mutex::new(seen)), notify }
    }

    /// Starts to look for changes and to wait for wishes to reload. Each change of what is returned is a wish.
    pub fn start(self, ask: mpsc::Sender<Asked>, tasks: &mut JoinSet<()>) -> watch::Sender<u64> {
        let (wish, mut wishes) = watch::channel(0);
        let (watcher, changes) = (self.clone(), wish.clone());
        tasks.spawn(async move {
            let mut pause = LOOK;
            loop {
                sleep(pause).await;
                let is_changed;
                (is_changed, pause) = watcher.look().await;
                if is_changed {
                    changes.send_modify(|times| *times += 1);
                }
            }
        });
        tasks.spawn(async move {
            while wishes.changed().await.is_ok() {
                self.reload(&ask).await;
            }
        });
        wish
    }

    async fn reload(&self, ask: &mpsc::Sender<Asked>) {
        self.notify.reloading();
        let this = self.clone();
        match tokio::task::spawn_blocking(move || this.read()).await {
            Ok(Ok(plan)) => drop(ask.send(Asked::Plan(Box::new(plan))).await),
            Ok(Err(report)) => drop(ask.send(self.refuse(&report)).await),
            Err(_) => tracing::error!(code = %Code::Bug, "reading the files panicked; the service goes on as it was"),
        }
    }

    fn read(&self) -> Result<Plan, Report> {
        // Before the files, so that one that changes while they are read is seen as changed.
        let others = self.seen().others.clone();
        let footprint = Footprint::of(&self.dir, &others);
        let plan = config::load(&self.dir, &SystemEnvironment);
        let mut seen = self.seen();
        seen.footprint = footprint;
        if let Ok(plan) = &plan {
            seen.watch = plan.serve.watch;
            if plan.files != others {
                seen.others.clone_from(&plan.files);
                seen.footprint = Footprint::of(&self.dir, &plan.files);
            }
        }
        plan
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells why, and returns what the service is told.
    fn refuse(&self, report: &Report) -> Asked {
        let first = report.diagnostics.iter().find(|one| one.severity == config::Severity::Error);
        let place = first.map(|one| format!("{}:{}:{}", one.file.display(), one.line, one.column)).unwrap_or_default();
        let message = first.map(|one| one.message.clone()).unwrap_or_default();
        let because = first.map_or(Code::ReloadRefused, |one| one.code);
        tracing::error!(
            code = %Code::ReloadRefused, errors = report.errors(), because = %because, place, why = message,
            "the changed files cannot be used and the service goes on as it was; renkei validate shows all that is wrong"
        );
        self.notify.ready();
        self.notify
            .status(&format!("goes on as it was: the changed files cannot be used: {because} {place} {message}"));
        Asked::Refused { because, place, why: message }
    }

    /// Whether the files are others than those that were read, and have been left alone for a while. And how long to wait
    /// before looking again.
    async fn look(&self) -> (bool, Duration) {
        if !self.seen().watch {
            return (false, LOOK);
        }
        let began = Instant::now();
        let now = self.footprint().await;
        let pause = LOOK.max(began.elapsed() * LOOK_SHARE);
        if now.is_none_or(|now| now == self.seen().footprint) {
            return (false, pause);
        }
        sleep(QUIET).await;
        (self.footprint().await == now, LOOK)
    }

    async fn footprint(&self) -> Option<Footprint> {
        let (dir, others) = (self.dir.clone(), self.seen().others.clone());
        tokio::task::spawn_blocking(move || Footprint::of(&dir, &others)).await.ok()
    }
}
