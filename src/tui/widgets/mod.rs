//! Pieces pages are made of. Each draws inside the canvas it is given, whatever its size.

pub mod bar;
pub mod calendar;
pub mod chart;
pub mod field;
pub mod lines;
pub mod list;
pub mod panel;
pub mod panes;
pub mod scroll;
pub mod sheet;
pub mod throughput;
