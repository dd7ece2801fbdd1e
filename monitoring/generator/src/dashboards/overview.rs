//! The key figures, one glance.

use super::model::{Dashboard, Panel, Row};

pub(crate) fn dashboard() -> Dashboard {
    Dashboard {
        name: "overview",
        title: "<<Prefix>> overview",
        description: "Is the scan platform well, and what did it find?",
        instances: "<<scans_total>>",
        rows: vec![
            Row {
                title: "Today",
                panels: vec![
                    Panel::stat("Scans in a day", "short", "Scans that ended in the last 24 hours, however they ended.")
                        .query("sum(increase(<<scans_total>>{<<target>>}[1d]))", "scans"),
                    Panel::stat("Success ratio, a day", "percentunit", "Scans that completed, of those that were not cancelled. A scan that completed may still be blocked by the policy.")
                        .query("sum(increase(<<scans_total>>{<<target>>, status=\"completed\"}[1d])) / sum(increase(<<scans_total>>{<<target>>, status!=\"cancelled\"}[1d]))", "completed")
                        .thresholds(0.99, 0.9),
                    Panel::stat("Pass ratio, a day", "percentunit", "Completed scans that the policy did not block.")
                        .query("1 - sum(increase(<<scans_blocked_total>>{<<target>>}[1d])) / sum(increase(<<scans_total>>{<<target>>, status=\"completed\"}[1d]))", "passed")
                        .thresholds(0.9, 0.5),
                    Panel::stat("Critical findings, a day", "short", "Found anew by each scan that sees them: not how many are open.")
                        .query("sum(increase(<<findings_total>>{<<target>>, severity=\"critical\"}[1d]))", "critical")
                        .thresholds(1.0, 10.0),
                    Panel::stat("Running scans", "short", "Scans that run now, on all instances.")
                        .query("sum(<<active_scans>>{<<executing>><<target>>})", "running"),
                    Panel::stat("Requests answered well", "percentunit", "Requests of the last 24 hours without a server error. The objective is 99.9 %.")
                        .query("1 - (sum(increase(<<requests_total>>{<<target>>, <<endpoint>>!~\"<<unwatched>>\", <<status>>=~\"5..\"}[1d])) or vector(0)) / sum(increase(<<requests_total>>{<<target>>, <<endpoint>>!~\"<<unwatched>>\"}[1d]))", "available")
                        .thresholds(0.9995, 0.999),
                ],
            },
            Row {
                title: "Scans",
                panels: vec![
                    Panel::bars("Scans per hour", "short", "Scans that ended in the hour before, by type.")
                        .query("sum by (type) (increase(<<scans_total>>{<<target>>}[1h]))", "{{type}}"),
                    Panel::lines("Scan duration", "s", "Half, 95 % and 99 % of the scans took no longer. Waiting in the queue is not in it.")
                        .query("histogram_quantile(0.5, sum by (le) (rate(<<scan_duration_seconds>>_bucket{<<executing>><<target>>}[$__rate_interval])))", "P50")
                        .query("histogram_quantile(0.95, sum by (le) (rate(<<scan_duration_seconds>>_bucket{<<executing>><<target>>}[$__rate_interval])))", "P95")
                        .query("histogram_quantile(0.99, sum by (le) (rate(<<scan_duration_seconds>>_bucket{<<executing>><<target>>}[$__rate_interval])))", "P99")
                        .thresholds(60.0, 300.0)
                        .exemplars(),
                    Panel::bars("Failed scans", "short", "Scans that failed or timed out in the hour before, by type.")
                        .query("sum by (type, status) (increase(<<scans_total>>{<<target>>, status=~\"<<failures>>\"}[1h]))", "{{type}} {{status}}"),
                    Panel::bars("Findings by severity", "short", "Findings of the scans that completed in the hour before.")
                        .query("sum by (severity) (increase(<<findings_total>>{<<target>>}[1h]))", "{{severity}}"),
                    Panel::lines("Running and waiting", "short", "Scans that run, and scans that wait for their turn.")
                        .query("sum(<<active_scans>>{<<executing>><<target>>})", "running")
                        .query("sum(<<queued_scans>>{<<pending>><<target>>})", "waiting"),
                    Panel::bars("Blocked by policy", "short", "Completed scans of the hour before that the policy blocked, by type.")
                        .query("sum by (type) (increase(<<scans_blocked_total>>{<<target>>}[1h]))", "{{type}}"),
                    Panel::bars("Baseline drift", "short", "Scans of the hour before that saw their target changed, by type.")
                        .query("sum by (type) (increase(<<baseline_drift_total>>{<<target>>}[1h]))", "{{type}}"),
                    Panel::bars("API keys", "short", "Uses of API keys in the hour before, by what came of them.")
                        .query("sum by (outcome) (increase(<<api_key_uses_total>>{<<target>>}[1h]))", "{{outcome}}"),
                ],
            },
            Row {
                title: "System",
                panels: vec![
                    Panel::lines("Response time", "s", "Half, 95 % and 99 % of the requests took no longer, routes left out that run a scan before they answer.")
                        .query("histogram_quantile(0.5, sum by (le) (rate(<<request_duration_seconds>>_bucket{<<target>>, <<endpoint>>!~\"<<unwatched>>|<<long>>\"}[$__rate_interval])))", "P50")
                        .query("histogram_quantile(0.95, sum by (le) (rate(<<request_duration_seconds>>_bucket{<<target>>, <<endpoint>>!~\"<<unwatched>>|<<long>>\"}[$__rate_interval])))", "P95")
                        .query("histogram_quantile(0.99, sum by (le) (rate(<<request_duration_seconds>>_bucket{<<target>>, <<endpoint>>!~\"<<unwatched>>|<<long>>\"}[$__rate_interval])))", "P99")
                        .thresholds(0.5, 2.5)
                        .exemplars(),
                    Panel::lines("Database queries", "s", "95 % of the queries took no longer, by query.")
                        .query("histogram_quantile(0.95, sum by (query, le) (rate(<<db_query_duration_seconds>>_bucket{<<target>>}[$__rate_interval])))", "{{query}}")
                        .thresholds(0.1, 0.5),
                    Panel::lines("CPU", "percentunit", "Processor time, of all processors that the process has.")
                        .query("rate(process_cpu_seconds_total{<<target>>}[$__rate_interval]) / tokio_workers{<<target>>}", "{{instance}}")
                        .thresholds(0.7, 0.9),
                    Panel::lines("Memory", "bytes", "Resident memory.")
                        .query("process_resident_memory_bytes{<<target>>}", "{{instance}}"),
                    Panel::lines("Disk", "Bps", "Bytes read from and written to disks.")
                        .query("rate(process_io_read_bytes_total{<<target>>}[$__rate_interval])", "{{instance}} read")
                        .query("rate(process_io_write_bytes_total{<<target>>}[$__rate_interval])", "{{instance}} written"),
                    Panel::lines("Network", "Bps", "Bytes received and sent. They are those of the process' network namespace: of its container, if it has one.")
                        .query("rate(process_network_receive_bytes_total{<<target>>}[$__rate_interval])", "{{instance}} received")
                        .query("rate(process_network_transmit_bytes_total{<<target>>}[$__rate_interval])", "{{instance}} sent"),
                ],
            },
        ],
    }
}
