//! `auth login`: shows a person what to do, hears what is pasted, and keeps what came of it.
//!
//! The state directory is not held while somebody looks for a password: it is opened when the tokens are there, and one
//! that a run holds by then is waited for, because the sign-in would be lost with them.

use std::{
    io::{self, BufRead, Read},
    path::Path,
    time::Duration,
};

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    args::Format,
    auth::{chosen, nothing_kept},
    failure::{DONE, Failure},
    output::{Output, Paint, printable},
    workspace::{self, Opened},
};
use crate::{
    auth::{Account, Person, Prompt},
    config::plan::StorePlan,
    model::{BoxFuture, Code},
};

/// A longer line is no address.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// So long a run that holds the state directory is waited for.
const WAIT_MAX: Duration = Duration::from_secs(600);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

pub async fn login(dir: &Path, connection: &str, output: &Output) -> Result<u8, Failure> {
    let (plan, apis) = chosen(dir, Some(connection), output)?;
    for api in &apis {
        let ground = nothing_kept();
        let Some(signed_in) = Account::new(api, &ground)?.sign_in(&Terminal(output)).await? else {
            let message = format!("the connection `{connection}` needs no person to sign in");
            let help = "its credentials stand in the configuration; `renkei auth refresh` gets a new token";
            return Err(Failure::usage(message, help));
        };
        let opened = open(&plan.store, output).await?;
        let kept = async {
            opened.note("sign_in", &api.name, serde_json::Value::Null).await?;
            Account::new(api, &opened.ground())?.keep(signed_in).await
        };
        let kept = kept.await;
        opened.close().await;
        kept?;
    }
    if output.json() {
        output.document(&json!({ "connection": connection, "signed_in": true }));
    } else {
        output.line(format_args!("{} {connection}", Paint(output.color_stdout).green("signed in to")));
    }
    Ok(DONE)
}

async fn open(store: &StorePlan, output: &Output) -> Result<Opened, Failure> {
    let began = Instant::now();
    loop {
        match workspace::open(store, false).await {
            Err(Failure::Fault(fault)) if fault.code == Code::AlreadyRunning && began.elapsed() < WAIT_MAX => {
                if began.elapsed() < LOOK_AGAIN {
                    output.note("signed in; waiting for the run that holds the state directory");
                }
                sleep(LOOK_AGAIN).await;
            }
            opened => return opened,
        }
    }
}

/// The person at the terminal. What they have to do goes to stderr, like all progress.
struct Terminal<'a>(&'a Output);

impl Person for Terminal<'_> {
    fn show(&self, prompt: &Prompt) {
        let text = match (prompt, self.0.log_format) {
            (Prompt::Browser { url, listening }, Format::Json) => {
                json!({ "event": "sign_in", "url": url, "listening": listening }).to_string()
            }
            (Prompt::Device { url, code, url_with_code, lives }, Format::Json) => json!({
                "event": "sign_in",
                "url": url,
                "code": code,
                "url_with_code": url_with_code,
                "seconds": lives.as_secs(),
            })
            .to_string(),
            (Prompt::Browser { url, listening }, Format::Text) => {
                let then = match listening {
                    Some(_) => {
                        "It comes back by itself. From another machine: paste the address of the last page here."
                    }
                    None => "Then paste the address of the last page here.",
                };
                format!("Open this page and sign in:\n\n  {}\n\n{then}", printable(url))
            }
            (Prompt::Device { url, code, url_with_code, lives }, Format::Text) => {
                let url = url_with_code.as_ref().unwrap_or(url);
                let minutes = lives.as_secs().div_ceil(60);
                format!("Open {} and type {} within {minutes} min.", printable(url), printable(code))
            }
        };
        self.0.note(text);
    }

    fn pasted(&self) -> BoxFuture<'_, String> {
        Box::pin(async {
            match tokio::task::spawn_blocking(line).await {
                Ok(Some(line)) => line,
                // Nobody is there: a script, or a closed terminal.
                _ => std::future::pending().await,
            }
        })
    }
}

/// The first line with something on it. The thread that waits for it ends with the process.
fn line() -> Option<String> {
    let mut input = io::stdin().lock();
    loop {
        let mut line = String::new();
        match input.by_ref().take(LINE_BYTES_MAX).read_line(&mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) if line.trim().is_empty() => {}
            Ok(_) => return Some(line),
        }
    }
}
