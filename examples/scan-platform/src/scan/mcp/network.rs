//! `plain-http`: anybody on the way reads the tokens and rewrites the tools.

use super::Notes;
use super::server::Server;
use crate::scan::finding::Severity;
use crate::scan::text::clip;

pub(super) fn check(server: Server<'_>, notes: &mut Notes<'_>) {
    let urls = server.first_of(&["url", "serverUrl", "httpUrl", "endpoint"]);
    for (path, text) in urls.into_iter().chain(server.arguments()) {
        let Some((scheme, host)) = plain_url(text) else {
            continue;
        };
        if is_loopback(&host) {
            let message = format!(
                "{scheme} to this machine: nobody else reads it, but any local program can answer"
            );
            notes.add(Severity::Low, "plain-http", &path, message);
        } else {
            let message = format!(
                "{scheme} to {:?} is neither encrypted nor authenticated; use TLS",
                clip(&host, 100)
            );
            notes.add(Severity::High, "plain-http", &path, message);
        }
    }
}

/// Scheme and host of a URL without TLS.
fn plain_url(text: &str) -> Option<(&'static str, String)> {
    let text = text.trim().to_ascii_lowercase();
    let at = text.find("://")?;
    let (scheme, rest) = (text.get(..at)?, text.get(at + 3..)?);
    let scheme = ["http", "ws"].into_iter().find(|plain| {
        // `--url=http://…` as well.
        scheme
            .strip_suffix(plain)
            .is_some_and(|before| !before.ends_with(|c: char| c.is_ascii_alphanumeric()))
    })?;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = if host.starts_with('[') {
        host.split(']')
            .next()
            .unwrap_or_default()
            .trim_start_matches('[')
    } else {
        host.split(':').next().unwrap_or_default()
    };
    Some((scheme, host.to_owned()))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_a_client_would_connect_to() {
        let host = |text| plain_url(text).map(|(scheme, host)| format!("{scheme} {host}"));
        assert_eq!(
            host("http://example.com:80/x").as_deref(),
            Some("http example.com")
        );
        assert_eq!(
            host("ws://localhost@evil.example/").as_deref(),
            Some("ws evil.example")
        );
        assert_eq!(host("--url=http://[::1]:9/").as_deref(), Some("http ::1"));
        assert_eq!(
            host("HTTP://A.example\\@b").as_deref(),
            Some("http a.example")
        );
        assert_eq!(host("https://example.com"), None);
        assert_eq!(host("wss://example.com"), None);
    }

    #[test]
    fn names_that_only_begin_like_loopback_are_not() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "a.localhost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
