//! The one spelling of a JSON value, so that equal plans have equal hashes.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::exit::{Exit, Failure, Result};
use crate::model::plan::Plan;
use crate::model::text::hex;

/// `value` with the keys of every object sorted, without white space.
pub fn canonical_json(value: &impl Serialize) -> Result<String> {
    let spell =
        |error: serde_json::Error| Failure::new(Exit::Failed, format!("A value cannot be written as JSON: {error}."));
    let value = serde_json::to_value(value).map_err(spell)?;
    serde_json::to_string(&sorted(value)).map_err(spell)
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            entries.into_iter().map(|(key, value)| (key, sorted(value))).collect()
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// The SHA-256 of some bytes, hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A plan's hash: it covers the command, the basis, every choice, gate, guard and step, and nothing else.
pub fn plan_hash(plan: &Plan) -> Result<String> {
    Ok(sha256_hex(canonical_json(plan)?.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn key_order_does_not_matter_and_array_order_does() {
        let one = canonical_json(&json!({"b": [1, 2], "a": {"y": 1, "x": 2}})).unwrap();
        assert_eq!(one, r#"{"a":{"x":2,"y":1},"b":[1,2]}"#);
        assert_eq!(one, canonical_json(&json!({"a": {"x": 2, "y": 1}, "b": [1, 2]})).unwrap());
        assert_ne!(one, canonical_json(&json!({"a": {"x": 2, "y": 1}, "b": [2, 1]})).unwrap());
    }
}
