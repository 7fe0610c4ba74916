//! A driver's own part of the facts: written by its probe, read back by its items and plans.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::exit::{Exit, Failure, Result};
use crate::model::facts::Facts;

/// Reads a driver's own facts back.
///
/// # Errors
/// [`Exit::Stale`] when another version wrote them, or the probe found too little to have any.
pub fn own_facts<T: DeserializeOwned>(facts: &Facts) -> Result<T> {
    serde_json::from_value(facts.own.clone()).map_err(|error| {
        let message = format!("What is known of this service cannot be read by this version ({error}).");
        Failure::new(Exit::Stale, message).hint("Look at it again: lifeboat scan.")
    })
}

/// A driver's own facts as they stand in the envelope.
pub fn own_value(own: &impl Serialize) -> Value {
    serde_json::to_value(own).unwrap_or(Value::Null)
}
