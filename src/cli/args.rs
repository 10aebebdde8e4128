//! What can be typed. Nothing here does anything; the words of the help are the words of the docs.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

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
    /// How much is logged to stderr
    #[arg(long, global = true, value_enum, default_value_t = LogLevel::Warn, value_name = "LEVEL")]
    pub log_level: LogLevel,
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
    /// Show where every pipeline stands
    Status,
    /// List past runs, newest first
    Runs {
        /// Only runs of this pipeline
        pipeline: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Look at or forget what the store remembers
    State {
        #[command(subcommand)]
        command: StateCommand,
    },
    /// Look at rejected and parked records
    DeadLetters {
        #[command(subcommand)]
        command: LettersCommand,
    },
    /// List connectors with their streams and operations
    Connectors,
    /// Print a JSON Schema for an editor
    Schema {
        #[arg(value_enum)]
        kind: SchemaKind,
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
}

#[derive(Subcommand, Debug)]
pub enum StateCommand {
    /// Show cursors and unfinished listings
    Show {
        /// Only this pipeline
        pipeline: Option<String>,
    },
    /// Forget a pipeline's cursor, so that the next run reads everything again
    Reset {
        #[arg(required_unless_present = "accept_older")]
        pipeline: Option<String>,
        /// Forget also what the sink was sent, so that everything is written again
        #[arg(long)]
        links: bool,
        /// Go on with a store that lost acknowledged commits (RK0503)
        #[arg(long, conflicts_with_all = ["pipeline", "links"])]
        accept_older: bool,
    },
}

#[derive(Subcommand, Debug)]
pub enum LettersCommand {
    /// List dead letters, newest first
    List {
        /// Only of this pipeline
        pipeline: Option<String>,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show one dead letter whole; it may hold personal data
    Show {
        /// The id that `list` shows
        id: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum SchemaKind {
    /// renkei.yaml
    Workspace,
    /// connectors/NAME/connector.yaml
    Connector,
    /// pipelines/NAME.yaml
    Pipeline,
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
