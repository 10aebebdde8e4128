//! `plan`: what a run would change, shown before it does. It asks the source, and at the most looks records up or reads them at
//! the sink; it writes to no sink and remembers nothing. What records hold is masked.

use std::path::Path;

use serde_json::json;

use super::{
    args::PlanArgs,
    failure::{DONE, Failure},
    output::{Output, Paint, printable},
    suggest, summary, workspace,
};
use crate::{
    engine::{Change, Difference, Engine, Forecast, Planned, Sample, Stopper},
    model::{Blame, Code, Fault},
};

pub async fn plan(args: &PlanArgs, dir: &Path, output: &Output) -> Result<u8, Failure> {
    let name = args.pipeline.as_str();
    let looked = workspace::plan_without_secrets(dir, output)?;
    if !looked.pipelines.contains_key(name) {
        return Err(suggest::no_pipeline(name, &looked));
    }
    let engine = Engine::open(workspace::plan_for(dir, &[name])?).await?;
    // Nobody asks it to stop: an interrupt ends the process, and nothing has to be cleaned up.
    let (_stopper, stop) = Stopper::new();
    let told = engine.forecast(name, args.full_refresh, args.limit, &stop).await;
    engine.close().await;
    let (told, planned) = told?;
    if let Some(file) = &args.out {
        save(file, planned, &told)?;
    }
    if output.json() {
        output.document(&json!({
            "pipeline": name,
            "counts": told.tally,
            "staged": told.staged,
            "pages": told.pages,
            "requests": told.requests,
            "held_back": told.held_back.as_ref().map(|fault| json!({ "code": fault.code, "message": fault.message })),
            "compared": told.compared,
            "equal": told.equal,
            "samples": told.samples,
            "out": args.out,
        }));
        return Ok(DONE);
    }
    tell(name, &told, output);
    if let Some(file) = &args.out {
        output.line(format_args!("apply exactly this: renkei run --plan {}", file.display()));
    }
    Ok(DONE)
}

fn save(file: &Path, planned: Option<Planned>, told: &Forecast) -> Result<(), Failure> {
    let refuse = |why: &str| Failure::usage(why, "no plan was saved; the counts are right without --out");
    if told.staged > 0 {
        return Err(refuse("an earlier run left staged batches, which a run delivers first: run it once, then plan"));
    }
    let planned =
        planned.ok_or_else(|| refuse("the writes of this pipeline are too many, or have no names to plan"))?;
    std::fs::write(file, planned.to_text()).map_err(|error| {
        let message = format!("{} cannot be written: {error}", file.display());
        Failure::from(Fault::halt(Code::PlanFile, Blame::Config, message).help("nothing was written anywhere else"))
    })
}

fn tell(name: &str, told: &Forecast, output: &Output) {
    let paint = Paint(output.color_stdout);
    let tally = &told.tally;
    let counts = [
        ("read", tally.read),
        ("create", tally.create),
        ("update", tally.update),
        ("create or update", tally.create_or_update),
        ("delete", tally.delete),
        ("unchanged", tally.unchanged),
        ("skip", tally.skip),
        ("reject", tally.reject),
    ];
    output.line(format_args!("{} a run now would, as far as it is known before the sink answers:", paint.bold(name)));
    output.line(format_args!("  {}", summary::numbers(&counts, paint)));
    if told.staged > 0 {
        output.line(format_args!("  first it delivers {} records that an earlier run left staged", told.staged));
    }
    if let Some(fault) = &told.held_back {
        output.line(format_args!("  and would delete nothing that is not done before: {fault}"));
    }
    if told.compared > 0 {
        let equal = match told.equal {
            0 => "each of them changes something".to_owned(),
            equal => format!("{equal} of them change nothing"),
        };
        output.line(format_args!("  {} updates were compared with what the sink holds: {equal}", told.compared));
    }
    let is_unread = |sample: &&Sample| sample.does == "update" && sample.difference.is_none();
    if told.compared == 0 && told.samples.iter().any(|sample| is_unread(&sample)) {
        output.line(
            "  updates are shown as they would be sent: their operation does not say how a record is read (`read`)",
        );
    }
    for sample in &told.samples {
        lines(sample, paint).into_iter().for_each(|line| output.line(line));
    }
    let listed = told.samples.len() as u64;
    let all = tally.create + tally.update + tally.create_or_update + tally.delete + tally.reject;
    if all > listed {
        output.note(format_args!("{} more: --limit {all}", all - listed));
    }
}

/// `update cus_1 as lead_7 {..}`, with the fields as the sink would get them; where the sink was asked what it holds, the
/// fields that differ.
fn lines(sample: &Sample, paint: Paint) -> Vec<String> {
    let key = sample.key.as_deref().map_or("-".to_owned(), printable);
    let id = sample.sink_id.as_deref().map(|id| format!(" as {}", printable(id))).unwrap_or_default();
    let does = match sample.does {
        "reject" => paint.red("reject"),
        does => paint.bold(does),
    };
    let reason = sample.reason.as_ref().map(|reason| format!(": {} {}", reason.code, printable(&reason.message)));
    let head = format!("{does} {key}{id}{}", reason.unwrap_or_default());
    let fields = || printable(&sample.fields.to_string());
    match &sample.difference {
        Some(Difference::None { .. }) => vec![format!("{head}: the sink holds all of it already")],
        Some(Difference::Fields { changes, equal }) => {
            let mut lines = vec![format!("{head}, {equal} fields as they are")];
            lines.extend(changes.iter().map(|change| format!("    {}", changed(change, paint))));
            lines
        }
        Some(Difference::Gone) if sample.does == "update" => {
            vec![format!("{head}: the sink has no such record any more {}", fields())]
        }
        Some(Difference::Unknown(reason)) => {
            let why = printable(&reason.message);
            vec![format!("{head} (what the sink holds cannot be told: {} {why}) {}", reason.code, fields())]
        }
        Some(Difference::Gone) | None => vec![format!("{head} {}", fields())],
    }
}

/// `tier  "silver" -> "gold"`. What is masked on both sides differs all the same.
fn changed(change: &Change, paint: Paint) -> String {
    let Change { field, from, to } = change;
    let from_text = from.as_ref().map_or("nothing".to_owned(), |from| printable(&from.to_string()));
    let hidden = from.as_ref() == Some(to);
    let note = if hidden { " (masked; they differ)" } else { "" };
    format!("{} {from_text} -> {}{note}", paint.bold(printable(field)), printable(&to.to_string()))
}
