//! A small security-scan platform.
