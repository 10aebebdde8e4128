//! What can be typed behind `renkei try`.

use std::path::PathBuf;

use clap::Args;

#[derive(Args, Debug)]
#[command(after_help = "No server is asked, but with --record; no wait takes real time.")]
pub struct TryArgs {
    /// The connector: a folder in connectors/ [default: all]
    #[arg(value_name = "CONNECTOR")]
    pub connector: Option<String>,
    /// Only this case
    pub case: Option<String>,
    /// Send real requests once, and write what goes by into this new case, with secrets and personal values masked
    #[arg(long, value_name = "CASE", requires = "connection", conflicts_with = "case")]
    pub record: Option<String>,
    /// The connection of renkei.yaml that is recorded
    #[arg(long, requires = "record")]
    pub connection: Option<String>,
    /// Record how this stream is read, from its beginning
    #[arg(long, requires = "record", conflicts_with = "operation")]
    pub stream: Option<String>,
    /// Pages to record
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub pages: u16,
    /// Record how this operation writes the records of --records. They are really written.
    #[arg(long, requires_all = ["record", "records"])]
    pub operation: Option<String>,
    /// JSON Lines: {"fields": {..}}, and "key" and "sink_id" where they matter
    #[arg(long, value_name = "FILE")]
    pub records: Option<PathBuf>,
}
