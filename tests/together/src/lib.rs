//! Compiles the README's examples; see `tests/` for the rest.

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
