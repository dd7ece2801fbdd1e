//! Tests against real servers; see `tests/`.
