//! `enroll`: a host key is looked at once, by a person or against what is given, and then trusted.
use super::app::App;
use super::args::Enroll;
use crate::model::exit::{Exit, Result};

/// x
pub fn run_enroll(_app: &mut App, _enroll: &Enroll) -> Result<Exit> {
    Ok(Exit::Done)
}
