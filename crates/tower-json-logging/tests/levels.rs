//! Levels that change while the process runs.

#[cfg(test)]
mod common;

use common::Log;
use tower_json_logging::Levels;
use tracing_subscriber::{Layer as _, filter::LevelFilter, layer::SubscriberExt as _};

fn log_all() {
    tracing::error!("error");
    tracing::info!("info");
    tracing::debug!("debug");
    tracing::warn!(target: "hyper::proto", "of hyper");
    tracing::info!(target: "hyper::proto", "of hyper, too");
}

/// What is logged of those.
#[cfg(test)]
fn messages(log: &Log) -> Vec<String> {
    let before = log.raw().len();
    log_all();
    since(log, before)
}

#[cfg(test)]
fn since(log: &Log, before: usize) -> Vec<String> {
    let lines = log.lines().split_off(before);
    let message = |line: &serde_json::Value| line["message"].as_str().unwrap().to_owned();
    lines.iter().map(message).collect()
}

#[test]
fn a_change_is_seen_by_statements_that_were_asked_before() {
    let log = Log::default();
    let levels = Levels::new("info,hyper=warn").unwrap();
    let subscriber = tracing_subscriber::registry().with(log.layer().with_filter(levels.clone()));
    a_change_is_seen(&log, &levels, subscriber);
}

#[test]
fn levels_of_all_layers_change_as_well() {
    let log = Log::default();
    let levels = Levels::new("info,hyper=warn").unwrap();
    // Whether they are the first or the last.
    let inside = tracing_subscriber::registry().with(levels.clone());
    a_change_is_seen(&log, &levels, inside.with(log.layer()));

    let log = Log::default();
    let levels = Levels::new("info,hyper=warn").unwrap();
    let outside = tracing_subscriber::registry().with(log.layer());
    a_change_is_seen(&log, &levels, outside.with(levels.clone()));
}

#[test]
fn levels_of_all_layers_are_seen_by_all() {
    let (log, other) = (Log::default(), Log::default());
    let levels = Levels::new("error").unwrap();
    let subscriber = tracing_subscriber::registry()
        .with(log.layer())
        .with(levels.clone())
        .with(other.layer().with_filter(LevelFilter::INFO));
    tracing::subscriber::with_default(subscriber, || {
        assert_eq!(messages(&log), ["error"]);
        assert_eq!(since(&other, 0), ["error"]);
        levels.set("debug").unwrap();
        let debug = ["error", "info", "debug", "of hyper", "of hyper, too"];
        assert_eq!(messages(&log), debug);
        let info = ["error", "info", "of hyper", "of hyper, too"];
        assert_eq!(since(&other, 1), info);
    });
}

#[cfg(test)]
fn a_change_is_seen<S>(log: &Log, levels: &Levels, subscriber: S)
where
    S: tracing::Subscriber + Send + Sync + 'static,
{
    tracing::subscriber::with_default(subscriber, || {
        assert_eq!(messages(log), ["error", "info", "of hyper"]);
        levels.set("error").unwrap();
        assert_eq!(messages(log), ["error"]);
        levels.set("TRACE, hyper = Off").unwrap();
        assert_eq!(messages(log), ["error", "info", "debug"]);
        levels.set("hyper=info").unwrap();
        assert_eq!(messages(log), ["of hyper", "of hyper, too"]);
        levels.set("off").unwrap();
        assert!(messages(log).is_empty());
        levels.set("off,hyper=off,hyper::proto=info").unwrap();
        assert_eq!(messages(log), ["of hyper", "of hyper, too"]);
    });
}

#[test]
fn another_layer_is_left_alone() {
    let (log, other) = (Log::default(), Log::default());
    let levels = Levels::new("error").unwrap();
    let subscriber = tracing_subscriber::registry()
        .with(log.layer().with_filter(levels.clone()))
        .with(other.layer().with_filter(LevelFilter::INFO));
    tracing::subscriber::with_default(subscriber, || {
        let info = ["error", "info", "of hyper", "of hyper, too"];
        log_all();
        assert_eq!(log.line()["message"], "error");
        assert_eq!(since(&other, 0), info);
        levels.set("debug").unwrap();
        let debug = ["error", "info", "debug", "of hyper", "of hyper, too"];
        assert_eq!(messages(&log), debug);
        assert_eq!(since(&other, 4), info);
    });
}

#[test]
fn what_is_no_list_of_levels_is_refused_and_changes_nothing() {
    let levels = Levels::new("info").unwrap();
    for (text, part) in [
        ("", "`` is no level"),
        ("inof", "`inof` is no level"),
        ("info,", "`` is no level"),
        ("my_crate", "`my_crate` is no level"),
        ("info,hyper=wran", "`hyper=wran` is no level"),
        ("hyper=", "`hyper=` is no level"),
        ("3", "`3` is no level"),
        ("info,=warn", "`=warn` names no target"),
        ("a=b=info", "`a=b=info` is no level"),
        ("[scan]=debug", "`[scan]=debug` is about spans"),
        (
            "hyper[{id=1}]=debug",
            "`hyper[{id=1}]=debug` is about spans",
        ),
    ] {
        let error = levels.set(text).unwrap_err().to_string();
        assert!(error.starts_with(part), "{text}: {error}");
        assert!(Levels::new(text).is_err());
    }
    assert_eq!(levels.to_string(), "info");
    assert_eq!(format!("{levels:?}"), r#"Levels("info")"#);
}
