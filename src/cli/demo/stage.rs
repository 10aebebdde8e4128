//! Where the demo plays: the sandbox, and a workspace of plain files that a person can look at afterwards.

use std::{fs, path::PathBuf};

use super::super::{failure::Failure, init::write_new, sandbox::cannot_start};
use crate::{
    model::{Blame, Code, Entropy, Fault, SystemEntropy},
    sandbox::{Counters, FaultPlan, Quota, Sandbox, SandboxConfig, WorldConfig},
};

/// The files of the demo's workspace, which are those of this repository.
const FILES: [(&str, &str); 4] = [
    ("renkei.yaml", include_str!("../../../renkei.yaml")),
    ("connectors/shop/connector.yaml", include_str!("../../../connectors/shop/connector.yaml")),
    ("connectors/crm/connector.yaml", include_str!("../../../connectors/crm/connector.yaml")),
    ("pipelines/demo-leads.yaml", include_str!("../../../pipelines/demo-leads.yaml")),
];

pub const PIPELINE: &str = "demo-leads";

const CUSTOMERS: usize = 300;
/// A little less than what the connector believes, so that some 429s have to be obeyed.
const CRM_QUOTA: Quota = Quota { per_second: 38, burst: 8 };

pub struct Stage {
    pub seed: u64,
    pub sandbox: Sandbox,
    pub folder: PathBuf,
    /// Customers that belonged into the CRM at the start.
    pub eligible: u64,
}

impl Stage {
    pub async fn set(seed: u64) -> Result<Self, Failure> {
        let world = WorldConfig { seed, customers: CUSTOMERS, crm_quota: Some(CRM_QUOTA), ..WorldConfig::default() };
        let config = SandboxConfig { world, faults: faults(), ..SandboxConfig::default() };
        let sandbox = Sandbox::start(config).await.map_err(|error| cannot_start(&error))?;
        let eligible = sandbox.world().report().eligible;
        Ok(Self { seed, sandbox, folder: workspace()?, eligible })
    }

    pub fn counters(&self) -> Counters {
        self.sandbox.world().counters().clone()
    }

    /// Customers that belong into the CRM now.
    pub fn eligible(&self) -> u64 {
        self.sandbox.world().report().eligible
    }
}

/// A bad day: every eighth request meets something.
fn faults() -> FaultPlan {
    FaultPlan {
        latency: 0.1,
        latency_ms: 60,
        stall: 0.004,
        stall_ms: 2_500,
        reset_before: 0.02,
        reset_after: 0.03,
        error_before: 0.03,
        error_after: 0.02,
        half_body: 0.02,
        ..FaultPlan::none()
    }
}

/// A new folder of its own in the system's place for temporary files.
fn workspace() -> Result<PathBuf, Failure> {
    let name = format!("renkei-demo-{:08x}", SystemEntropy::new().bits() as u32);
    let folder = std::env::temp_dir().join(name);
    fs::create_dir(&folder).map_err(|error| {
        Fault::halt(Code::StoreIo, Blame::Host, format!("{} cannot be made: {error}", folder.display()))
            .help("nothing was started; name another place for temporary files: TMPDIR=/path renkei demo")
    })?;
    for (path, text) in FILES {
        write_new(&folder.join(path), text)?;
    }
    Ok(folder)
}
