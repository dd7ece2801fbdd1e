//! Compression of pages, by `Accept-Encoding`.

use http::{HeaderMap, HeaderValue, header::ACCEPT_ENCODING};

use super::list::preferences;

/// A page that is not larger is not worth it: it fits into a packet or two.
const WORTH_IT: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Encoding {
    Identity,
    #[cfg(feature = "gzip")]
    Gzip,
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Encoding {
    /// The best first.
    const ALL: &[Self] = &[
        #[cfg(feature = "zstd")]
        Self::Zstd,
        #[cfg(feature = "gzip")]
        Self::Gzip,
        Self::Identity,
    ];

    /// `None` for a page as it is.
    pub(super) const fn header_value(self) -> Option<HeaderValue> {
        match self {
            Self::Identity => None,
            #[cfg(feature = "gzip")]
            Self::Gzip => Some(HeaderValue::from_static("gzip")),
            #[cfg(feature = "zstd")]
            Self::Zstd => Some(HeaderValue::from_static("zstd")),
        }
    }

    fn is(self, name: &str) -> bool {
        let is = |own: &str| own.eq_ignore_ascii_case(name);
        match self {
            Self::Identity => is("identity"),
            #[cfg(feature = "gzip")]
            Self::Gzip => is("gzip") || is("x-gzip"),
            #[cfg(feature = "zstd")]
            Self::Zstd => is("zstd"),
        }
    }

    /// Whether `*` stands for it. Who says it need not know a coding as young as zstd.
    const fn is_any(self) -> bool {
        match self {
            Self::Identity => true,
            #[cfg(feature = "gzip")]
            Self::Gzip => true,
            #[cfg(feature = "zstd")]
            Self::Zstd => false,
        }
    }

    /// `None` if there is nothing to do, or it fails.
    #[cfg_attr(
        not(any(feature = "gzip", feature = "zstd")),
        expect(unused_variables, reason = "there is nothing to do")
    )]
    fn compress(self, page: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Identity => None,
            #[cfg(feature = "gzip")]
            Self::Gzip => {
                use std::io::Write as _;

                let compressed = Vec::with_capacity(page.len() / 8);
                // Of text like this, level 3 makes nearly as little as level 6, in less than half the
                // time; level 1 is half again as large.
                let level = flate2::Compression::new(3);
                let mut encoder = flate2::write::GzEncoder::new(compressed, level);
                encoder.write_all(page).ok()?;
                encoder.finish().ok()
            }
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::bulk::compress(page, 1).ok(),
        }
    }
}

/// The encoding that a scraper likes best, and whether it takes a page as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Encodings {
    best: Encoding,
    identity: bool,
}

impl Encodings {
    /// `None` if none is acceptable, not even the page as it is.
    pub(super) fn negotiate(headers: &HeaderMap, compression: bool) -> Option<Self> {
        let preferences = preferences(headers, ACCEPT_ENCODING).collect::<Vec<_>>();
        let stated = |encoding: Encoding| {
            let named = preferences.iter().find(|it| encoding.is(it.value()));
            let any = || {
                preferences
                    .iter()
                    .find(|it| encoding.is_any() && it.value() == "*")
            };
            Some(named.or_else(any)?.quality)
        };
        let identity = stated(Encoding::Identity);
        let best = Encoding::ALL
            .iter()
            .filter(|encoding| compression && **encoding != Encoding::Identity)
            .filter_map(|encoding| Some((stated(*encoding).filter(|quality| *quality > 0)?, *encoding)))
            // The first of the best: `max_by_key` gives the last.
            .rev()
            .max_by_key(|(quality, _)| *quality)
            // What is not mentioned is acceptable, but not wanted.
            .filter(|(quality, _)| *quality >= identity.unwrap_or(0));
        let identity = identity != Some(0);
        match best {
            Some((_, best)) => Some(Self { best, identity }),
            None => identity.then_some(Self {
                best: Encoding::Identity,
                identity,
            }),
        }
    }

    /// Encodes a page, unless that is not worth it.
    pub(super) fn encode(self, page: Vec<u8>) -> (Vec<u8>, Encoding) {
        let is_small = page.len() <= WORTH_IT && self.identity;
        let compressed = (!is_small).then(|| self.best.compress(&page)).flatten();
        match compressed {
            Some(compressed) => (compressed, self.best),
            None => (page, Encoding::Identity),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiate(accepted: &str) -> Option<Encodings> {
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, accepted.parse().unwrap())]);
        Encodings::negotiate(&headers, true)
    }

    #[cfg(feature = "gzip")]
    fn best(accepted: &str) -> Option<Encoding> {
        negotiate(accepted).map(|encodings| encodings.best)
    }

    #[test]
    fn nothing_is_compressed_unasked() {
        let identity = Some(Encodings {
            best: Encoding::Identity,
            identity: true,
        });
        assert_eq!(Encodings::negotiate(&HeaderMap::new(), true), identity);
        for accepted in [
            "",
            "identity",
            "br",
            "br, deflate;q=0.5",
            "gzip;q=0, zstd;q=0",
            "*;q=0, identity",
            "gzip;q=0.5, zstd;q=0.5, identity",
            "gzip;q=much",
        ] {
            assert_eq!(negotiate(accepted), identity, "{accepted}");
        }
    }

    #[test]
    fn nothing_acceptable_is_nothing() {
        for accepted in ["identity;q=0", "*;q=0", "br, *;q=0", "identity;q=0, br"] {
            assert_eq!(negotiate(accepted), None, "{accepted}");
        }
    }

    #[cfg(feature = "gzip")]
    #[test]
    fn gzip_is_had_for_the_asking_only() {
        for accepted in [
            "gzip",
            "GZip",
            "x-gzip",
            "gzip, deflate, br",
            "gzip;q=0.5",
            "gzip;q=0.5, identity;q=0.5",
            "*",
            "*;q=0.1",
            "identity;q=0, *",
        ] {
            assert_eq!(best(accepted), Some(Encoding::Gzip), "{accepted}");
        }
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, "gzip".parse().unwrap())]);
        let off = Encodings::negotiate(&headers, false).unwrap();
        assert_eq!(off.best, Encoding::Identity);
    }

    #[cfg(all(feature = "gzip", feature = "zstd"))]
    #[test]
    fn zstd_is_better_if_it_is_as_welcome() {
        for (accepted, encoding) in [
            ("gzip, zstd", Encoding::Zstd),
            ("gzip;q=0.9, zstd;q=0.8", Encoding::Gzip),
            ("zstd;q=0, *", Encoding::Gzip),
            ("identity;q=0, zstd", Encoding::Zstd),
        ] {
            assert_eq!(best(accepted), Some(encoding), "{accepted}");
        }
    }

    #[cfg(feature = "gzip")]
    #[test]
    fn a_small_page_stays_as_it_is_where_that_is_acceptable() {
        let small = vec![b'a'; WORTH_IT];
        let large = vec![b'a'; WORTH_IT + 1];
        let gzip = negotiate("gzip").unwrap();
        assert_eq!(
            gzip.encode(small.clone()),
            (small.clone(), Encoding::Identity)
        );
        assert_eq!(gzip.encode(large).1, Encoding::Gzip);
        let only = negotiate("gzip, identity;q=0").unwrap();
        assert_eq!(only.encode(small).1, Encoding::Gzip);
    }
}
