//! The integration suite.

mod config;
