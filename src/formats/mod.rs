//! Pure readers of every artefact.
