//! What is recorded and logged of an end: in one place, so that the series and the line agree.

use std::{sync::Arc, time::Duration};

use tracing::{Level, Span};

use crate::{
    FailureReason, Outcome, RejectReason, ScanMeta, ScanReport, Severity, Status, Verdict,
    books::{Entry, Ledger},
    context::{Running, ScanContext},
    instruments::Ended,
    metrics::Core,
    span::{self, Place},
};

/// The end of a scan that ran.
struct Ending<'a> {
    ended: Ended,
    /// Of one that did not complete: what it found until then, for the line alone.
    report: &'a ScanReport,
    /// Not known of a scan that was lost with its process.
    duration: Option<Duration>,
    waited: Option<Duration>,
    error: Option<&'a str>,
}

/// Ends a scan, the first time that this is called for it.
pub(crate) fn end(running: &Running, span: &Span, outcome: &Outcome) {
    let Some(found) = running.take_found() else {
        return;
    };
    let core = &*running.core;
    let duration = core.since(running.entry.since);
    core.books.close(Ledger::Active, running.row, running.entry);
    // Within the span, so that the duration's exemplar is of the scan's trace.
    span.in_scope(|| {
        let (ended, report, error) = match outcome {
            Outcome::Completed(report) => completed(found.with(report)),
            Outcome::Failed(failure) => (failure.reason().into(), found, failure.text()),
            Outcome::TimedOut => (FailureReason::Timeout.into(), found, None),
            Outcome::Cancelled => (FailureReason::Cancelled.into(), found, None),
            Outcome::Rejected(reason) => return rejected(core, running.row, *reason),
            Outcome::Retry => return retried(core, running, duration),
        };
        let ending = Ending {
            ended,
            report: &report,
            duration: Some(duration),
            waited: running.waited,
            error,
        };
        ran(core, running.row, span, &ending);
    });
    core.set_gauges(Ledger::Active, running.row);
}

fn completed(report: ScanReport) -> (Ended, ScanReport, Option<&'static str>) {
    let ended = match report.has_verdict() {
        Verdict::Blocked(_) => Ended::Blocked,
        _ => Ended::Completed,
    };
    (ended, report, None)
}

/// Scans of which nothing is known but that their process is gone.
pub(crate) fn abandoned(core: &Core, scan_type: &str, scans: u64) {
    let row = core.row(scan_type);
    let (target, instruments) = (&core.target, &core.instruments);
    let ended = Ended::Failed(FailureReason::WorkerLost);
    instruments.started.add(target, row, 0, scans);
    instruments.scans.add(target, row, ended.index(), scans);
    let reason = FailureReason::WorkerLost.index();
    instruments.failures.add(target, row, reason, scans);
    tracing::error!(
        target: "scan",
        scan_type = core.type_name(row),
        scan_status = core.status_names.name(ended.status()),
        scan_reason = FailureReason::WorkerLost.as_str(),
        scans,
        "scans abandoned",
    );
}

/// One of those, of which more is known.
pub(crate) fn abandoned_scan(core: &Arc<Core>, meta: &ScanMeta, ran_for: Option<Duration>) {
    let row = core.row(&meta.scan_type);
    let entry = Entry::of_none(core.clock.now());
    let context = ScanContext::new(Arc::clone(core), meta.clone(), row, entry, None);
    let span = span::open(context.running(), Place::Linked(None));
    let ending = Ending {
        ended: Ended::Failed(FailureReason::WorkerLost),
        report: &ScanReport::new(),
        duration: ran_for,
        waited: None,
        error: None,
    };
    span.in_scope(|| {
        core.started(row);
        ran(core, row, &span, &ending);
    });
}

fn ran(core: &Core, row: usize, span: &Span, ending: &Ending<'_>) {
    record(core, row, ending);
    if let Ended::Failed(reason) = ending.ended {
        if reason != FailureReason::Cancelled {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", reason.as_str());
        }
    }
    log(core, ending);
}

fn record(core: &Core, row: usize, ending: &Ending<'_>) {
    let (target, instruments) = (&core.target, &core.instruments);
    let place = ending.ended.index();
    instruments.scans.add(target, row, place, 1);
    if let Some(duration) = ending.duration {
        let seconds = duration.as_secs_f64();
        instruments.duration.record(target, row, place, seconds);
    }
    if let Ended::Failed(reason) = ending.ended {
        instruments.failures.add(target, row, reason.index(), 1);
        return;
    }
    // Only now: an attempt that did not complete may be made again, and would count twice.
    for severity in Severity::ALL {
        let count = ending.report.count(severity);
        if count > 0 {
            let place = severity.index();
            instruments.findings.add(target, row, place, count);
        }
    }
    if let Verdict::Blocked(reason) = ending.report.has_verdict() {
        instruments.blocked.add(target, row, reason.index(), 1);
    }
    if ending.report.has_drift() {
        instruments.drift.add(target, row, 0, 1);
    }
    core.succeeded(row, core.wall.now());
}

fn log(core: &Core, ending: &Ending<'_>) {
    let Ending { ended, report, .. } = ending;
    // The level of an event is a constant of it.
    macro_rules! finished {
        ($level:expr) => {
            tracing::event!(
                target: "scan",
                $level,
                scan_status = core.status_names.name(ended.status()),
                scan_reason = ended.reason(),
                scan_duration_ms = ending.duration.map(millis),
                scan_queue_ms = ending.waited.map(millis),
                findings_critical = report.count(Severity::Critical),
                findings_high = report.count(Severity::High),
                findings_medium = report.count(Severity::Medium),
                findings_low = report.count(Severity::Low),
                findings_info = report.count(Severity::Info),
                findings_unknown = some(report.count(Severity::Unknown)),
                scan_verdict = verdict(report.has_verdict()),
                scan_drift = report.has_drift().then_some(true),
                error = ending.error,
                "scan finished",
            )
        };
    }
    match (ended.status(), *ended) {
        (Status::Completed, Ended::Completed) => finished!(Level::INFO),
        (Status::Failed, _) => finished!(Level::ERROR),
        _ => finished!(Level::WARN),
    }
}

fn rejected(core: &Core, row: usize, reason: RejectReason) {
    core.rejected(row, reason);
    tracing::warn!(target: "scan", scan_reason = reason.as_str(), "scan rejected");
}

fn retried(core: &Core, running: &Running, duration: Duration) {
    let series = &core.instruments.retries;
    series.add(&core.target, running.row, 0, 1);
    tracing::warn!(
        target: "scan",
        scan_attempt = running.meta.attempt,
        scan_duration_ms = millis(duration),
        "scan given back",
    );
}

fn verdict(verdict: Verdict) -> Option<&'static str> {
    (verdict != Verdict::NotEvaluated).then(|| verdict.as_str())
}

fn some(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
