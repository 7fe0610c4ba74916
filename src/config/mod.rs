//! Files and paths into the model.
