//! Rules about the source itself.

mod layers;
