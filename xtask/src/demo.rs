//! demo
use crate::workspace::Workspace;
use anyhow::Result;
pub(crate) fn run(_w: &Workspace, _keep: bool) -> Result<()> {
    Ok(())
}
