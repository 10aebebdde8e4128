//! `plan`: what a run would change, shown before it does. It asks the source, and at the most looks records up at the sink; it
//! writes to no sink and remembers nothing. What records hold is masked.

use std::path::Path;

use serde_json::json;

use super::{
    args::PlanArgs,
    failure::{DONE, Failure},
    output::{Output, Paint, printable},
    suggest, summary, workspace,
};
use crate::{
    engine::{Engine, Forecast, Planned, Sample, Stopper},
    model::{Blame, Code, Fault},
};

pub async fn plan(args: &PlanArgs, dir: &Path, output: &Output) -> Result<u8, Failure> {
    let name = args.pipeline.as_str();
    let looked = workspace::plan_without_secrets(dir, output)?;
    if !looked.pipelines.contains_key(name) {
        let help = suggest::help(name, "pipeline", looked.pipelines.keys().map(String::as_str));
        return Err(Failure::usage(format!("there is no pipeline `{name}`"), help));
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
    for sample in &told.samples {
        output.line(line(sample, paint));
    }
    let listed = told.samples.len() as u64;
    let all = tally.create + tally.update + tally.create_or_update + tally.delete + tally.reject;
    if all > listed {
        output.note(format_args!("{} more: --limit {all}", all - listed));
    }
}

/// `update cus_1 (generation 2, lead_7) {..}`: the fields as the sink would get them, masked.
fn line(sample: &Sample, paint: Paint) -> String {
    let key = sample.key.as_deref().map_or("-".to_owned(), printable);
    let id = sample.sink_id.as_deref().map(|id| format!(" as {}", printable(id))).unwrap_or_default();
    let does = match sample.does {
        "reject" => paint.red("reject"),
        does => paint.bold(does),
    };
    let reason = sample.reason.as_ref().map(|reason| format!(": {} {}", reason.code, printable(&reason.message)));
    format!("{does} {key}{id}{} {}", reason.unwrap_or_default(), printable(&sample.fields.to_string()))
}
