//! What this machine and these settings have that keeps steps in their cells.

use crate::cli::exit::Exit;
use crate::cli::open::Settings;
use crate::cli::print;

/// Looks, and prints what is there.
pub(super) async fn look(_settings: &Settings) -> anyhow::Result<Exit> {
    print::text("")?;
    Ok(Exit::Done)
}
