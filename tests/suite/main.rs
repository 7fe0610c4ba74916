//! The integration suite.

mod transport;
