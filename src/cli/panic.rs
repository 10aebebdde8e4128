//! A panic is our bug, never a message in Rust's words. The process ends at once with exit code 70, which is as safe as
//! a power cut: whatever was staged is in the store, and the next run goes on from there.
//!
//! The panic's text is not shown: it may quote a record or a secret.

use std::{io::Write, panic, process, thread};

use super::failure::BUG;
use crate::model::Code;

/// From here on only a panic of the main thread ends the process. Elsewhere it ends the task, and whoever waits for it says what
/// that leads to.
pub fn let_others_go_on() {
    let end = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() == Some("main") {
            return end(info);
        }
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        tracing::error!(code = %Code::Bug, place, "a task panicked; the others go on");
    }));
}

/// Replaces the panic message. The store's own thread is the exception: the store catches what its database panics with
/// and reports it as damage, and it wraps this hook to stay silent.
pub fn install_hook() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        // Nothing is left to do when stderr is closed too.
        drop(writeln!(
            std::io::stderr(),
            "error[RK0899]: renkei did something it must never do, at {place} of version {version}\n  \
             = help: this is our bug. Nothing is lost: what was staged is in the store under its idempotency keys, and\n\
             {indent}the next run goes on from there. Please report it with the line above and what you typed.\n  \
             = more: renkei explain RK0899",
            version = env!("CARGO_PKG_VERSION"),
            indent = " ".repeat(10),
        ));
        process::exit(i32::from(BUG));
    }));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    const IN_CHILD: &str = "RENKEI_TEST_PANICS";

    /// In a process of its own, because the hook ends it.
    #[test]
    fn a_panic_ends_the_process_as_our_bug_and_its_text_is_not_shown() {
        if std::env::var_os(IN_CHILD).is_some() {
            super::install_hook();
            let secret = ["planted-", "word"].concat();
            panic!("{secret}");
        }
        let name = "cli::panic::tests::a_panic_ends_the_process_as_our_bug_and_its_text_is_not_shown";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let ended = child.args(["--exact", name, "--nocapture"]).env(IN_CHILD, "1").env("RUST_BACKTRACE", "full");
        let ended = ended.output().unwrap();
        let shown = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
        assert_eq!(ended.status.code(), Some(70), "{shown}");
        assert!(shown.contains("RK0899") && !shown.contains("planted-word"), "{shown}");
    }
}
