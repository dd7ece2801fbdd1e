//! What the tests share: a counting allocator.

pub mod alloc;
