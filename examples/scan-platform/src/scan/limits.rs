//! What a scan may cost.

/// What a scan may cost. Each is a hard bound; the defaults fit real checkpoints and real configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest model file read, 64 GiB. Models are streamed, so this bounds time and not memory.
    pub max_file_bytes: u64,
    /// Largest MCP configuration read, 2 MiB: it is held in memory.
    pub max_config_bytes: u64,
    /// Deepest JSON nesting, 64. `serde_json` itself stops at 128, so a greater value has no effect.
    pub max_json_depth: usize,
    /// Files looked at in a directory, 10,000.
    pub max_files: usize,
    /// Directory levels below the target, 16.
    pub max_depth: usize,
    /// Findings kept, 1,000; the most severe are, and a closing `findings-truncated` says how many are not.
    pub max_findings: usize,
    /// Entries in one archive, 20,000.
    pub max_archive_entries: usize,
    /// Bytes at an archive's end that may hold its central directory, 16 MiB.
    pub max_archive_directory_bytes: u64,
    /// Bytes one compressed archive entry may inflate to, 4 GiB.
    pub max_archive_entry_bytes: u64,
    /// Bytes all compressed entries of one archive may inflate to, 16 GiB.
    pub max_archive_total_bytes: u64,
    /// Pickle opcodes in one file or archive entry, 100 million.
    pub max_opcodes: u64,
    /// Values on the abstract pickle stack, 1 million.
    pub max_stack: usize,
    /// Memoised values in one pickle, 1 million.
    pub max_memo: usize,
    /// Bytes of names (strings short enough to be an import) held at once, 32 MiB.
    pub max_name_bytes: usize,
    /// Pickles inside byte strings of pickles, 4 levels.
    pub max_pickle_nesting: usize,
    /// Largest safetensors header, 32 MiB. The format itself allows 100 MB.
    pub max_header_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        Self {
            max_file_bytes: 64 * GIB,
            max_config_bytes: 2 * MIB,
            max_json_depth: 64,
            max_files: 10_000,
            max_depth: 16,
            max_findings: 1_000,
            max_archive_entries: 20_000,
            max_archive_directory_bytes: 16 * MIB,
            max_archive_entry_bytes: 4 * GIB,
            max_archive_total_bytes: 16 * GIB,
            max_opcodes: 100_000_000,
            max_stack: 1_000_000,
            max_memo: 1_000_000,
            max_name_bytes: 32 << 20,
            max_pickle_nesting: 4,
            max_header_bytes: 32 * MIB,
        }
    }
}
