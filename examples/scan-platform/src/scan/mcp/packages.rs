//! `unpinned-package`: what is fetched at every start can be somebody else's code tomorrow.

use super::Notes;
use super::server::{Server, program};
use crate::scan::finding::Severity;
use crate::scan::text::clip;

pub(super) fn check(server: Server<'_>, notes: &mut Notes<'_>) {
    // Launchers hide behind `cmd /c npx …` and `env npx …`, so the launcher is looked for among the arguments too; a
    // command that has arguments in it is split.
    let mut words: Vec<(String, &str)> = Vec::new();
    if let Some(command) = server.command() {
        let at = server.at("command");
        let launches = |word: &str| {
            launcher(&program(word), "").is_some()
                || RUNNERS.iter().any(|(name, _)| *name == program(word))
        };
        if command.split_whitespace().next().is_some_and(launches) {
            words.extend(command.split_whitespace().map(|word| (at.clone(), word)));
        } else {
            words.push((at, command));
        }
    }
    words.extend(server.arguments());
    for (index, (_, word)) in words.iter().enumerate().take(8) {
        let next = words.get(index + 1).map_or("", |(_, next)| *next);
        let Some((launcher, skip)) = launcher(&program(word), next) else {
            continue;
        };
        let rest = words.get(index + 1 + skip..).unwrap_or_default();
        let fetched = match launcher {
            Launcher::Npm => npm(rest),
            Launcher::Python => python(rest),
            Launcher::Container => container(rest),
        };
        for (path, package) in fetched {
            let pinned = match launcher {
                Launcher::Npm => is_npm_pinned(package),
                Launcher::Python => is_python_pinned(package),
                Launcher::Container => is_image_pinned(package),
            };
            if !pinned {
                let remedy = match launcher {
                    Launcher::Npm => "name@1.2.3",
                    Launcher::Python => "name==1.2.3",
                    Launcher::Container => "image@sha256:…, or at least a version tag",
                };
                let message = format!(
                    "{:?} is fetched in whatever version is current when the server starts; write {remedy}",
                    clip(package, 100)
                );
                notes.add(Severity::Medium, "unpinned-package", path, message);
            }
        }
        return;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Launcher {
    Npm,
    Python,
    Container,
}

/// Package managers that launch only with the right first argument.
const RUNNERS: &[(&str, &[&str])] = &[
    ("bun", &["x"]),
    ("docker", &["run"]),
    ("npm", &["exec", "x"]),
    ("pipx", &["run"]),
    ("pnpm", &["dlx"]),
    ("podman", &["run"]),
    ("uv", &["tool", "x"]),
    ("yarn", &["dlx"]),
];

/// The launcher a program is, and how many arguments belong to its name.
fn launcher(program: &str, next: &str) -> Option<(Launcher, usize)> {
    Some(match (program, next) {
        ("npx" | "bunx" | "pnpx", _) => (Launcher::Npm, 0),
        ("npm", "exec" | "x") | ("pnpm" | "yarn", "dlx") | ("bun", "x") => (Launcher::Npm, 1),
        ("uvx", _) => (Launcher::Python, 0),
        ("pipx", "run") => (Launcher::Python, 1),
        ("uv", "tool") => (Launcher::Python, 2),
        ("docker" | "podman", "run") => (Launcher::Container, 1),
        _ => return None,
    })
}

type Word<'a> = (String, &'a str);

/// What npx and its like fetch: every `-p`/`--package`, or else the first argument.
fn npm<'a>(words: &'a [Word<'a>]) -> Vec<(&'a str, &'a str)> {
    fetched(
        words,
        &["-p", "--package"],
        &[
            "-c",
            "--call",
            "--registry",
            "-w",
            "--workspace",
            "--prefix",
            "--userconfig",
        ],
    )
}

/// What uvx and pipx fetch: `--from`/`--spec`, or else the first argument, and every `--with`.
fn python<'a>(words: &'a [Word<'a>]) -> Vec<(&'a str, &'a str)> {
    let takes = [
        "--python",
        "-p",
        "--index-url",
        "-i",
        "--index",
        "--default-index",
        "--extra-index-url",
        "--directory",
        "--project",
        "--env-file",
        "--pip-args",
        "--refresh-package",
        "-P",
    ];
    fetched(words, &["--from", "--spec", "--with"], &takes)
}

/// Packages given by one of `options`, and the first plain argument unless an option stands for it. `takes` are further
/// options with a value of their own.
fn fetched<'a>(words: &'a [Word<'a>], options: &[&str], takes: &[&str]) -> Vec<(&'a str, &'a str)> {
    let mut packages = Vec::new();
    let mut replaced = false;
    let mut at = 0;
    while let Some((path, word)) = words.get(at) {
        at += 1;
        if !word.starts_with('-') || *word == "--" {
            if *word == "--" {
                continue;
            }
            if !replaced {
                packages.push((path.as_str(), *word));
            }
            break;
        }
        let (name, value) = word
            .split_once('=')
            .map_or((*word, None), |(name, value)| (name, Some(value)));
        let known = options.contains(&name);
        if let (true, Some(value)) = (known, value) {
            packages.push((path.as_str(), value));
            replaced |= name != "--with";
        } else if known {
            if let Some((path, value)) = words.get(at) {
                packages.push((path.as_str(), *value));
                replaced |= name != "--with";
            }
            at += 1;
        } else if value.is_none() && takes.contains(&name) {
            at += 1;
        }
    }
    packages
}

/// The image of `docker run`: the first argument that is neither an option nor an option's value.
fn container<'a>(words: &'a [Word<'a>]) -> Vec<(&'a str, &'a str)> {
    // Options without a value; every other one has one.
    const FLAGS: &[&str] = &[
        "--detach",
        "--help",
        "--init",
        "--interactive",
        "--no-healthcheck",
        "--oom-kill-disable",
        "--privileged",
        "--publish-all",
        "--quiet",
        "--read-only",
        "--rm",
        "--sig-proxy",
        "--tty",
    ];
    let mut at = 0;
    while let Some((path, word)) = words.get(at) {
        at += 1;
        let Some(option) = word.strip_prefix('-') else {
            return vec![(path.as_str(), *word)];
        };
        let flag = if option.starts_with('-') {
            FLAGS.contains(word) || word.contains('=')
        } else {
            // `-it`, `-d`; or a value glued to its letter, `-eNAME=value`.
            option
                .bytes()
                .all(|letter| matches!(letter, b'd' | b'i' | b't' | b'P' | b'q'))
                || option.len() > 1
        };
        if !flag {
            at += 1;
        }
    }
    Vec::new()
}

/// `name@1.2.3` and `@scope/name@1.2.3`; a range, a tag such as `latest` or no version at all moves.
fn is_npm_pinned(package: &str) -> bool {
    if is_local(package) {
        return true;
    }
    let name = package.strip_prefix('@').unwrap_or(package);
    // Straight from a repository: pinned by a full commit.
    if name.contains("://") || name.starts_with("github:") || name.starts_with("git+") {
        return name
            .split_once('#')
            .is_some_and(|(_, commit)| is_commit(commit))
            || name.ends_with(".tgz");
    }
    name.split_once('@')
        .is_some_and(|(_, version)| is_version(version))
}

/// `name==1.2.3`, `name[extra]==1.2.3`, uvx's `name@1.2.3`, or a repository at a commit.
fn is_python_pinned(package: &str) -> bool {
    if is_local(package) {
        return true;
    }
    if let Some((_, address)) = package.split_once("git+") {
        let address = address.split('#').next().unwrap_or(address);
        return address
            .rsplit_once('@')
            .is_some_and(|(_, commit)| is_commit(commit));
    }
    if package.contains("://") {
        return package.contains("sha256=") || package.ends_with(".whl");
    }
    let version = package
        .split_once("==")
        .or_else(|| package.split_once('@'))
        .map(|(_, version)| version);
    version.is_some_and(|version| is_version(version.trim_start_matches('=')))
}

/// A digest, or a tag that is a version; `latest`, `main` and no tag move.
fn is_image_pinned(image: &str) -> bool {
    if let Some((_, digest)) = image.split_once("@sha256:") {
        return digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':')
        .is_some_and(|(_, tag)| tag.bytes().any(|byte| byte.is_ascii_digit()))
}

/// Exactly one version: `1.2`, `v1.2.3-beta.1+x`, with no operator and no `x`.
fn is_version(version: &str) -> bool {
    let version = version.trim().trim_start_matches('v');
    version.starts_with(|first: char| first.is_ascii_digit())
        && version.contains('.')
        && version
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_' | '!'))
        && !version
            .split('.')
            .any(|part| matches!(part, "x" | "X" | "*" | ""))
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_local(package: &str) -> bool {
    package.starts_with(['.', '/', '~'])
        || package.starts_with("file:")
        || package.get(1..3) == Some(":\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'a>(line: &'a str) -> Vec<Word<'a>> {
        line.split_whitespace()
            .map(|word| (String::new(), word))
            .collect()
    }

    #[test]
    fn exactly_one_version_is_pinned() {
        for package in [
            "a@1.2.3",
            "@scope/name@1.2.3",
            "a@v1.2.3-beta.1",
            "./local",
            "git+https://x/y#0123456789012345678901234567890123456789",
        ] {
            assert!(is_npm_pinned(package), "{package}");
        }
        for package in [
            "a",
            "@scope/name",
            "a@latest",
            "a@^1.2.3",
            "a@1",
            "a@1.x",
            "@scope/name@next",
            "github:a/b",
        ] {
            assert!(!is_npm_pinned(package), "{package}");
        }
        for package in ["a==1.2", "a[x]==1.2.3", "a@1.2.3"] {
            assert!(is_python_pinned(package), "{package}");
        }
        for package in [
            "a",
            "a>=1.2",
            "a@latest",
            "git+https://x/y",
            "git+https://x/y@main",
        ] {
            assert!(!is_python_pinned(package), "{package}");
        }
        for image in [
            "a:1.2",
            "ghcr.io/a/b:v3",
            &format!("a@sha256:{}", "0".repeat(64)),
        ] {
            assert!(is_image_pinned(image), "{image}");
        }
        for image in ["a", "localhost:5000/a", "a:latest", "a@sha256:1"] {
            assert!(!is_image_pinned(image), "{image}");
        }
    }

    #[test]
    fn the_package_is_found_among_the_options() {
        let first = |found: Vec<(&str, &str)>| {
            found
                .into_iter()
                .map(|(_, package)| package.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(first(npm(&words("-y a@1 --flag b"))), ["a@1"]);
        assert_eq!(first(npm(&words("--yes --package=a -p b run"))), ["a", "b"]);
        assert_eq!(first(npm(&words("--registry https://x a"))), ["a"]);
        assert_eq!(first(python(&words("--from a==1 b"))), ["a==1"]);
        assert_eq!(first(python(&words("--with c b"))), ["c", "b"]);
        assert_eq!(
            first(container(&words(
                "-i --rm -e KEY --network=none -v /a:/b image:1 cmd"
            ))),
            ["image:1"]
        );
        assert_eq!(
            first(container(&words("-it --name x -eK=v image"))),
            ["image"]
        );
    }
}
