//! What a scan looks for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a scan looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScanType {
    /// MCP client configurations: which servers are started, how, and with which secrets.
    Mcp,
    /// Model files: pickles and the containers that carry them, NumPy arrays, safetensors.
    Model,
}

impl ScanType {
    /// Every scan type.
    pub const ALL: [Self; 2] = [Self::Mcp, Self::Model];

    /// `mcp` or `model`, the same text [`FromStr`] and serde take.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mcp => "mcp",
            Self::Model => "model",
        }
    }
}

impl fmt::Display for ScanType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ScanType {
    type Err = UnknownScanType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownScanType(super::text::clip(text, 40)))
    }
}

/// A text that names no [`ScanType`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownScanType(String);

impl fmt::Display for UnknownScanType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown scan type {:?}: use \"mcp\" or \"model\"",
            self.0
        )
    }
}

impl std::error::Error for UnknownScanType {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_type_survives_text_and_serde() {
        for kind in ScanType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
            assert_eq!(serde_json::from_str::<ScanType>(&json).unwrap(), kind);
        }
        let error = "MCP".parse::<ScanType>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown scan type \"MCP\": use \"mcp\" or \"model\""
        );
    }
}
