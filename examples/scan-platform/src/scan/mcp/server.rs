//! Where a configuration keeps its servers, whichever client it is for.

use std::collections::HashSet;

use super::node::{Node, join};

/// One configured server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server<'a> {
    pub(super) path: &'a str,
    pub(super) node: &'a Node,
}

impl<'a> Server<'a> {
    pub(super) fn at(&self, key: &str) -> String {
        join(self.path, key)
    }

    pub(super) fn command(&self) -> Option<&'a str> {
        self.node.get("command").and_then(Node::text)
    }

    /// The command without its folder and extension, lower-case: `C:\…\NPX.cmd` is `npx`.
    pub(super) fn program(&self) -> String {
        program(self.command().unwrap_or_default())
    }

    /// Arguments that are text, with their index. Some clients allow one text for all of them, or a command that has
    /// arguments in it.
    pub(super) fn arguments(&self) -> Vec<(String, &'a str)> {
        let path = self.at("args");
        match self.node.get("args") {
            Some(Node::Text(text)) => text
                .split_whitespace()
                .map(|argument| (path.clone(), argument))
                .collect(),
            Some(args) => args
                .items()
                .iter()
                .enumerate()
                .filter_map(|(index, item)| Some((format!("{path}[{index}]"), item.text()?)))
                .collect(),
            None => Vec::new(),
        }
    }

    /// Texts of an object such as `env` or `headers`: path, key, value.
    pub(super) fn entries(&self, key: &str) -> Vec<(String, &'a str, &'a str)> {
        let path = self.at(key);
        self.node
            .get(key)
            .map(Node::fields)
            .unwrap_or_default()
            .iter()
            .filter_map(|(name, value)| Some((join(&path, name), name.as_str(), value.text()?)))
            .collect()
    }

    /// The text of the first of `keys` that has one, with its path.
    pub(super) fn first_of(&self, keys: &[&str]) -> Option<(String, &'a str)> {
        keys.iter()
            .find_map(|key| Some((self.at(key), self.node.get(key)?.text()?)))
    }
}

pub(super) fn program(command: &str) -> String {
    let name = command
        .trim()
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    for extension in [".exe", ".cmd", ".bat", ".ps1"] {
        if let Some(stem) = name.strip_suffix(extension) {
            return stem.to_owned();
        }
    }
    name
}

/// An object whose fields are servers.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) path: String,
    pub(super) servers: &'a [(String, Node)],
}

impl Group<'_> {
    /// Names that are used more than once, each once.
    pub(super) fn repeated(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let mut told = HashSet::new();
        self.servers
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| !seen.insert(*name) && told.insert(*name))
            .collect()
    }
}

/// Every group of servers in `root`, or none if it configures no servers: `mcpServers` (Claude Desktop, Cursor and most
/// others), `servers` and `mcp.servers` (VS Code), `context_servers` (Zed), and `projects.*.mcpServers` (Claude Code).
pub(super) fn groups(root: &Node) -> Vec<Group<'_>> {
    let mut groups = Vec::new();
    collect(root, "", &mut groups);
    if let Some(mcp) = root.get("mcp") {
        collect(mcp, "mcp", &mut groups);
    }
    if let Some(projects) = root.get("projects") {
        for (name, project) in projects.fields() {
            collect(project, &join("projects", name), &mut groups);
        }
    }
    groups
}

fn collect<'a>(node: &'a Node, path: &str, groups: &mut Vec<Group<'a>>) {
    for (name, value) in node.fields() {
        let known = matches!(name.as_str(), "mcpServers" | "servers" | "context_servers");
        if let (true, Node::Object(servers)) = (known, value) {
            // `servers` is a common word; its fields must at least be objects.
            if name == "mcpServers"
                || servers
                    .iter()
                    .all(|(_, server)| matches!(server, Node::Object(_)))
            {
                groups.push(Group {
                    path: join(path, name),
                    servers,
                });
            }
        }
    }
}
