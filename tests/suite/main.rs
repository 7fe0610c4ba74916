//! The integration suite.

mod vault;
