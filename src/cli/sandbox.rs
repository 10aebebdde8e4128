//! `renkei sandbox`: serves the built-in shop and CRM until it is told to stop.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;

use super::{
    args::{FaultLevel, SandboxArgs},
    failure::{DONE, Failure},
    output::{Output, Paint},
    signals::Signals,
};
use crate::{
    model::{Blame, Code, Fault},
    sandbox::{FaultPlan, Quota, Sandbox, SandboxConfig, StartError, WorldConfig},
};

pub async fn serve(args: &SandboxArgs, output: &Output) -> Result<u8, Failure> {
    let mut signals = Signals::new()?;
    let sandbox = Sandbox::start(config(args)?).await.map_err(|error| cannot_start(&error))?;
    tell(args, &sandbox, output);
    signals.next().await;
    sandbox.stop().await;
    Ok(DONE)
}

fn config(args: &SandboxArgs) -> Result<SandboxConfig, Failure> {
    if args.listen.ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        return Err(Failure::usage(
            format!("the sandbox does not listen on {}", args.listen.ip()),
            "its secrets are public, so it serves this machine only: --listen 127.0.0.1:4010",
        ));
    }
    if !(0.0..=1.0).contains(&args.drift) {
        return Err(Failure::usage("--drift is a share from 0 to 1", "0.1 lets one page in ten meet a change"));
    }
    let quota = (args.quota > 0).then(|| Quota { per_second: args.quota, burst: (args.quota / 5).max(1) });
    let world = WorldConfig {
        seed: args.seed,
        customers: usize::try_from(args.customers).unwrap_or(usize::MAX),
        drift: args.drift,
        unordered: args.unordered,
        shop_quota: quota,
        crm_quota: quota,
        ..WorldConfig::default()
    };
    Ok(SandboxConfig { port: args.listen.port(), world, faults: plan(args.faults), ..SandboxConfig::default() })
}

fn plan(level: FaultLevel) -> FaultPlan {
    match level {
        FaultLevel::None => FaultPlan::none(),
        FaultLevel::Mild => FaultPlan::mild(),
        FaultLevel::Harsh => FaultPlan::harsh(),
    }
}

pub fn cannot_start(error: &StartError) -> Fault {
    let why = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    Fault::halt(Code::Unreachable, Blame::Host, format!("{error}{why}"))
        .help("nothing was started; give another address with --listen 127.0.0.1:0")
}

/// The first line on stdout is the address, for scripts; the rest is for people.
fn tell(args: &SandboxArgs, sandbox: &Sandbox, output: &Output) {
    let (url, world) = (sandbox.url(), WorldConfig::default());
    if output.json() {
        return output.line(json!({ "url": url, "seed": args.seed, "client_id": world.client_id }));
    }
    let paint = Paint(output.color_stdout);
    output.line(&url);
    let customers = args.customers;
    output.line(format_args!("  {}  {customers} customers, seed {}", paint.bold("shop"), args.seed));
    output.line(format_args!("  {}   leads, none yet", paint.bold("crm")));
    output.line(format_args!(
        "  {}  client_credentials with {} / {} at {url}/oauth/token",
        paint.bold("auth"),
        world.client_id,
        world.client_secret
    ));
    output.line(format_args!("  {}  curl {url}/sandbox/account", paint.bold("what arrived")));
    output.line(format_args!("  {}  curl {url}/sandbox/change -d '{{\"count\": 20}}'", paint.bold("make changes")));
    output.line(format_args!("  {}  Ctrl-C", paint.bold("stop")));
}
