//! Where this machine gets Debian's packages from: apt's sources, in both of their forms.

use std::fs;
use std::path::Path;

/// The first Debian archive among the machine's own sources.
pub(super) fn of_this_machine() -> Option<String> {
    let sources = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut sources: Vec<_> = sources.collect();
    sources.push("/etc/apt/sources.list".into());
    sources.sort();
    sources
        .iter()
        .filter_map(|path| Some((path, fs::read_to_string(path).ok()?)))
        .flat_map(|(path, text)| archives(path, &text))
        .next()
}

/// The Debian archives that a file of apt sources names, in either of its forms.
fn archives(path: &Path, text: &str) -> Vec<String> {
    let entries = match path.extension().and_then(|extension| extension.to_str()) {
        Some("sources") => deb822(text),
        Some("list") => one_line(text),
        _ => return Vec::new(),
    };
    entries
        .into_iter()
        .filter(Entry::is_debian)
        .map(|entry| entry.uri)
        .collect()
}

/// One address with one suite, as an entry of either form may name several.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    uri: String,
    suite: String,
    components: Vec<String>,
}

impl Entry {
    /// Others name their suites after Debian's and have a `main` too, but not a folder `debian`
    /// with it.
    fn is_debian(&self) -> bool {
        const NAMES: [&str; 10] = [
            "bullseye",
            "bookworm",
            "trixie",
            "forky",
            "duke",
            "sid",
            "oldstable",
            "stable",
            "testing",
            "unstable",
        ];
        let folder = self
            .uri
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default();
        NAMES.contains(&self.suite.as_str())
            && self.components.iter().any(|component| component == "main")
            && (folder == "debian" || folder == "debian.list")
    }
}

/// Stanzas of `Field: value`, see sources.list(5).
fn deb822(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .chain([""])
    {
        if line.trim().is_empty() {
            entries.extend(stanza(&fields));
            fields.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    entries
}

fn stanza(fields: &[(String, String)]) -> Vec<Entry> {
    let words = |name: &str| -> Vec<String> {
        let values = fields
            .iter()
            .filter(|field| field.0 == name)
            .map(|field| &field.1);
        values
            .flat_map(|value| value.split_whitespace())
            .map(str::to_owned)
            .collect()
    };
    let off = ["no", "false", "0", "off", "without", "disable"];
    if words("enabled")
        .iter()
        .any(|word| off.contains(&word.as_str()))
    {
        return Vec::new();
    }
    if !words("types").iter().any(|word| word == "deb") {
        return Vec::new();
    }
    let mut entries = Vec::new();
    for uri in words("uris") {
        for suite in words("suites") {
            entries.push(Entry {
                uri: uri.clone(),
                suite,
                components: words("components"),
            });
        }
    }
    entries
}

/// Lines of `deb [options] uri suite component…`, see sources.list(5).
fn one_line(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let line = line.split('#').next().unwrap_or_default().trim();
        let rest = line
            .strip_prefix("deb")?
            .strip_prefix([' ', '\t'])?
            .trim_start();
        let rest = if rest.starts_with('[') {
            rest.split_once(']')?.1
        } else {
            rest
        };
        let mut words = rest.split_whitespace().map(str::to_owned);
        Some(Entry {
            uri: words.next()?,
            suite: words.next()?,
            components: words.collect(),
        })
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_deb822(text: &str) -> Vec<String> {
        archives(Path::new("/etc/apt/sources.list.d/debian.sources"), text)
    }

    fn of_list(text: &str) -> Vec<String> {
        archives(Path::new("/etc/apt/sources.list"), text)
    }

    #[test]
    fn the_archive_is_found_in_the_deb822_form_of_a_container() {
        let text = "Types: deb\n# http://old.example/archive/debian/20250520T000000Z\n\
                    URIs: http://archive.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\
                    Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
                    Types: deb\nURIs: http://archive.example/debian-security\nSuites: bookworm-security\nComponents: main\n";
        assert_eq!(of_deb822(text), ["http://archive.example/debian"]);
    }

    #[test]
    fn deb822_takes_lists_continuations_and_any_case() {
        let text = "types: deb deb-src\nURIS: https://a.example/debian/\n https://b.example/debian\n\
                    suites:\n stable\ncomponents: main contrib\n";
        assert_eq!(
            of_deb822(text),
            ["https://a.example/debian/", "https://b.example/debian"]
        );
    }

    #[test]
    fn deb822_leaves_out_what_is_off_and_what_is_source() {
        let rest = "URIs: http://a.example/debian\nSuites: trixie\nComponents: main\n";
        assert!(of_deb822(&format!("Enabled: no\nTypes: deb\n{rest}")).is_empty());
        assert!(of_deb822(&format!("Types: deb-src\n{rest}")).is_empty());
        assert_eq!(
            of_deb822(&format!("Enabled: yes\nTypes: deb\n{rest}")).len(),
            1
        );
    }

    #[test]
    fn the_archive_is_found_in_the_one_line_form() {
        let text = "# deb http://old.example/debian bookworm main\n\
                    deb-src http://a.example/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://b.example/debian bookworm main contrib # here\n\
                    deb http://security.example/debian-security bookworm-security main\n\
                    deb\thttp://c.example/debian/ bookworm-updates main\n";
        assert_eq!(of_list(text), ["http://b.example/debian"]);
    }

    #[test]
    fn the_list_of_mirrors_of_a_cloud_image_is_an_archive() {
        let text = "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: trixie\nComponents: main\n";
        assert_eq!(
            of_deb822(text),
            ["mirror+file:///etc/apt/mirrors/debian.list"]
        );
    }

    #[test]
    fn the_archives_of_others_are_not_taken_for_debian() {
        let text = "deb https://packages.example/debian/12/prod bookworm main\n\
                    deb https://node.example/node_20.x bookworm main\n\
                    deb https://engine.example/linux/debian bookworm stable\n\
                    deb http://archive.example/ubuntu noble main\n";
        assert_eq!(of_list(text), Vec::<String>::new());
    }

    #[test]
    fn a_file_apt_does_not_read_is_not_read() {
        let text = "deb http://a.example/debian bookworm main\n";
        assert!(
            archives(
                Path::new("/etc/apt/sources.list.d/debian.list.disabled"),
                text
            )
            .is_empty()
        );
    }
}
