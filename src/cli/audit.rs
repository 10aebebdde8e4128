//! `audit`: whether the log of what people did holds together, and a copy of it. It only reads, so it works beside a running service.

use std::{fs, io, path::Path};

use serde_json::json;
use zeroize::Zeroizing;

use super::{
    args::AuditCommand,
    failure::{DONE, Failure},
    format,
    output::Output,
    workspace,
};
use crate::{
    config::plan::StorePlan,
    model::{Blame, Code, Fault},
    store::{
        SealKey,
        audit::{AuditKey, Broken, Verified, export, verify},
    },
};

pub fn audit(command: AuditCommand, dir: &Path, output: &Output) -> Result<u8, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    let state = &plan.store.path;
    if !state.join("audit").is_dir() {
        output.note("nothing is in the log yet");
        return Ok(DONE);
    }
    match command {
        AuditCommand::Verify { noted } => check(&plan.store, noted.as_deref(), output),
        AuditCommand::Export => {
            let all = export(state, |line| {
                output.line(line);
                Ok(())
            });
            all.map_err(|error| unread(state, &error))?;
            Ok(DONE)
        }
    }
}

fn check(plan: &StorePlan, noted: Option<&str>, output: &Output) -> Result<u8, Failure> {
    let public = public_key(plan)?;
    let shown: String = public.iter().map(|byte| format!("{byte:02x}")).collect();
    match verify(&plan.path, &public, noted).map_err(|error| unread(&plan.path, &error))? {
        Err(broken) => Err(found(&broken).into()),
        Ok(None) => {
            output.note("nothing is in the log yet");
            Ok(DONE)
        }
        Ok(Some(verified)) if output.json() => {
            output.document(&json!({ "verified": verified, "public_key": shown }));
            Ok(DONE)
        }
        Ok(Some(Verified { entries, first, last, last_at, hash, cut_short })) => {
            let until = last_at.map(|at| format!(", until {} UTC", format::time(at))).unwrap_or_default();
            output.line(format_args!("{entries} entries hold together: {first} to {last}{until}"));
            if cut_short {
                output.line("the last line was cut short by a crash and tells of nothing that was done");
            }
            output.line(format_args!("key  {shown}"));
            output.line(format_args!("head {hash}"));
            output.line("note the head elsewhere; later `renkei audit verify --noted HEAD` tells whether the log was taken back");
            Ok(DONE)
        }
    }
}

/// What the log's signatures are checked by. It is derived anew, because a key that lay beside the log could be exchanged with it.
fn public_key(plan: &StorePlan) -> Result<Vec<u8>, Fault> {
    let key = match &plan.key {
        Some(text) => SealKey::parse(secrecy::ExposeSecret::expose_secret(text))?,
        None => {
            let text = fs::read_to_string(plan.path.join("key")).map_err(|error| unread(&plan.path, &error))?;
            SealKey::parse(&Zeroizing::new(text))?
        }
    };
    let unusable = || Fault::halt(Code::Bug, Blame::Bug, "the audit log's key cannot be used").help("please report it");
    AuditKey::of(&key.audit_key()).map(|key| key.public()).ok_or_else(unusable)
}

fn found(Broken { file, line, what }: &Broken) -> Fault {
    let place = if *line == 0 { file.display().to_string() } else { format!("{}:{line}", file.display()) };
    Fault::halt(Code::AuditBroken, Blame::Host, format!("{place}: {what}"))
        .help("nothing was changed; find out who can write to the state directory, and compare with an earlier `renkei audit export`")
}

fn unread(state: &Path, error: &io::Error) -> Fault {
    Fault::halt(Code::StoreIo, Blame::Host, format!("the audit log below {} cannot be read: {error}", state.display()))
        .help("nothing was changed; give this user the right to read it, and the key that seals the store")
}
