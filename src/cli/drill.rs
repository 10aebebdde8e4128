//! `renkei drill`: a pipeline through trouble, and a line for each scenario. The exit code is 0 only if nothing was lost and nothing
//! doubled in any of them.

use std::path::Path;

use serde_json::json;

use super::{
    args::DrillArgs,
    failure::{DONE, Failure},
    format,
    output::{Output, Paint, printable},
    signals::Signals,
    suggest,
    table::{Column, print},
};
use crate::{
    drill::{self, Drilled, Played, Scenario, Wanted},
    model::{Blame, Code, Entropy, Fault, SystemEntropy},
};

pub async fn drill(args: &DrillArgs, dir: &Path, output: &Output) -> Result<u8, Failure> {
    let plan = drill::plan_of(dir).map_err(Failure::Config)?;
    let Some(pipeline) = plan.pipelines.get(&args.pipeline) else {
        return Err(suggest::no_pipeline(&args.pipeline, &plan));
    };
    if let Some(folder) = &args.attempt {
        let told = drill::run(&plan, &args.pipeline, folder).await?;
        output.document(&told);
        return Ok(DONE);
    }
    let scenarios = chosen(&args.scenario)?;
    // Four digits are easy to type again.
    let seed = args.seed.unwrap_or_else(|| 1 + SystemEntropy::new().bits() % 9_999);
    let wanted = Wanted { records: usize::from(args.records), seed };
    output.note(format_args!(
        "drilling {}: {} scenarios, {} records, seed {seed}; no real server is asked",
        args.pipeline,
        scenarios.len(),
        args.records
    ));
    let mut signals = Signals::new()?;
    let drilled = tokio::select! {
        drilled = drill::drill(dir, &plan, pipeline, &scenarios, wanted) => drilled?,
        // Runs under way are killed when their handles are dropped.
        code = signals.next() => return Ok(code),
    };
    match output.json() {
        true => output.document(&document(&drilled)),
        false => show(&drilled, output),
    }
    verdict(&drilled)
}

/// All scenarios, or the named ones, each once.
fn chosen(names: &[String]) -> Result<Vec<Scenario>, Failure> {
    let mut chosen = Vec::new();
    for name in names {
        let Ok(scenario) = name.parse::<Scenario>() else {
            let help = suggest::help(name, "scenario", Scenario::ALL.map(Scenario::name));
            return Err(Failure::usage(format!("there is no scenario `{}`", printable(name)), help));
        };
        if !chosen.contains(&scenario) {
            chosen.push(scenario);
        }
    }
    Ok(if chosen.is_empty() { Scenario::ALL.to_vec() } else { chosen })
}

fn verdict(drilled: &Drilled) -> Result<u8, Failure> {
    let (lost, doubled) = (drilled.lost(), drilled.doubled());
    if lost + doubled > 0 {
        let message = format!("{} lost {lost} and doubled {doubled} records", drilled.pipeline);
        let fault = Fault::halt(Code::DrillFound, Blame::Bug, message);
        return Err(fault
            .help(format!("nothing outside of the drill was touched; --seed {} does it again", drilled.seed))
            .into());
    }
    if !drilled.ended() {
        let message = format!("{} did not come to its end in every scenario", drilled.pipeline);
        let fault = Fault::halt(Code::DrillUnfinished, Blame::Remote, message);
        return Err(fault
            .help("nothing outside of the drill was touched; runs.log in the folder says what it met")
            .into());
    }
    Ok(DONE)
}

fn document(drilled: &Drilled) -> serde_json::Value {
    let mut document = json!(drilled);
    document["lost"] = json!(drilled.lost());
    document["doubled"] = json!(drilled.doubled());
    document
}

fn show(drilled: &Drilled, output: &Output) {
    let columns = [
        Column("scenario", false),
        Column("lost", true),
        Column("doubled", true),
        Column("arrived", true),
        Column("filtered", true),
        Column("refused", true),
        Column("uncertain", true),
        Column("recovered in", true),
        Column("reactions", false),
    ];
    print(output, &columns, drilled.scenarios.iter().map(row).collect(), "no scenario was played");
    let paint = Paint(output.color_stdout);
    output.line("");
    for gap in &drilled.cannot_play {
        output.line(format_args!("{} {}", paint.bold("cannot play:"), printable(gap)));
    }
    for note in &drilled.notes {
        output.line(format_args!("{} {}", paint.bold("note:"), printable(note)));
    }
    for folder in drilled.scenarios.iter().filter_map(|played| played.folder.as_ref()) {
        output.line(format_args!("{} {}", paint.bold("to look into:"), folder.display()));
    }
    let keys = |title: &str, of: fn(&Played) -> &Vec<String>| {
        let keys: Vec<String> = drilled.scenarios.iter().flat_map(of).map(|key| printable(key)).collect();
        if !keys.is_empty() {
            output.line(format_args!("{} {}", paint.red(title), keys.join(" ")));
        }
    };
    keys("lost:", |played| &played.account.lost_keys);
    keys("doubled:", |played| &played.account.doubled_keys);
    let verdict = format!("lost {}, doubled {}", drilled.lost(), drilled.doubled());
    let good = drilled.lost() + drilled.doubled() == 0 && drilled.ended();
    let verdict = if good { paint.green(verdict) } else { paint.red(verdict) };
    output.line(format_args!("{verdict}  (seed {}, {} records)", drilled.seed, drilled.records));
}

fn row(played: &Played) -> Vec<String> {
    let account = &played.account;
    let recovered = match (played.ended, played.recovered_ms) {
        (false, _) => "never".to_owned(),
        (true, None) => "-".to_owned(),
        (true, Some(ms)) => format::duration(std::time::Duration::from_millis(ms)),
    };
    let reactions = if played.reactions.is_empty() { "-".to_owned() } else { played.reactions.join(", ") };
    let lost = if played.ended { account.lost.to_string() } else { "?".to_owned() };
    let numbers = [account.doubled, account.delivered, account.skipped, account.refused, account.uncertain];
    let numbers = numbers.iter().map(u64::to_string);
    [played.scenario.to_owned(), lost].into_iter().chain(numbers).chain([recovered, reactions]).collect()
}
