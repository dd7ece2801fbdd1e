//! Integration tests across the crates; see `tests/`.
