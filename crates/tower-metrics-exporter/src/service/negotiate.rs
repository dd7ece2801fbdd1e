//! Which format a scraper gets, by its `Accept`.

use std::cmp::Reverse;

use http::{HeaderMap, header::ACCEPT};

use super::list::{Preference, preferences};
use crate::Format;

/// The best of the formats on offer, or `None` if none is acceptable.
///
/// Who states no preference, or none that can be read, gets text, as from every exporter; so does who
/// takes anything. Otherwise the highest weight decides, then a format named rather than met by a
/// wildcard, then the order of the request.
pub(super) fn negotiate(headers: &HeaderMap, offered: &[Format]) -> Option<Format> {
    let ranges = preferences(headers, ACCEPT)
        .filter(|range| is_media_range(range.value()))
        .collect::<Vec<_>>();
    let text = offered.iter().filter(|format| **format == Format::Text);
    let others = offered.iter().filter(|format| **format != Format::Text);
    let mut by_default = text.chain(others).copied();
    if ranges.is_empty() {
        return by_default.next();
    }
    by_default
        .enumerate()
        .filter_map(|(at, format)| Some((rank(&ranges, format)?, Reverse(at), format)))
        .max_by_key(|(rank, at, _)| (*rank, *at))
        .map(|(.., format)| format)
}

fn is_media_range(value: &str) -> bool {
    value
        .split_once('/')
        .is_some_and(|(kind, subtype)| !kind.is_empty() && !subtype.is_empty())
}

/// The weight of a format, whether it is named, and where. Of several ranges the most precise counts
/// (RFC 9110, 12.5.1).
fn rank(ranges: &[Preference<'_>], format: Format) -> Option<(u16, bool, Reverse<usize>)> {
    ranges
        .iter()
        .enumerate()
        .filter_map(|(at, range)| Some((precision(range, format)?, range.quality, Reverse(at))))
        .max()
        .filter(|(_, quality, _)| *quality > 0)
        .map(|(precision, quality, at)| (quality, precision >= Precision::Type, at))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Anything,
    AnySubtype,
    Type,
    Version,
}

/// How precisely a range says that it wants this format, if it does.
///
/// As in Prometheus' own libraries (`expfmt.Negotiate`) a version has to be one that is known, and
/// `escaping`, `charset` and the like are not looked at.
fn precision(range: &Preference<'_>, format: Format) -> Option<Precision> {
    let value = range.value();
    if value == "*/*" {
        return Some(Precision::Anything);
    }
    let (kind, subtype) = value.split_once('/')?;
    let (own_kind, own_subtype) = match format {
        Format::Text => ("text", "plain"),
        Format::OpenMetrics => ("application", "openmetrics-text"),
        Format::Protobuf => ("application", "vnd.google.protobuf"),
    };
    if !kind.eq_ignore_ascii_case(own_kind) {
        return None;
    }
    if subtype == "*" {
        return Some(Precision::AnySubtype);
    }
    if !subtype.eq_ignore_ascii_case(own_subtype) {
        return None;
    }
    match (format, range.parameter("version")) {
        (Format::Protobuf, _) => {
            let is_ours = range.parameter("proto") == Some("io.prometheus.client.MetricFamily")
                && matches!(range.parameter("encoding"), None | Some("delimited"));
            is_ours.then_some(Precision::Version)
        }
        (_, None) => Some(Precision::Type),
        (Format::Text, Some("0.0.4")) | (Format::OpenMetrics, Some("1.0.0" | "0.0.1")) => {
            Some(Precision::Version)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use Format::{OpenMetrics, Protobuf, Text};
    use proptest::prelude::*;

    use super::*;

    fn accept(lines: &[&str]) -> HeaderMap {
        let lines = lines.iter().map(|line| (ACCEPT, line.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(name, line);
        }
        headers
    }

    fn all(accepted: &str) -> Option<Format> {
        negotiate(&accept(&[accepted]), &[Protobuf, OpenMetrics, Text])
    }

    #[test]
    fn prometheus_gets_what_it_likes_best() {
        const PROTO: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        for (accepted, best) in [
            // 2.42.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1".to_owned(),
                OpenMetrics,
            ),
            // 2.53, and with native histograms.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2".to_owned(),
                OpenMetrics,
            ),
            (
                format!("{PROTO};q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,application/openmetrics-text;version=0.0.1;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"),
                Protobuf,
            ),
            // 3.5, and with native histograms.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1".to_owned(),
                OpenMetrics,
            ),
            (
                format!("{PROTO};q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"),
                Protobuf,
            ),
        ] {
            assert_eq!(all(&accepted), Some(best), "{accepted}");
            // Every one of them takes plain text, too.
            assert_eq!(negotiate(&accept(&[&accepted]), &[Text]), Some(Text), "{accepted}");
        }
    }

    #[test]
    fn the_highest_weight_decides() {
        for (accepted, best) in [
            (
                "text/plain;q=1, application/openmetrics-text;q=0.1",
                Some(Text),
            ),
            (
                "text/plain;q=.1, application/openmetrics-text;q=.2",
                Some(OpenMetrics),
            ),
            (
                "text/plain;q=0.001, application/openmetrics-text;q=0",
                Some(Text),
            ),
            // Equal weights: named, then first.
            (
                "application/openmetrics-text, text/plain;version=0.0.4",
                Some(OpenMetrics),
            ),
            ("text/plain, application/openmetrics-text", Some(Text)),
            ("*/*, application/openmetrics-text", Some(OpenMetrics)),
            // What is named more precisely keeps its own weight.
            ("*/*, text/plain;q=0", Some(Protobuf)),
            ("*/*, application/*;q=0", Some(Text)),
            (
                "application/*;q=0, application/openmetrics-text;q=0.1",
                Some(OpenMetrics),
            ),
            (
                "text/plain;q=0.9, text/plain;version=0.0.4;q=0, application/*;q=0.1",
                Some(Protobuf),
            ),
            // Either version of OpenMetrics will do.
            (
                "application/openmetrics-text;version=0.0.1;q=0, application/openmetrics-text;version=1.0.0",
                Some(OpenMetrics),
            ),
            (
                "application/openmetrics-text;version=0.0.1",
                Some(OpenMetrics),
            ),
            (
                "Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8",
                Some(OpenMetrics),
            ),
        ] {
            assert_eq!(all(accepted), best, "{accepted}");
        }
    }

    #[test]
    fn who_takes_anything_or_says_nothing_readable_gets_text() {
        for accepted in [
            "*/*",
            "text/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "",
            " , ;",
            "nonsense",
            "/, text/, /plain",
            "text/plain;q=high",
            "*; q=.2",
        ] {
            assert_eq!(all(accepted), Some(Text), "{accepted}");
        }
        assert_eq!(
            negotiate(&HeaderMap::new(), &[OpenMetrics, Text]),
            Some(Text)
        );
        assert_eq!(
            negotiate(&HeaderMap::new(), &[OpenMetrics]),
            Some(OpenMetrics)
        );
        assert_eq!(
            negotiate(&accept(&["*/*"]), &[Protobuf, OpenMetrics]),
            Some(Protobuf)
        );
        assert_eq!(negotiate(&HeaderMap::new(), &[]), None);
    }

    #[test]
    fn what_is_not_on_offer_is_not_given() {
        for accepted in [
            "text/html",
            "image/*",
            "*/*;q=0",
            "*/plain",
            "text/plain;q=0",
            "text/plain;version=1.0.0;escaping=allow-utf-8",
            "application/openmetrics-text;version=2.0.0",
            "application/vnd.google.protobuf",
            "application/vnd.google.protobuf;proto=other.Message;encoding=delimited",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
        ] {
            assert_eq!(all(accepted), None, "{accepted}");
        }
        let openmetrics = accept(&["application/openmetrics-text"]);
        assert_eq!(negotiate(&openmetrics, &[Text]), None);
    }

    #[test]
    fn protobuf_is_delimited_where_it_is_not_said() {
        let accepted = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily";
        assert_eq!(all(accepted), Some(Protobuf));
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = accept(&["text/plain;q=0.5", "\"", "application/openmetrics-text"]);
        assert_eq!(negotiate(&lines, &[Text, OpenMetrics]), Some(OpenMetrics));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_what_is_given_is_on_offer(
            lines in proptest::collection::vec(accepted_line(), 0..4),
            offered in proptest::sample::subsequence(Format::ALL.to_vec(), 0..=3),
        ) {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(ACCEPT, line.parse().unwrap());
            }
            let given = negotiate(&headers, &offered);
            prop_assert!(given.is_none_or(|given| offered.contains(&given)));
            // More on offer never makes what was had impossible.
            let of_all = negotiate(&headers, &Format::ALL);
            prop_assert!(given.is_none() || of_all.is_some());
        }
    }

    fn accepted_line() -> impl Strategy<Value = String> {
        let parts = [
            "text/plain",
            "text/*",
            "*/*",
            "application/openmetrics-text",
            "application/vnd.google.protobuf",
            ";",
            ",",
            "=",
            "\"",
            "\\",
            " ",
            "q=0",
            "q=0.5",
            "q=",
            "version=1.0.0",
            "version=0.0.4",
            "proto=io.prometheus.client.MetricFamily",
        ];
        let parts = proptest::collection::vec(proptest::sample::select(parts.to_vec()), 0..12);
        prop_oneof![parts.prop_map(|parts| parts.concat()), "[ -~]{0,40}"]
    }
}
