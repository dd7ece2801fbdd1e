//! What the tests share: a counting allocator, scripted bodies, loopback servers and a recording
//! observer.

pub mod alloc;
pub mod body;
pub mod drive;
pub mod ends;
pub mod serve;
pub mod shapes;
