//! Metrics and logs themselves.

use super::model::{Dashboard, Panel, Row};

pub(crate) fn dashboard() -> Dashboard {
    Dashboard {
        name: "telemetry",
        title: "<<Prefix>> exporter and logs",
        description: "Is what the other dashboards show whole?",
        instances: "exporter_scrapes_total",
        rows: vec![
            Row {
                title: "Exporter",
                panels: vec![
                    Panel::lines("Scrapes by status", "reqps", "Pages of metrics that were asked for, by status. 499: the client went away first.")
                        .query("sum by (code) (rate(exporter_scrapes_total{<<target>>}[$__rate_interval]))", "{{code}}"),
                    Panel::lines("Scrapes by format", "reqps", "Pages of metrics that were asked for, by format.")
                        .query("sum by (format) (rate(exporter_scrapes_total{<<target>>}[$__rate_interval]))", "{{format}}"),
                    Panel::lines("Scrapes that wait", "short", "For their page, the one that shows this among them.")
                        .query("sum by (instance) (exporter_scrapes_in_flight{<<target>>})", "{{instance}}"),
                    Panel::lines("Time to render", "s", "Half and 99 % of the pages took no longer to render and compress.")
                        .query("histogram_quantile(0.5, sum by (le) (rate(exporter_scrape_duration_seconds_bucket{<<target>>}[$__rate_interval])))", "P50")
                        .query("histogram_quantile(0.99, sum by (le) (rate(exporter_scrape_duration_seconds_bucket{<<target>>}[$__rate_interval])))", "P99")
                        .thresholds(1.0, 5.0),
                    Panel::lines("Size of pages", "bytes", "Mean, before compression.")
                        .query("sum by (instance) (rate(exporter_scrape_size_bytes_sum{<<target>>}[$__rate_interval])) / sum by (instance) (rate(exporter_scrape_size_bytes_count{<<target>>}[$__rate_interval]))", "{{instance}}"),
                    Panel::lines("Samples a scrape", "short", "As Prometheus counts them. The scrape's limit is 50,000.")
                        .query("scrape_samples_scraped{<<target>>}", "{{instance}}")
                        .thresholds(25_000.0, 50_000.0),
                ],
            },
            Row {
                title: "What is lost",
                panels: vec![
                    Panel::bars("Series over their limit", "short", "Registrations of the hour before that went to their family's overflow, by family. Any alerts.")
                        .query("sum by (family) (increase(exporter_series_overflow_total{<<target>>}[1h])) or vector(0)", "{{family}}"),
                    Panel::bars("Series not taken as they were", "short", "Registrations of the hour before, by reason.")
                        .query("sum by (reason) (increase(exporter_series_rejected_total{<<target>>}[1h]))", "{{reason}}"),
                    Panel::bars("Observations dropped", "short", "Of the hour before, because they were no finite numbers, by family.")
                        .query("sum by (family) (increase(exporter_observations_dropped_total{<<target>>}[1h])) or vector(0)", "{{family}}"),
                    Panel::bars("Colliding names", "short", "Registrations of the hour before whose name is another's once it is made valid.")
                        .query("sum by (family) (increase(exporter_name_collisions_total{<<target>>}[1h])) or vector(0)", "{{family}}"),
                    Panel::bars("Label values over budget", "short", "Recorded as _OTHER in the hour before, by label. Any alerts.")
                        .query("sum by (label) (increase(<<label_overflow_total>>{<<target>>}[1h])) or vector(0)", "{{label}}"),
                ],
            },
            Row {
                title: "Collectors",
                panels: vec![
                    Panel::lines("Time to collect", "s", "Time that a collector's last run took.")
                        .query("max by (collector) (exporter_collector_duration_seconds{<<target>>})", "{{collector}}"),
                    Panel::lines("Age of what was collected", "s", "0 if a collector's values are new with each scrape.")
                        .query("max by (collector) (exporter_collector_stale_seconds{<<target>>})", "{{collector}}"),
                    Panel::bars("Errors of collectors", "short", "Of the hour before, by collector.")
                        .query("sum by (collector) (increase(exporter_collector_errors_total{<<target>>}[1h]))", "{{collector}}"),
                ],
            },
            Row {
                title: "Sinks and the admin listener",
                panels: vec![
                    Panel::lines("Deliveries", "ops", "Requests or datagrams that arrived at a sink, and attempts that failed.")
                        .query("sum by (sink) (rate(exporter_sink_exports_total{<<target>>}[$__rate_interval]))", "{{sink}} delivered")
                        .query("sum by (sink) (rate(exporter_sink_failures_total{<<target>>}[$__rate_interval]))", "{{sink}} failed"),
                    Panel::lines("Samples delivered", "ops", "By sink.")
                        .query("sum by (sink) (rate(exporter_sink_points_total{<<target>>}[$__rate_interval]))", "{{sink}}"),
                    Panel::bars("Failed deliveries", "short", "Attempts of the hour before that failed, by reason. A fifth of all, for ten minutes, alerts.")
                        .query("sum by (sink, reason) (increase(exporter_sink_failures_total{<<target>>}[1h]))", "{{sink}} {{reason}}"),
                    Panel::bars("Samples lost", "short", "Given up in the hour before, by reason. Any alerts.")
                        .query("sum by (sink, reason) (increase(exporter_sink_lost_points_total{<<target>>}[1h]))", "{{sink}} {{reason}}"),
                    Panel::lines("Time to deliver", "s", "99 % of the attempts took no longer.")
                        .query("histogram_quantile(0.99, sum by (sink, le) (rate(exporter_sink_duration_seconds_bucket{<<target>>}[$__rate_interval])))", "{{sink}}")
                        .thresholds(1.0, 5.0),
                    Panel::lines("Time of a sink", "percentunit", "That it spends delivering, on the busiest instance. It makes one attempt after the other: at 100 % it does not keep up.")
                        .query("max by (sink) (rate(exporter_sink_duration_seconds_sum{<<target>>}[$__rate_interval]))", "{{sink}}")
                        .thresholds(0.5, 0.8),
                    Panel::lines("Bytes that wait for a sink", "percentunit", "On the fullest instance, of 32 MiB, which is the room there is unless it is set. Samples are lost when it is full.")
                        .query("max by (sink) (exporter_sink_queue_bytes{<<target>>}) / (32 * 1024 * 1024)", "{{sink}}")
                        .thresholds(0.25, 0.5),
                    Panel::lines("Since the last delivery", "s", "On the instance where it is longest ago, or since the start.")
                        .query("time() - min by (sink) (exporter_sink_last_success_timestamp_seconds{<<target>>})", "{{sink}}"),
                    Panel::bars("Requests refused by the admin listener", "short", "Of the hour before, by reason. 20 in 15 minutes alert.")
                        .query("sum by (reason) (increase(exporter_admin_refused_total{<<target>>}[1h]))", "{{reason}}"),
                ],
            },
            Row {
                title: "Logs",
                panels: vec![
                    Panel::stacked("Lines by level", "ops", "Log lines that were written, by level.")
                        .query("sum by (level) (rate(<<log_lines_total>>{<<target>>}[$__rate_interval]))", "{{level}}")
                        .width(12),
                    Panel::bars("Lines lost", "short", "Log lines of the hour before that were lost, by reason. Any alerts.")
                        .query("sum by (reason) (increase(<<log_lines_dropped_total>>{<<target>>}[1h])) or vector(0)", "{{reason}}")
                        .width(12),
                    Panel::lines("Bytes that wait", "percentunit", "To be written, of those that may. Lines are dropped when it is full.")
                        .query("sum by (instance) (<<log_queue_bytes>>{<<target>>}) / sum by (instance) (<<log_queue_capacity_bytes>>{<<target>>})", "{{instance}}")
                        .thresholds(0.5, 0.9)
                        .width(12),
                    Panel::lines("Time to write", "s", "99 % of the writes took no longer.")
                        .query("histogram_quantile(0.99, sum by (le) (rate(<<log_write_seconds>>_bucket{<<target>>}[$__rate_interval])))", "P99")
                        .width(12),
                ],
            },
        ],
    }
}
