//! Scans in detail.

use super::model::{Dashboard, Panel, Row};

pub(crate) fn dashboard() -> Dashboard {
    Dashboard {
        name: "scans",
        title: "<<Prefix>> scans",
        description: "Scans from the queue to the verdict, by type.",
        instances: "<<scans_total>>",
        rows: vec![
            Row {
                title: "Ends",
                panels: vec![
                    Panel::bars("Ends by status", "short", "Scans that ended in the hour before, by status.")
                        .query("sum by (status) (increase(<<scans_total>>{<<target>>}[1h]))", "{{status}}"),
                    Panel::lines("Share that fails", "percentunit", "Scans that failed or timed out in the hour before, of those that were not cancelled.")
                        .query("sum by (type) (increase(<<scans_total>>{<<target>>, status=~\"<<failures>>\"}[1h])) / sum by (type) (increase(<<scans_total>>{<<target>>, status!=\"cancelled\"}[1h]))", "{{type}}")
                        .thresholds(0.1, 0.5),
                    Panel::bars("Failures by reason", "short", "Scans that did not complete in the hour before, by what came in the way.")
                        .query("sum by (<<failure_reason>>) (increase(<<scan_failures_total>>{<<target>>}[1h]))", "{{<<failure_reason>>}}"),
                    Panel::bars("Started", "short", "Scans that started in the hour before, by type.")
                        .query("sum by (type) (increase(<<scans_started_total>>{<<target>>}[1h]))", "{{type}}"),
                    Panel::bars("Rejected", "short", "What was asked for in the hour before and never became a scan, by reason.")
                        .query("sum by (reason) (increase(<<scans_rejected_total>>{<<target>>}[1h]))", "{{reason}}"),
                    Panel::bars("Retries", "short", "Attempts of the hour before that were given back to the queue, by type.")
                        .query("sum by (type) (increase(<<scan_retries_total>>{<<target>>}[1h]))", "{{type}}"),
                    Panel::lines("Time since the last success", "s", "Since a scan of a type last completed. More than a day alerts.")
                        .query("time() - max by (type) (<<scan_last_success_timestamp_seconds>>{<<target>>} > 0)", "{{type}}")
                        .thresholds(43200.0, 86400.0),
                ],
            },
            Row {
                title: "Duration",
                panels: vec![
                    Panel::lines("P95 by type", "s", "95 % of a type's scans took no longer.")
                        .query("histogram_quantile(0.95, sum by (<<run_type>>, le) (rate(<<scan_duration_seconds>>_bucket{<<executing>><<target>>}[$__rate_interval])))", "{{<<run_type>>}}")
                        .thresholds(60.0, 300.0)
                        .exemplars(),
                    Panel::lines("Mean by type", "s", "Of the scans that ended in the hour before.")
                        .query("sum by (<<run_type>>) (increase(<<scan_duration_seconds>>_sum{<<executing>><<target>>}[1h])) / sum by (<<run_type>>) (increase(<<scan_duration_seconds>>_count{<<executing>><<target>>}[1h]))", "{{<<run_type>>}}"),
                    Panel::heatmap("Durations", "s", "How many scans took how long.")
                        .query("sum by (le) (increase(<<scan_duration_seconds>>_bucket{<<executing>><<target>>}[$__rate_interval]))", "{{le}}"),
                    Panel::lines("Longest that runs now", "s", "Age of the oldest scan that runs. More than half an hour alerts.")
                        .query("max by (type) (<<oldest_active_scan_age_seconds>>{<<target>>})", "{{type}}")
                        .thresholds(600.0, 1800.0),
                ],
            },
            Row {
                title: "Queue",
                panels: vec![
                    Panel::lines("Running and waiting", "short", "Scans that run, and scans that wait for their turn, by instance.")
                        .query("sum by (instance) (<<active_scans>>{<<executing>><<target>>})", "{{instance}} running")
                        .query("sum by (instance) (<<queued_scans>>{<<pending>><<target>>})", "{{instance}} waiting")
                        .width(12),
                    Panel::lines("Depth of shared queues", "short", "Scans that wait in a queue that instances share. Each says the same of it, so this is the greatest.")
                        .query("max by (type) (<<queue_depth>>{<<target>>})", "{{type}}"),
                    Panel::lines("Wait", "s", "Half and 95 % of the scans waited no longer before they started.")
                        .query("histogram_quantile(0.5, sum by (le) (rate(<<scan_queue_duration_seconds>>_bucket{<<pending>><<target>>}[$__rate_interval])))", "P50")
                        .query("histogram_quantile(0.95, sum by (le) (rate(<<scan_queue_duration_seconds>>_bucket{<<pending>><<target>>}[$__rate_interval])))", "P95"),
                    Panel::lines("Longest wait now", "s", "Age of the oldest scan that waits. More than a quarter of an hour alerts.")
                        .query("max by (type) (<<oldest_queued_scan_age_seconds>>{<<target>>})", "{{type}}")
                        .thresholds(300.0, 900.0),
                ],
            },
            Row {
                title: "What was found",
                panels: vec![
                    Panel::bars("Findings by severity", "short", "Findings of the scans that completed in the hour before. Each scan counts what it sees anew: not how many are open.")
                        .query("sum by (severity) (increase(<<findings_total>>{<<target>>}[1h]))", "{{severity}}"),
                    Panel::lines("Findings per scan", "short", "Of the scans that completed in the day before, by severity.")
                        .query("sum by (severity) (increase(<<findings_total>>{<<target>>}[1d])) / ignoring (severity) group_left () sum(increase(<<scans_total>>{<<target>>, status=\"completed\"}[1d]))", "{{severity}}"),
                    Panel::lines("Share blocked", "percentunit", "Completed scans of the hour before that the policy blocked. More than a quarter in six hours alerts.")
                        .query("sum by (type) (increase(<<scans_blocked_total>>{<<target>>}[1h])) / sum by (type) (increase(<<scans_total>>{<<target>>, status=\"completed\"}[1h]))", "{{type}}")
                        .thresholds(0.1, 0.25),
                    Panel::bars("Baseline drift", "short", "Scans of the hour before that saw their target changed, by type.")
                        .query("sum by (type) (increase(<<baseline_drift_total>>{<<target>>}[1h]))", "{{type}}"),
                ],
            },
            Row {
                title: "Engines",
                panels: vec![
                    Panel::bars("Runs of engines", "short", "Runs of the hour before, by what came of them.")
                        .query("sum by (engine, status) (increase(<<scan_engine_runs_total>>{<<target>>}[1h]))", "{{engine}} {{status}}"),
                    Panel::lines("Share of runs that do not complete", "percentunit", "Of the hour before, by engine. A scan whose engine fails may complete and have missed findings.")
                        .query("sum by (engine) (increase(<<scan_engine_runs_total>>{<<target>>, status!=\"completed\"}[1h])) / sum by (engine) (increase(<<scan_engine_runs_total>>{<<target>>}[1h]))", "{{engine}}")
                        .thresholds(0.05, 0.2),
                    Panel::lines("Engines that answer their probe", "short", "1 if the last probe succeeded on every instance.")
                        .query("min by (engine) (<<engine_up>>{<<target>>})", "{{engine}}"),
                ],
            },
            Row {
                title: "API keys",
                panels: vec![
                    Panel::bars("Uses by outcome", "short", "Uses of API keys in the hour before, by what came of them.")
                        .query("sum by (outcome) (increase(<<api_key_uses_total>>{<<target>>}[1h]))", "{{outcome}}")
                        .width(12),
                    Panel::lines("Share refused", "percentunit", "Of the uses of the hour before.")
                        .query("sum(increase(<<api_key_uses_total>>{<<target>>, outcome!=\"accepted\"}[1h])) / sum(increase(<<api_key_uses_total>>{<<target>>}[1h]))", "refused")
                        .thresholds(0.1, 0.2)
                        .width(12),
                ],
            },
        ],
    }
}
