//! `env-override` and `broad-filesystem`: more power than a server needs.

use super::Notes;
use super::server::Server;
use crate::scan::finding::Severity;
use crate::scan::text::clip;

/// Variables that make an interpreter or the loader run something else first, or trust somebody else.
const OVERRIDES: &[(&str, &str)] = &[
    ("BASH_ENV", "names a script that bash runs first"),
    ("DYLD_INSERT_LIBRARIES", "loads a library into the process"),
    ("DYLD_LIBRARY_PATH", "replaces libraries"),
    ("ENV", "names a script that sh runs first"),
    ("GIT_SSH_COMMAND", "names a program that git runs"),
    ("HTTPS_PROXY", "sends the traffic through another host"),
    ("HTTP_PROXY", "sends the traffic through another host"),
    ("JAVA_TOOL_OPTIONS", "adds options such as an agent"),
    ("LD_AUDIT", "loads a library into the process"),
    ("LD_LIBRARY_PATH", "replaces libraries"),
    ("LD_PRELOAD", "loads a library into the process"),
    (
        "NODE_EXTRA_CA_CERTS",
        "trusts another certificate authority",
    ),
    ("NODE_OPTIONS", "adds options such as --require"),
    ("NODE_PATH", "replaces modules"),
    (
        "NODE_TLS_REJECT_UNAUTHORIZED",
        "can switch off the check of certificates",
    ),
    (
        "NPM_CONFIG_REGISTRY",
        "takes packages from another registry",
    ),
    ("PATH", "replaces programs"),
    ("PERL5OPT", "adds options such as -M"),
    ("PIP_INDEX_URL", "takes packages from another index"),
    ("PYTHONHOME", "replaces the standard library"),
    ("PYTHONPATH", "replaces modules"),
    ("PYTHONSTARTUP", "names a script that Python runs first"),
    ("RUBYOPT", "adds options such as -r"),
    ("UV_INDEX_URL", "takes packages from another index"),
];

pub(super) fn check(server: Server<'_>, notes: &mut Notes<'_>) {
    for (path, key, _) in server.entries("env") {
        if let Some((name, what)) = OVERRIDES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
        {
            notes.add(
                Severity::Medium,
                "env-override",
                &path,
                format!("{name} {what} when the server is started"),
            );
        }
    }
    let arguments = server.arguments();
    let is_filesystem = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.contains("server-filesystem")
            || text.contains("mcp-filesystem")
            || text.contains("filesystem-mcp")
    };
    let serves_files = server.command().is_some_and(is_filesystem)
        || arguments.iter().any(|(_, text)| is_filesystem(text));
    for (path, text) in arguments {
        // A container is given a folder as `-v /:/host` or `type=bind,src=/,dst=…`.
        let mounted = text.split_once(":/").map(|(host, _)| host).or_else(|| {
            text.split(',').find_map(|part| {
                part.strip_prefix("src=")
                    .or_else(|| part.strip_prefix("source="))
            })
        });
        let broad = if serves_files && is_broad(text) {
            Some(text)
        } else {
            mounted.filter(|host| is_broad(host) || host.is_empty())
        };
        if let Some(broad) = broad {
            let broad = if broad.is_empty() { "/" } else { broad };
            let message = format!(
                "gives the server all of {:?}, keys and browser profiles included; name a folder",
                clip(broad, 60)
            );
            notes.add(Severity::Medium, "broad-filesystem", &path, message);
        }
    }
}

/// Whether `path` is a whole disk or somebody's whole home.
fn is_broad(path: &str) -> bool {
    let path = path.trim();
    if path.starts_with('/') && path.chars().all(|c| matches!(c, '/' | '.')) {
        return true;
    }
    let path = path.trim_end_matches(['/', '\\']);
    if matches!(
        path,
        "~" | "$HOME"
            | "${HOME}"
            | "%USERPROFILE%"
            | "${env:HOME}"
            | "${userHome}"
            | "/root"
            | "/home"
            | "/Users"
    ) {
        return true;
    }
    let mut rest = path.chars();
    if let (Some(drive), Some(':'), None) = (rest.next(), rest.next(), rest.next()) {
        return drive.is_ascii_alphabetic();
    }
    let windows = path.replace('\\', "/");
    let below = path
        .strip_prefix("/home/")
        .or_else(|| path.strip_prefix("/Users/"))
        .or_else(|| {
            windows
                .get(1..)
                .and_then(|rest| rest.strip_prefix(":/Users/"))
        });
    below.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_disks_and_homes_are_broad_and_folders_are_not() {
        for path in [
            "/",
            "//",
            "~",
            "~/",
            "$HOME",
            "/home/alice",
            "/Users/alice/",
            "C:\\",
            "C:",
            "C:\\Users\\alice",
            "/root",
        ] {
            assert!(is_broad(path), "{path}");
        }
        for path in [
            "/home/alice/work",
            "~/work",
            "/srv/data",
            "C:\\work",
            ".",
            "",
            "-y",
            "@scope/server-filesystem",
        ] {
            assert!(!is_broad(path), "{path}");
        }
    }
}
