//! The databases that other tests start.

use platform_tests::get;
use server_tests::{Postgres, PostgresExporter, Redis};

fn pg_up(exporter: &PostgresExporter) -> String {
    let page = get(&format!("{}/metrics", exporter.url())).text;
    let up = page.lines().find(|line| line.starts_with("pg_up "));
    up.expect("it tells whether PostgreSQL answers").to_owned()
}

#[test]
fn the_exporter_sees_postgresql_come_go_and_come_back() {
    let mut postgres = Postgres::start();
    let exporter = PostgresExporter::start(&postgres);
    assert_eq!(pg_up(&exporter), "pg_up 1");
    postgres.stop();
    assert_eq!(pg_up(&exporter), "pg_up 0");
    postgres.start_again();
    assert_eq!(pg_up(&exporter), "pg_up 1");
}

#[test]
fn two_redis_servers_are_apart() {
    assert_ne!(Redis::start().url(), Redis::start().url());
}
