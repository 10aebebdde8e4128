//! What can be typed behind `renkei state`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
    /// Let a pipeline go on where a Singer tap or an Airbyte source stopped, by its state file
    Import(StateImportArgs),
}

#[derive(Args, Debug)]
pub struct StateImportArgs {
    pub pipeline: String,
    /// The state: a STATE message or the state alone, as JSON or as lines of messages
    pub file: PathBuf,
    /// The stream as the other tool names it [default: as the pipeline's stream is named]
    #[arg(long)]
    pub stream: Option<String>,
    /// The field of its state that holds the cursor [default: that of the stream's cursor, or the only one]
    #[arg(long)]
    pub field: Option<String>,
}
