//! Records of the `log` crate: their logger is the process's, so this test is alone in its binary.

#[cfg(test)]
mod common;

use common::Log;
use tower_json_logging::Schema;
use tracing_subscriber::{Layer as _, filter::LevelFilter, layer::SubscriberExt as _};

#[test]
fn a_record_of_the_log_crate_is_a_line_like_any_other() {
    let (log, ecs) = (Log::default(), Log::default());
    let subscriber = tracing_subscriber::registry()
        .with(log.layer().with_filter(LevelFilter::INFO))
        .with(ecs.layer().schema(Schema::ecs("scans")));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    tracing_log::LogTracer::init().unwrap();

    let _scan = tracing::error_span!("scan", scan_id = "7d0f").entered();
    let first_line = line!() + 1;
    log::debug!("not written");
    log::warn!("disk is {} % \"full\"", 93);
    let disk = log.line();
    log::info!(target: "audit", "signed in");
    let audit = log.lines().remove(1);
    assert_eq!(disk["level"], "WARN");
    assert_eq!(disk["message"], "disk is 93 % \"full\"");
    assert_eq!(disk["module"], module_path!());
    assert_eq!(disk["scan_id"], "7d0f");
    assert_eq!(audit["level"], "INFO");
    assert_eq!(audit["message"], "signed in");
    assert_eq!(audit["module"], module_path!());
    for line in [&disk, &audit] {
        // What `tracing-log` adds is about the record, and nobody's field.
        let keys = line.as_object().unwrap().keys();
        let own: Vec<_> = keys.filter(|key| key.starts_with("log.")).collect();
        assert!(own.is_empty(), "{own:?}");
    }
    let ecs = ecs.lines();
    let written: Vec<_> = ecs.iter().map(|line| &line["log.level"]).collect();
    assert_eq!(written, ["DEBUG", "WARN", "INFO"]);
    let numbers = [0, 1, 3].map(|lines| first_line + lines);
    for (line, number) in ecs.iter().zip(numbers) {
        assert_eq!(line["log.logger"], module_path!());
        assert_eq!(line["log.origin.file.name"], file!());
        assert_eq!(line["log.origin.file.line"], number);
    }
}
