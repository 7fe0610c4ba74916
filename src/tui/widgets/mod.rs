//! Pieces pages are made of. Each draws inside the canvas it is given, whatever its size.

pub mod list;
pub mod panel;
pub mod sheet;
pub mod throughput;
