//! `serve`: the workspace's schedules, for as long as the process lives.

use std::path::Path;

use super::{
    failure::{DONE, Failure},
    panic,
};
use crate::server::{self, Unserved};

pub async fn serve(dir: &Path) -> Result<u8, Failure> {
    panic::let_others_go_on();
    match server::serve(dir).await {
        Ok(()) => Ok(DONE),
        Err(Unserved::Files(report)) => Err(Failure::Config(report)),
        Err(Unserved::Fault(fault)) => Err(Failure::Fault(fault)),
    }
}
