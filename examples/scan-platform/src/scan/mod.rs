//! The scan engine: what an MCP client configuration or a model file would do to whoever loads it.
//!
//! Everything here is synchronous, reads only below a [`ScanRoot`], runs nothing it reads, and is bounded by
//! [`Limits`]: a hostile file costs a known amount of memory and ends in findings or in a [`ScanError`].
//!
//! ```
//! use scan_platform::scan::{self, Limits, Policy, Progress, ScanRoot, ScanType, Severities};
//!
//! let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
//! let root = ScanRoot::open(fixtures.as_ref())?;
//! let target = root.target("model/os-system-p2.pkl")?;
//! let findings = scan::scan(ScanType::Model, &target, &Limits::default(), &Progress::new())?;
//!
//! assert_eq!(findings[0].rule, "dangerous-import");
//! assert!(!Policy::default().passed(&Severities::of(&findings)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod engine;
mod error;
mod finding;
mod kind;
mod limits;
mod mcp;
mod model;
mod policy;
mod progress;
mod report;
mod source;
mod target;
mod text;

pub use engine::scan;
pub use error::ScanError;
pub use finding::{Finding, Severities, Severity};
pub use kind::{ScanType, UnknownScanType};
pub use limits::Limits;
pub use policy::Policy;
pub use progress::{Engine, EngineEnd, Progress, Step};
pub use target::{ScanRoot, Target, TargetError};
