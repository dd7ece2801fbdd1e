//! The atomics of what a model checker checks, which compiles the same file with its own.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
