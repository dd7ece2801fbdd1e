//! MCP client configurations: what they start, with which secrets, and what they tell the model.

mod environment;
mod hidden;
mod jsonc;
mod network;
mod node;
mod packages;
mod secrets;
mod server;
mod shell;

use std::io::Read as _;

use self::node::{Node, join};
use self::server::{Server, groups};
use super::engine::{Candidate, Chosen, Verdict};
use super::error::ScanError;
use super::finding::Severity;
use super::report::Report;
use super::source::{Context, Source};
use super::text::clip;

/// What a directory is searched for, for an error's text.
pub(super) const LOOKED_FOR: &str =
    "MCP configurations: .json or .jsonc files with \"mcpServers\" or \"servers\"";

/// `serde_json` gives up at 128 levels.
const PARSER_DEPTH: usize = 127;

/// Where rules put what they find.
pub(super) struct Notes<'a> {
    report: &'a mut Report,
    /// The file and a colon in a directory scan, nothing in a scan of one file.
    prefix: String,
}

impl Notes<'_> {
    fn add(
        &mut self,
        severity: Severity,
        rule: &'static str,
        path: &str,
        message: impl Into<String>,
    ) {
        self.report
            .add(severity, rule, format!("{}{path}", self.prefix), message);
    }
}

/// Scans one file.
pub(super) fn scan_file(
    candidate: Candidate<'_>,
    context: Context<'_>,
    report: &mut Report,
) -> Result<Verdict, ScanError> {
    let Candidate {
        file,
        path,
        size,
        chosen,
    } = candidate;
    let limits = context.limits;
    let named = chosen == Chosen::Named;
    if !named && !is_json(path) {
        return Ok(Verdict::SomethingElse);
    }
    if size > limits.max_config_bytes {
        // A directory is full of other JSON, some of it huge.
        if !named && !is_configuration(path) {
            return Ok(Verdict::SomethingElse);
        }
        return Err(ScanError::too_large(
            path,
            "max_config_bytes",
            limits.max_config_bytes,
        ));
    }
    let mut bytes = Vec::new();
    Source::new(file, path, size, context.progress)
        .and_then(|mut source| source.read_to_end(&mut bytes))
        .map_err(|error| ScanError::io(path, error))?;
    let root = jsonc::plain(bytes, limits.max_json_depth.min(PARSER_DEPTH)).and_then(|bytes| {
        serde_json::from_slice::<Node>(&bytes)
            .map_err(|error| format!("it is no JSON: {}", clip(&error.to_string(), 200)))
    });
    let root = root.map_err(|reason| ScanError::unparseable(path, reason))?;
    let groups = groups(&root);
    if groups.is_empty() {
        if !named && !is_configuration(path) {
            return Ok(Verdict::SomethingElse);
        }
        return Err(ScanError::unparseable(
            path,
            "it is JSON without an \"mcpServers\" or \"servers\" object, so it configures no MCP servers",
        ));
    }
    let prefix = if named {
        String::new()
    } else {
        format!("{path}:")
    };
    let mut notes = Notes { report, prefix };
    for group in &groups {
        for name in group.repeated() {
            let message = "configured more than once: clients take the last, readers see the first";
            notes.add(
                Severity::Medium,
                "duplicate-server",
                &join(&group.path, name),
                message,
            );
        }
        for (name, node) in group.servers {
            context.progress.check()?;
            check(
                Server {
                    path: &join(&group.path, name),
                    node,
                },
                &mut notes,
            );
        }
    }
    // VS Code asks for these; a default is stored in the file all the same.
    if let Some(inputs) = root.get("inputs") {
        secrets::check_texts(inputs, "inputs", &mut notes);
    }
    Ok(Verdict::Scanned)
}

fn check(server: Server<'_>, notes: &mut Notes<'_>) {
    secrets::check(server, notes);
    shell::check(server, notes);
    packages::check(server, notes);
    network::check(server, notes);
    hidden::check(server, notes);
    environment::check(server, notes);
}

fn is_json(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    [".json", ".jsonc"]
        .iter()
        .any(|extension| path.ends_with(extension))
}

/// Whether the file's name says that it configures MCP servers.
fn is_configuration(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    name.contains("mcp") || name == "claude_desktop_config.json"
}
