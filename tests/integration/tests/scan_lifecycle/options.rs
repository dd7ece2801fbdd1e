//! What the builder changes.

use std::time::Duration;

use tower_scan_lifecycle::{
    BlockReason, EngineStatus, FailureReason, KeyUse, Names, ScanMeta, ScanMetrics, ScanReport,
    Severity, StatusNames, Verdict,
};

use crate::common::{Scene, on_both_with};

#[test]
fn an_engine_that_dies_inside_a_scan_that_completes_is_seen() {
    on_both_with(
        || Scene::with(|builder| builder.engines(["semgrep", "gitleaks", "yara"])),
        async |scene| {
            let scan = scene.scans.start(scene.mcp());
            scan.engine("semgrep").complete();
            scan.engine("gitleaks").time_out();
            let dies = scan.engine("yara");
            let unwound = tokio::spawn(async move {
                let _dies = dies;
                panic!("in the engine");
            });
            assert!(unwound.await.unwrap_err().is_panic());
            scan.context()
                .engine_ended("hostile\"}", EngineStatus::Skipped);
            scan.complete(ScanReport::new());
            assert_eq!(scene.ends(), [1.0, 0.0, 0.0, 0.0]);
            for (engine, status) in [
                ("semgrep", "completed"),
                ("gitleaks", "timed_out"),
                ("yara", "failed"),
                ("other", "skipped"),
            ] {
                let series =
                    format!("scan_engine_runs_total{{engine=\"{engine}\",status=\"{status}\"}}");
                assert_eq!(scene.value(&series), 1.0, "{series}");
            }
            scene.scans.engine_up("semgrep", true);
            scene.scans.engine_up("yara", false);
            assert_eq!(scene.value("engine_up{engine=\"semgrep\"}"), 1.0);
            let up = "sentrascan_engine_up{engine=\"yara\"}";
            assert_eq!(scene.samples().get(up), Some(&0.0));
            let unknown = "sentrascan_engine_up{engine=\"gitleaks\"}";
            assert_eq!(scene.samples().get(unknown), None, "nobody asked it");
        },
    );
}

#[test]
fn stages_are_measured_however_they_end() {
    on_both_with(
        || Scene::with(|builder| builder.stages(["unpack", "match"])),
        async |scene| {
            let scan = scene.scans.start(scene.mcp());
            let stage = scan.stage("unpack");
            scene.clock.advance(Duration::from_secs(3));
            drop(stage);
            drop(scan.stage("surprise"));
            drop(scan);
            let sum = "scan_stage_duration_seconds_sum{type=\"mcp\",stage=\"unpack\"}";
            assert_eq!(scene.value(sum), 3.0);
            let count = "scan_stage_duration_seconds_count{type=\"mcp\",stage=\"other\"}";
            assert_eq!(scene.value(count), 1.0);
        },
    );
}

#[test]
fn without_stages_and_engines_there_are_no_such_series() {
    let scene = Scene::new();
    let scan = scene.scans.start(scene.mcp());
    drop(scan.stage("unpack"));
    scan.engine("semgrep").fail();
    drop(scan);
    let page = scene.handle.render();
    assert!(!page.contains("stage") && !page.contains("engine_runs"));
}

#[test]
fn types_statuses_and_reasons_can_be_told_apart() {
    on_both_with(
        || {
            Scene::with(|builder| {
                builder
                    .type_labels()
                    .status_on_duration()
                    .reason_on_blocked()
            })
        },
        async |scene| {
            let active = scene.scans.start(scene.mcp());
            assert_eq!(scene.value("active_scans{type=\"mcp\"}"), 1.0);
            assert_eq!(scene.value("active_scans{type=\"model\"}"), 0.0);
            let verdict = Verdict::Blocked(BlockReason::CustomRule);
            active.complete(ScanReport::new().finding(Severity::High).verdict(verdict));
            let findings = "findings_total{type=\"mcp\",severity=\"high\"}";
            assert_eq!(scene.value(findings), 1.0);
            let blocked = "scans_blocked_total{type=\"mcp\",reason=\"custom_rule\"}";
            assert_eq!(scene.value(blocked), 1.0);
            scene.scans.start(scene.mcp()).time_out();
            for status in ["completed", "timed_out"] {
                let count =
                    format!("scan_duration_seconds_count{{type=\"mcp\",status=\"{status}\"}}");
                assert_eq!(scene.value(&count), 1.0, "{status}");
            }
            let _waiting = scene.scans.queue(ScanMeta::new("model"));
            assert_eq!(scene.value("queued_scans{type=\"model\"}"), 1.0);
        },
    );
}

#[test]
fn uses_of_api_keys_are_counted_by_outcome_and_role_and_never_by_key() {
    let scene = Scene::with(|builder| builder.roles(["admin", "scanner"]));
    scene.scans.api_key_use_as(KeyUse::Accepted, Some("admin"));
    scene
        .scans
        .api_key_use_as(KeyUse::Accepted, Some("sk-4f1c"));
    scene.scans.api_key_use(KeyUse::Missing);
    for (outcome, role) in [
        ("accepted", "admin"),
        ("accepted", "other"),
        ("missing", "none"),
    ] {
        let series = format!("api_key_uses_total{{outcome=\"{outcome}\",role=\"{role}\"}}");
        assert_eq!(scene.value(&series), 1.0, "{series}");
    }
    assert!(!scene.handle.render().contains("sk-4f1c"));

    let plain = Scene::new();
    plain.scans.api_key_use_as(KeyUse::Revoked, Some("admin"));
    assert_eq!(plain.value("api_key_uses_total{outcome=\"revoked\"}"), 1.0);
}

#[test]
fn the_platforms_words_can_be_kept() {
    on_both_with(
        || Scene::with(|builder| builder.status_names(StatusNames::SentraScan)),
        async |scene| {
            scene.scans.start(scene.mcp()).time_out();
            scene.scans.start(scene.mcp()).cancel();
            let aborted = "scans_total{type=\"mcp\",status=\"aborted\"}";
            assert_eq!(scene.value(aborted), 2.0);
            assert!(!scene.handle.render().contains("timed_out"));
            // Why is still told.
            assert_eq!(
                (scene.failures("timeout"), scene.failures("cancelled")),
                (1.0, 1.0)
            );
        },
    );
}

#[test]
fn runs_can_have_the_names_of_the_semantic_conventions_for_ci_cd() {
    let scene = Scene::with(|builder| builder.names(Names::OpenTelemetryCicd));
    let scans = &scene.scans;
    let verdict = Verdict::Blocked(BlockReason::Severity);
    scans.start(scene.mcp()).complete(ScanReport::new());
    scans
        .start(scene.mcp())
        .complete(ScanReport::new().verdict(verdict));
    scans
        .start(scene.mcp())
        .fail(FailureReason::EngineUnavailable);
    scans.start(scene.mcp()).time_out();
    scans.start(scene.mcp()).cancel();
    let queued = scans.queue(scene.mcp());
    let _second = scans.queue(scene.mcp());
    let _active = queued.start();

    let samples = scene.samples();
    let value = |series: &str| samples.get(series).copied();
    let run = |labels: &str| {
        let series = format!(
            "cicd_pipeline_run_duration_count{{cicd_pipeline_name=\"mcp\",cicd_pipeline_run_state={labels}}}"
        );
        value(&series)
    };
    for labels in [
        "\"executing\",cicd_pipeline_result=\"success\"",
        "\"executing\",cicd_pipeline_result=\"failure\",error_type=\"blocked\"",
        "\"executing\",cicd_pipeline_result=\"error\",error_type=\"engine_unavailable\"",
        "\"executing\",cicd_pipeline_result=\"timeout\",error_type=\"timeout\"",
        "\"executing\",cicd_pipeline_result=\"cancellation\"",
        "\"pending\"",
    ] {
        assert_eq!(run(labels), Some(1.0), "{labels}");
    }
    for state in ["executing", "pending"] {
        let series = format!(
            "cicd_pipeline_run_active{{cicd_pipeline_name=\"mcp\",cicd_pipeline_run_state=\"{state}\"}}"
        );
        assert_eq!(value(&series), Some(1.0), "{state}");
    }
    let errors = "cicd_pipeline_run_errors{cicd_pipeline_name=\"mcp\",error_type=\"timeout\"}";
    assert_eq!(value(errors), Some(1.0));
    // What the conventions have no name for keeps its own.
    assert_eq!(scene.ends(), [2.0, 1.0, 1.0, 1.0]);

    let specs = scans.specs();
    let duration = specs
        .iter()
        .find(|spec| spec.name == "cicd.pipeline.run.duration");
    let labels = &duration.expect("there is one").labels;
    assert_eq!(
        labels[..],
        [
            "cicd.pipeline.name",
            "cicd.pipeline.run.state",
            "cicd.pipeline.result",
            "error.type"
        ]
    );
    let mut names: Vec<_> = specs.iter().map(|spec| &spec.name).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "one spec for each name");
}

#[test]
fn what_cannot_be_built_says_why() {
    let error = |builder: tower_scan_lifecycle::ScanMetricsBuilder| builder.build().unwrap_err();
    for prefix in ["", "7up", "a b", "é"] {
        let error = error(ScanMetrics::builder().prefix(prefix));
        assert!(error.is_prefix(), "{error}");
    }
    let long = "x".repeat(129);
    for value in ["", &long] {
        let value = value.to_owned();
        assert!(error(ScanMetrics::builder().types([value.clone()])).is_value());
        assert!(error(ScanMetrics::builder().engines([value])).is_value());
    }
    for buckets in [
        vec![],
        vec![1.0, 1.0],
        vec![f64::INFINITY],
        vec![f64::NAN],
        vec![2.0, 1.0],
    ] {
        let error = error(ScanMetrics::builder().duration_buckets(buckets));
        assert!(error.is_buckets(), "{error}");
    }
    // Twice the same, and what is there anyway, is no error.
    let scans = ScanMetrics::builder()
        .types(["mcp", "mcp", "other"])
        .build()
        .unwrap();
    let types = format!("{scans:?}");
    assert_eq!(types.matches("mcp").count(), 1, "{types}");
    assert_eq!(types.matches("other").count(), 1, "{types}");
}

#[test]
fn series_for_two_types_are_about_two_hundred() {
    let scene = Scene::new();
    let samples = scene.samples();
    // A histogram is one family, whatever its buckets.
    let series = samples
        .keys()
        .filter(|series| !series.contains("_bucket") && !series.contains("_sum"));
    let series = series.count();
    assert!(series <= 110, "{series}");
}
