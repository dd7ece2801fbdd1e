//! What is used of other servers' series. The tests against real servers hold it against what they answer.

/// Names, and the labels that are used of each.
pub(crate) const FAMILIES: &[(&str, &[&str])] = &[
    ("up", &[]),
    // Prometheus.
    ("prometheus_notifications_alertmanagers_discovered", &[]),
    ("prometheus_rule_evaluation_failures_total", &["rule_group"]),
    ("scrape_duration_seconds", &[]),
    ("scrape_samples_scraped", &[]),
    // Alertmanager.
    ("alertmanager_notifications_total", &["integration"]),
    ("alertmanager_notifications_failed_total", &["integration"]),
    // postgres_exporter.
    ("pg_up", &[]),
    ("pg_database_size_bytes", &["datname"]),
    ("pg_settings_max_connections", &[]),
    ("pg_stat_activity_count", &["datname", "state"]),
    ("pg_stat_database_blks_hit", &["datname"]),
    ("pg_stat_database_blks_read", &["datname"]),
    ("pg_stat_database_deadlocks", &["datname"]),
    ("pg_stat_database_xact_commit", &["datname"]),
    ("pg_stat_database_xact_rollback", &["datname"]),
];
