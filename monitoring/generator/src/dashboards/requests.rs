//! Requests: rate, errors, duration.

use super::model::{Dashboard, Panel, Row};

pub(crate) fn dashboard() -> Dashboard {
    Dashboard {
        name: "requests",
        title: "<<Prefix>> requests",
        description: "Rate, errors and duration of requests, by route.",
        instances: "<<requests_total>>",
        rows: vec![
            Row {
                title: "Objectives",
                panels: vec![
                    Panel::lines("Share of failed requests", "percentunit", "Server errors, panics and answers that broke off. The objective is 0.1 % over 30 days; 1.44 % for an hour pages.")
                        .query("(sum(rate(<<requests_total>>{<<target>>, <<endpoint>>!~\"<<unwatched>>\", <<status>>=~\"5..\"}[$__rate_interval])) or vector(0)) / sum(rate(<<requests_total>>{<<target>>, <<endpoint>>!~\"<<unwatched>>\"}[$__rate_interval]))", "failed")
                        .thresholds(0.001, 0.0144)
                        .width(12),
                    Panel::lines("Share of slow requests", "percentunit", "Requests that took longer than half a second, routes left out that run a scan before they answer. The objective is 1 % over 30 days; 14.4 % for an hour page.")
                        .query("1 - sum(rate(<<request_duration_seconds>>_bucket{<<target>>, <<endpoint>>!~\"<<unwatched>>|<<long>>\", le=\"0.5\"}[$__rate_interval])) / sum(rate(<<request_duration_seconds>>_count{<<target>>, <<endpoint>>!~\"<<unwatched>>|<<long>>\"}[$__rate_interval]))", "slow")
                        .thresholds(0.01, 0.144)
                        .width(12),
                ],
            },
            Row {
                title: "Requests",
                panels: vec![
                    Panel::stacked("Rate by route", "reqps", "Requests that ended, by route.")
                        .query("sum by (<<endpoint>>) (rate(<<requests_total>>{<<target>>}[$__rate_interval]))", "{{<<endpoint>>}}"),
                    Panel::stacked("Rate by status", "reqps", "Requests that ended, by status. 499: the client went away. 500: also panics, and bodies that broke off.")
                        .query("sum by (<<status>>) (rate(<<requests_total>>{<<target>>}[$__rate_interval]))", "{{<<status>>}}"),
                    Panel::stacked("Rate by method", "reqps", "Requests that ended, by method.")
                        .query("sum by (<<method>>) (rate(<<requests_total>>{<<target>>}[$__rate_interval]))", "{{<<method>>}}"),
                    Panel::lines("Duration", "s", "From the start of a request to the end of the response's body.")
                        .query("histogram_quantile(0.5, sum by (le) (rate(<<request_duration_seconds>>_bucket{<<target>>}[$__rate_interval])))", "P50")
                        .query("histogram_quantile(0.95, sum by (le) (rate(<<request_duration_seconds>>_bucket{<<target>>}[$__rate_interval])))", "P95")
                        .query("histogram_quantile(0.99, sum by (le) (rate(<<request_duration_seconds>>_bucket{<<target>>}[$__rate_interval])))", "P99")
                        .exemplars(),
                    Panel::lines("P95 by route", "s", "95 % of a route's requests took no longer.")
                        .query("histogram_quantile(0.95, sum by (<<endpoint>>, le) (rate(<<request_duration_seconds>>_bucket{<<target>>}[$__rate_interval])))", "{{<<endpoint>>}}")
                        .exemplars(),
                    Panel::heatmap("Durations", "s", "How many requests took how long.")
                        .query("sum by (le) (increase(<<request_duration_seconds>>_bucket{<<target>>}[$__rate_interval]))", "{{le}}"),
                    Panel::lines("Requests under way", "short", "Started and not yet ended.")
                        .query("sum by (<<method>>) (<<active_requests>>{<<target>>})", "{{<<method>>}}"),
                    Panel::lines("Size of answers", "bytes", "Half and 95 % of the bodies had no more bytes, as sent.")
                        .query("histogram_quantile(0.5, sum by (le) (rate(<<response_size_bytes>>_bucket{<<target>>}[$__rate_interval])))", "P50")
                        .query("histogram_quantile(0.95, sum by (le) (rate(<<response_size_bytes>>_bucket{<<target>>}[$__rate_interval])))", "P95"),
                    Panel::lines("Bytes sent", "Bps", "Of response bodies, by route.")
                        .query("sum by (<<endpoint>>) (rate(<<response_size_bytes>>_sum{<<target>>}[$__rate_interval]))", "{{<<endpoint>>}}"),
                ],
            },
            Row {
                title: "Streams",
                panels: vec![
                    Panel::lines("Streams under way", "short", "Server-sent events and lines of JSON that are being sent, by route.")
                        .query("sum by (<<endpoint>>) (<<active_streams>>{<<target>>})", "{{<<endpoint>>}}"),
                    Panel::lines("How long streams lasted", "s", "Half and 95 % of the streams that ended lasted no longer.")
                        .query("histogram_quantile(0.5, sum by (le) (rate(<<stream_duration_seconds>>_bucket{<<target>>}[$__rate_interval])))", "P50")
                        .query("histogram_quantile(0.95, sum by (le) (rate(<<stream_duration_seconds>>_bucket{<<target>>}[$__rate_interval])))", "P95"),
                    Panel::lines("Bytes of streams", "Bps", "As they go, by direction.")
                        .query("sum by (direction) (rate(<<stream_bytes_total>>{<<target>>}[$__rate_interval]))", "{{direction}}"),
                ],
            },
            Row {
                title: "gRPC",
                panels: vec![
                    Panel::stacked("Calls by method", "reqps", "gRPC calls that ended, by method.")
                        .query("sum by (<<rpc_method>>) (rate(<<rpc_handled_total>>{<<target>>}[$__rate_interval]))", "<<rpc_name>>"),
                    Panel::stacked("Calls by code", "reqps", "gRPC calls that ended, by code.")
                        .query("sum by (<<rpc_code>>) (rate(<<rpc_handled_total>>{<<target>>}[$__rate_interval]))", "{{<<rpc_code>>}}"),
                    Panel::lines("Duration of calls", "s", "95 % of a method's calls took no longer.")
                        .query("histogram_quantile(0.95, sum by (<<rpc_method>>, le) (rate(<<rpc_duration_seconds>>_bucket{<<target>>}[$__rate_interval])))", "<<rpc_name>>")
                        .exemplars(),
                    Panel::lines("Calls under way", "short", "Started and not yet ended.")
                        .query("sum by (<<rpc_method>>) (<<rpc_in_flight>>{<<target>>})", "<<rpc_name>>"),
                    Panel::lines("Messages", "ops", "Messages received and sent.")
                        .query("sum(rate(<<rpc_received_total>>{<<target>>}[$__rate_interval]))", "received")
                        .query("sum(rate(<<rpc_sent_total>>{<<target>>}[$__rate_interval]))", "sent"),
                ],
            },
        ],
    }
}
