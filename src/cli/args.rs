//! What can be typed. Nothing here does anything; the words of the help are the words of the docs.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::{args_state::StateCommand, args_try::TryArgs};

#[derive(Parser, Debug)]
#[command(
    name = "renkei",
    version,
    about = "Keeps business systems in step: reads what changed from one, maps it, writes it to another.",
    after_help = "Start with `renkei demo` to see it work, or `renkei init` to make a workspace of your own.",
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The workspace: the folder with renkei.yaml
    #[arg(short = 'C', long = "dir", global = true, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// How results are written to stdout
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// No colours (the variable NO_COLOR does the same)
    #[arg(long, global = true)]
    pub no_color: bool,
    /// How much is logged to stderr [default: warn, and info for serve]
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// How logs and progress are written to stderr [default: text on a terminal, else json]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub log_format: Option<Format>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a workspace that validates and runs
    Init {
        /// Where; it is made when it is missing
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Check every file of the workspace, offline, and report all problems at once
    Validate {
        /// Variables and secret files may be missing, for checks where the secrets are not
        #[arg(long)]
        without_secrets: bool,
    },
    /// Run pipelines once: all of them, or the named ones
    Run(RunArgs),
    /// Show what a run would change, without a write to any sink
    Plan(PlanArgs),
    /// Run pipelines when their schedules say so, until SIGTERM or Ctrl-C
    Serve,
    /// Look at schedules
    Schedule {
        #[command(subcommand)]
        command: ScheduleCommand,
    },
    /// Read a window of a stream once more, beside the pipeline's own progress
    Backfill(BackfillArgs),
    /// Show where every pipeline stands
    Status,
    /// List past runs, newest first, or show one of them
    #[command(args_conflicts_with_subcommands = true)]
    Runs {
        #[command(subcommand)]
        command: Option<RunsCommand>,
        /// Only runs of this pipeline
        pipeline: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Follow one record through every run: what became of it, when and why
    Trace(TraceArgs),
    /// Look at or forget what the store remembers
    State {
        #[command(subcommand)]
        command: StateCommand,
    },
    /// Look at, forget or take over what ties a record to its id at the sink
    Links {
        #[command(subcommand)]
        command: LinksCommand,
    },
    /// Look at rejected and parked records, mend them, and send them again
    DeadLetters {
        #[command(subcommand)]
        command: LettersCommand,
    },
    /// Show what each connection may use, what is left of it, and which calls are left alone
    Limits {
        /// Only this connection
        connection: Option<String>,
    },
    /// Lead a pipeline through trouble, against replicas of its connections, and see that nothing is lost or doubled
    Drill(DrillArgs),
    /// Try connections out, from name servers to one record that is read, and say what to do where one is not well
    Doctor {
        /// Connections by name [default: all]
        #[arg(value_name = "CONNECTION")]
        connections: Vec<String>,
    },
    /// Sign connections in and out, and see how they stand
    Auth {
        #[command(subcommand)]
        command: AuthCommand,
    },
    /// Check or copy the log of what people did
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Play the cases of a connector, without its vendor; or record one from real traffic
    Try(TryArgs),
    /// List connectors with their streams and operations, or make a new one
    Connectors {
        #[command(subcommand)]
        command: Option<super::connectors::ConnectorsCommand>,
    },
    /// Compare the schemas that records are held to
    #[command(subcommand)]
    Contract(super::contract::ContractCommand),
    /// Print a JSON Schema for an editor, or the same for people
    Schema {
        #[arg(value_enum)]
        kind: SchemaKind,
        /// Every key with its type, default and meaning, as Markdown
        #[arg(long)]
        markdown: bool,
    },
    /// Explain a code such as RK0103; without one, list all codes
    Explain { code: Option<String> },
    /// Serve a shop and a CRM that behave as badly as real ones
    Sandbox(SandboxArgs),
    /// Watch leads travel through faults and a crash, and arrive exactly once
    Demo {
        /// Drives people and faults [default: by chance, and printed]
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Print a completion script
    Completion {
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Args, Debug)]
pub struct RunArgs {
    /// Pipelines by name [default: all, in the order of their names]
    #[arg(value_name = "PIPELINE")]
    pub pipelines: Vec<String>,
    /// Read this stream again from its beginning; what did not change is not written again
    #[arg(long, value_name = "STREAM")]
    pub full_refresh: Vec<String>,
    /// Read no more than this many records per pipeline; the next run goes on from there
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Pipelines that run at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub parallel: u16,
    /// Let each pipeline delete up to this many records in this run, whatever its brake says
    #[arg(long, value_name = "N")]
    pub allow_deletes: Option<u64>,
    /// Send everything at once, also where the pipeline declares a canary
    #[arg(long)]
    pub skip_canary: bool,
    /// Apply exactly this plan, or nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["full_refresh", "limit", "allow_deletes"])]
    pub plan: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct PlanArgs {
    pub pipeline: String,
    /// How many records are shown; all are counted
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// As if its stream were read again from its beginning
    #[arg(long)]
    pub full_refresh: bool,
    /// Save the plan, for run --plan
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Scenarios: calm, storm, slow, lost-answers, revoked, drift, skew, crash. No real server is asked."
)]
pub struct DrillArgs {
    pub pipeline: String,
    /// Only this scenario; can be given several times [default: all]
    #[arg(long, value_name = "NAME")]
    pub scenario: Vec<String>,
    /// Drives records and trouble [default: by chance, and printed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Records at the source; a quarter of them changes later, and a few more come
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u16).range(8..=900))]
    pub records: u16,
    /// One run of a drill, in this folder of its own
    #[arg(long, hide = true, value_name = "FOLDER")]
    pub attempt: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct TraceArgs {
    /// The record's key in its source
    #[arg(value_name = "RECORD_KEY")]
    pub key: String,
    /// Only in this pipeline
    #[arg(long)]
    pub pipeline: Option<String>,
    /// How many verdicts of each pipeline, the newest ones
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
}

#[derive(Subcommand, Debug)]
pub enum ScheduleCommand {
    /// Show when pipelines are due next
    Next {
        /// Only this pipeline
        pipeline: Option<String>,
        /// How many times
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
}

#[derive(Args, Debug)]
#[command(after_help = "Without --from and --to it goes on with the windows of the pipeline that are unfinished.")]
pub struct BackfillArgs {
    pub pipeline: String,
    /// Where the window begins, as the stream's cursor is written: a date, a time with its offset, or a whole number
    #[arg(long, value_name = "BOUND", requires = "to")]
    pub from: Option<String>,
    /// Where it ends; a record at this very point is not in it
    #[arg(long, value_name = "BOUND", requires = "from")]
    pub to: Option<String>,
    /// Forget the windows of the pipeline that are unfinished; what they wrote stays
    #[arg(long, conflicts_with_all = ["from", "to"])]
    pub drop: bool,
}

#[derive(Subcommand, Debug)]
pub enum RunsCommand {
    /// Show one run: its verdicts, what it cost, and the records that were refused
    Show {
        /// The id that `runs` shows, or its beginning
        id: String,
        /// How many refused records
        #[arg(long, default_value_t = 10)]
        limit: usize,
    },
}

#[derive(Subcommand, Debug)]
pub enum AuthCommand {
    /// Show how connections are signed in, and when their tokens end
    Status {
        /// Only this connection
        connection: Option<String>,
    },
    /// Sign in with a browser or another device
    Login { connection: String },
    /// Get a new token now, also where a connection waits for a person (RK0605)
    Refresh {
        /// Only this connection
        connection: Option<String>,
    },
    /// Forget the tokens of a connection
    Logout { connection: String },
}

#[derive(Subcommand, Debug)]
pub enum AuditCommand {
    /// Go through the whole log and name the first entry that was changed, removed or put elsewhere
    Verify {
        /// The hash that an earlier `verify` showed: the log must still hold that entry
        #[arg(long, value_name = "HASH")]
        noted: Option<String>,
    },
    /// Print every entry as it stands, and the signed head as the last line
    Export,
}

#[derive(Subcommand, Debug)]
pub enum LinksCommand {
    /// Show the link of one key, or list them by the hash of their key
    Show {
        pipeline: String,
        /// The record's key in its source
        key: Option<String>,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Go on after this hash
        #[arg(long, value_name = "HASH", conflicts_with = "key")]
        after: Option<String>,
    },
    /// Forget links: the next time they are read, the records are written as if they were new
    Forget {
        pipeline: String,
        /// The record's key in its source
        #[arg(required_unless_present = "all")]
        key: Option<String>,
        /// Every link of the pipeline
        #[arg(long, conflicts_with = "key")]
        all: bool,
    },
    /// Take over ids of records that were created elsewhere, so that they are updated and not created again
    Import {
        pipeline: String,
        /// CSV with a line of names, or JSON Lines, each with `key` and `sink_id`
        file: PathBuf,
    },
}

#[derive(Subcommand, Debug)]
pub enum LettersCommand {
    /// List dead letters, newest first
    List {
        /// Only of this pipeline
        pipeline: Option<String>,
        #[command(flatten)]
        filters: Filters,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show one dead letter whole; it may hold personal data
    Show {
        /// The id that `list` shows
        id: String,
    },
    /// Mend the record of a dead letter; the original is kept
    Edit {
        /// The id that `list` shows
        id: String,
        /// A field and the expression of its new value, such as email='"ada@example.com"'; expressions see `record`
        #[arg(long, value_name = "FIELD=EXPR", required_unless_present_any = ["file", "undo"])]
        set: Vec<String>,
        /// A JSON file with the fields to replace; null takes a field away
        #[arg(long, value_name = "FILE", conflicts_with = "set")]
        file: Option<PathBuf>,
        /// Forget earlier edits
        #[arg(long, conflicts_with_all = ["set", "file"])]
        undo: bool,
    },
    /// Send records of dead letters through their pipeline again
    Replay {
        #[command(flatten)]
        picked: Picked,
        /// Send also what may have taken effect: somebody looked at the sink and it is not there
        #[arg(long)]
        accept_doubt: bool,
        /// Send also letters of which nobody noted whether a later state of the record was accepted
        #[arg(long)]
        force: bool,
    },
    /// Take dead letters away for good
    Drop {
        #[command(flatten)]
        picked: Picked,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which dead letters. All of what is given must hold.
#[derive(Args, Clone, Default, Debug)]
pub struct Filters {
    /// Only of this code, such as RK0401; several: any of them
    #[arg(long, value_name = "CODE")]
    pub code: Vec<String>,
    /// Only those for which this expression is true; it sees `letter` and `record`
    #[arg(long = "where", value_name = "EXPR")]
    pub condition: Option<String>,
    /// Only those that were met last longer ago than this, such as 7d
    #[arg(long, value_name = "TIME")]
    pub older_than: Option<String>,
    /// Only those that were met last within this time, such as 1h
    #[arg(long, value_name = "TIME")]
    pub newer_than: Option<String>,
}

/// Dead letters to do something with.
#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true)
    .args(["ids", "pipeline", "code", "condition", "older_than", "newer_than", "all"]))]
pub struct Picked {
    /// The ids that `list` shows
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Only of this pipeline
    #[arg(long)]
    pub pipeline: Option<String>,
    #[command(flatten)]
    pub filters: Filters,
    /// All of them, as far as nothing else narrows it
    #[arg(long)]
    pub all: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum SchemaKind {
    /// renkei.yaml
    Workspace,
    /// connectors/NAME/connector.yaml
    Connector,
    /// pipelines/NAME.yaml
    Pipeline,
    /// connectors/NAME/cases/CASE.yaml
    Case,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum FaultLevel {
    /// Every request is answered
    None,
    /// A good day at a real vendor
    Mild,
    /// A day on which the vendor's status page is red
    Harsh,
}

#[derive(Args, Debug)]
pub struct SandboxArgs {
    /// Where to listen; only this machine can be served, and port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:4010", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Drives people, faults and drift
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Latency, resets, errors and half answers
    #[arg(long, value_enum, default_value_t = FaultLevel::None)]
    pub faults: FaultLevel,
    /// Customers of the shop at the start
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub customers: u64,
    /// The chance that customers change while a listing is read, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub drift: f64,
    /// Requests per second and system before a 429; 0 sets no limit
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub quota: u32,
    /// Lists customers in an order that has nothing to do with their changes
    #[arg(long)]
    pub unordered: bool,
}
