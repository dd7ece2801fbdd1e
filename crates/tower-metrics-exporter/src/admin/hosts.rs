use std::net::IpAddr;

use http::{Request, header::HOST, uri::Authority};

/// The names that a client may call this server by.
///
/// A page in a browser can have its own name point to this machine, and then ask it in that name; it cannot
/// make the browser send another `Host`. Addresses are not names.
#[derive(Clone, Debug)]
pub(super) enum Hosts {
    Any,
    /// In lower case, beside `localhost`.
    Named(Vec<String>),
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostError {
    /// It has no `Host`, two, or one that is none.
    Malformed,
    /// It is for somebody else.
    Foreign,
}

impl Hosts {
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), HostError> {
        let Self::Named(names) = self else {
            return Ok(());
        };
        let mut hosts = request.headers().get_all(HOST).iter();
        let host = hosts.next();
        if hosts.next().is_some() {
            return Err(HostError::Malformed);
        }
        let host = host.map(|host| {
            let host = host.to_str().ok().and_then(|host| host.parse().ok());
            host.ok_or(HostError::Malformed)
        });
        let host: Option<Authority> = host.transpose()?;
        let authority = request.uri().authority();
        if host.is_none() && authority.is_none() {
            return Err(HostError::Malformed);
        }
        // HTTP/2 has it in the target, HTTP/1 may have it in both.
        let mut given = host.iter().chain(authority);
        if given.all(|given| is_one_of(given, names)) {
            Ok(())
        } else {
            Err(HostError::Foreign)
        }
    }
}

fn is_one_of(authority: &Authority, names: &[String]) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if address.parse::<IpAddr>().is_ok() {
        return true;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut names = names.iter().map(String::as_str).chain(["localhost"]);
    names.any(|name| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_known_names_are_ours_and_nothing_else() {
        use HostError::{Foreign, Malformed};

        let hosts = Hosts::Named(vec![String::from("platform")]);
        let no_host = &[][..];
        for (target, host, expected) in [
            ("/", &["localhost:9090"][..], Ok(())),
            ("/", &["LOCALHOST"], Ok(())),
            ("/", &["localhost."], Ok(())),
            ("/", &["127.0.0.1:9090"], Ok(())),
            ("/", &["10.1.2.3"], Ok(())),
            ("/", &["[::1]:9090"], Ok(())),
            ("/", &["Platform:9090"], Ok(())),
            ("http://platform/", no_host, Ok(())),
            ("http://platform/", &["localhost"], Ok(())),
            ("/", &["evil.example"], Err(Foreign)),
            ("/", &["platform.evil.example"], Err(Foreign)),
            ("/", &["localhost.evil.example"], Err(Foreign)),
            ("/", &["127.0.0.1.evil.example"], Err(Foreign)),
            ("/", &["evil.example@localhost"], Err(Foreign)),
            ("/", &["localhost@evil.example"], Err(Foreign)),
            ("/", &["127.1"], Err(Foreign)),
            ("http://evil.example/", &["localhost"], Err(Foreign)),
            ("http://localhost/", &["evil.example"], Err(Foreign)),
            ("/", no_host, Err(Malformed)),
            ("/", &[""], Err(Malformed)),
            ("/", &["local host"], Err(Malformed)),
            ("/", &["\u{fc}"], Err(Malformed)),
            ("/", &["localhost", "localhost"], Err(Malformed)),
        ] {
            let mut request = Request::builder().uri(target);
            for host in host {
                request = request.header(HOST, *host);
            }
            let request = request.body(()).unwrap();
            assert_eq!(hosts.check(&request), expected, "{target} {host:?}");
            assert_eq!(Hosts::Any.check(&request), Ok(()));
        }
    }
}
