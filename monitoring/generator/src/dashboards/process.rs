//! The process, its runtime, and PostgreSQL.

use super::model::{Dashboard, Panel, Row};

pub(crate) fn dashboard() -> Dashboard {
    Dashboard {
        name: "process",
        title: "<<Prefix>> process and PostgreSQL",
        description: "What the platform stands on.",
        instances: "up",
        rows: vec![
            Row {
                title: "Process",
                panels: vec![
                    Panel::lines("CPU", "percentunit", "Processor time, of all processors that the process has.")
                        .query("rate(process_cpu_seconds_total{<<target>>}[$__rate_interval]) / tokio_workers{<<target>>}", "{{instance}}")
                        .thresholds(0.7, 0.9),
                    Panel::lines("Memory", "bytes", "Resident memory. The limit of the platform's container is 512 MiB.")
                        .query("process_resident_memory_bytes{<<target>>}", "{{job}} {{instance}}"),
                    Panel::lines("File descriptors", "percentunit", "Open, of those allowed.")
                        .query("process_open_fds{<<target>>} / process_max_fds{<<target>>}", "{{job}} {{instance}}")
                        .thresholds(0.5, 0.8),
                    Panel::lines("Disk", "Bps", "Bytes read from and written to disks.")
                        .query("rate(process_io_read_bytes_total{<<target>>}[$__rate_interval])", "{{instance}} read")
                        .query("rate(process_io_write_bytes_total{<<target>>}[$__rate_interval])", "{{instance}} written"),
                    Panel::lines("Network", "Bps", "Bytes received and sent. They are those of the process' network namespace: of its container, if it has one.")
                        .query("rate(process_network_receive_bytes_total{<<target>>}[$__rate_interval])", "{{instance}} received")
                        .query("rate(process_network_transmit_bytes_total{<<target>>}[$__rate_interval])", "{{instance}} sent"),
                    Panel::lines("Threads", "short", "Of the process.")
                        .query("process_threads{<<target>>}", "{{instance}}"),
                    Panel::lines("Page faults", "ops", "Major ones had to read from disk.")
                        .query("rate(process_major_page_faults_total{<<target>>}[$__rate_interval])", "{{instance}} major")
                        .query("rate(process_minor_page_faults_total{<<target>>}[$__rate_interval])", "{{instance}} minor"),
                    Panel::lines("Context switches", "ops", "Involuntary ones mean that threads wait for processors.")
                        .query("rate(process_involuntary_context_switches_total{<<target>>}[$__rate_interval])", "{{instance}} involuntary")
                        .query("rate(process_voluntary_context_switches_total{<<target>>}[$__rate_interval])", "{{instance}} voluntary"),
                    Panel::lines("Uptime", "s", "Since the process started.")
                        .query("time() - process_start_time_seconds{<<target>>}", "{{job}} {{instance}}"),
                ],
            },
            Row {
                title: "Health",
                panels: vec![
                    Panel::lines("Ready", "short", "1 if an instance takes work. 0 for five minutes alerts.")
                        .query("min by (instance) (health_probe_up{<<target>>, probe=\"ready\"})", "{{instance}}")
                        .width(6),
                    Panel::lines("Checks", "short", "1 if a check passes on all instances.")
                        .query("min by (check) (health_check_up{<<target>>})", "{{check}}")
                        .width(6),
                    Panel::lines("Time of checks", "s", "That the last run of a check took, on the slowest instance.")
                        .query("max by (check) (health_check_duration_seconds{<<target>>})", "{{check}}")
                        .width(6),
                    Panel::bars("Checks that did not pass", "short", "Runs of the hour before, by how they ended. A fifth of 15 minutes' runs alerts.")
                        .query("sum by (check, outcome) (increase(health_checks_total{<<target>>, outcome!=\"passed\"}[1h]))", "{{check}} {{outcome}}")
                        .width(6),
                ],
            },
            Row {
                title: "Runtime",
                panels: vec![
                    Panel::lines("Busy workers", "percentunit", "Time that the workers of the runtime were not parked.")
                        .query("sum by (instance) (rate(tokio_worker_busy_seconds_total{<<target>>}[$__rate_interval])) / sum by (instance) (tokio_workers{<<target>>})", "{{instance}}")
                        .thresholds(0.7, 0.9),
                    Panel::lines("Tasks", "short", "That have not ended.")
                        .query("tokio_alive_tasks{<<target>>}", "{{instance}}"),
                    Panel::lines("Tasks that wait", "short", "In the queue of all workers.")
                        .query("tokio_global_queue_depth{<<target>>}", "{{instance}}"),
                ],
            },
            Row {
                title: "The database, as the platform sees it",
                panels: vec![
                    Panel::stacked("Queries", "ops", "By query.")
                        .query("sum by (query) (rate(<<db_query_duration_seconds>>_count{<<target>>}[$__rate_interval]))", "{{query}}"),
                    Panel::lines("P95 by query", "s", "95 % of a query's runs took no longer. More than half a second alerts.")
                        .query("histogram_quantile(0.95, sum by (query, le) (rate(<<db_query_duration_seconds>>_bucket{<<target>>}[$__rate_interval])))", "{{query}}")
                        .thresholds(0.1, 0.5)
                        .width(8),
                    Panel::bars("Failed queries", "short", "Of the hour before, by query.")
                        .query("sum by (query) (increase(<<db_query_errors_total>>{<<target>>}[1h]))", "{{query}}"),
                    Panel::lines("Connections of the pool", "percentunit", "In use, of those that an instance may open. All for ten minutes alerts.")
                        .query("sum by (instance) (<<db_pool_connections>>{<<target>>, state=\"used\"}) / sum by (instance) (<<db_pool_connections_max>>{<<target>>})", "{{instance}}")
                        .thresholds(0.7, 0.9),
                ],
            },
            Row {
                title: "PostgreSQL, as postgres_exporter sees it",
                panels: vec![
                    Panel::stat("Up", "short", "1 if postgres_exporter reaches the database.")
                        .query("pg_up{<<target>>}", "{{instance}}")
                        .thresholds(1.0, 0.5)
                        .width(8),
                    Panel::stat("Size", "bytes", "Of the databases, by name.")
                        .query("pg_database_size_bytes{<<target>>}", "{{datname}}")
                        .width(8),
                    Panel::stat("Deadlocks, a day", "short", "Transactions that waited for each other.")
                        .query("sum(increase(pg_stat_database_deadlocks{<<target>>}[1d]))", "deadlocks")
                        .thresholds(1.0, 10.0)
                        .width(8),
                    Panel::lines("Connections", "percentunit", "Open, of those allowed.")
                        .query("sum by (instance) (pg_stat_activity_count{<<target>>}) / sum by (instance) (pg_settings_max_connections{<<target>>})", "{{instance}}")
                        .thresholds(0.7, 0.9),
                    Panel::stacked("Transactions", "ops", "Committed and rolled back.")
                        .query("sum(rate(pg_stat_database_xact_commit{<<target>>}[$__rate_interval]))", "committed")
                        .query("sum(rate(pg_stat_database_xact_rollback{<<target>>}[$__rate_interval]))", "rolled back"),
                    Panel::lines("Cache hits", "percentunit", "Blocks that were found in PostgreSQL's memory.")
                        .query("sum(rate(pg_stat_database_blks_hit{<<target>>}[$__rate_interval])) / (sum(rate(pg_stat_database_blks_hit{<<target>>}[$__rate_interval])) + sum(rate(pg_stat_database_blks_read{<<target>>}[$__rate_interval])))", "hits"),
                ],
            },
        ],
    }
}
