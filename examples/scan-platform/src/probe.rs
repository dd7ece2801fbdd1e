//! Whether each engine works here: it is given a file that it must read to its end.

use std::{sync::Mutex, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::time;
use tower_metrics_exporter::Check;
use tower_scan_lifecycle::ScanMetrics;

use crate::scan::{self, Engine, EngineEnd, Limits, Progress, ScanRoot, ScanType};

/// How often the engines are tried.
const EVERY: Duration = Duration::from_secs(60);

/// For each engine a harmless file, and who scans it.
const fn sample(engine: Engine) -> (ScanType, &'static str, &'static [u8]) {
    macro_rules! fixture {
        ($path:literal) => {
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/", $path))
        };
    }
    match engine {
        Engine::Mcp => (ScanType::Mcp, "mcp.json", fixture!("mcp/good.json")),
        Engine::Npy => (ScanType::Model, "a.npy", fixture!("model/plain.npy")),
        Engine::Pickle => (ScanType::Model, "a.pkl", fixture!("model/benign-p4.pkl")),
        Engine::Safetensors => (
            ScanType::Model,
            "a.safetensors",
            fixture!("model/good.safetensors"),
        ),
        Engine::Zip => (ScanType::Model, "a.pt", fixture!("model/checkpoint.pt")),
    }
}

/// Has the engine read its sample. Blocks for some milliseconds.
///
/// # Errors
///
/// If it does not, or there is no place for temporary files.
pub fn probe(engine: Engine) -> anyhow::Result<()> {
    let (scan_type, name, bytes) = sample(engine);
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    std::fs::write(folder.path().join(name), bytes).context("cannot write a sample")?;
    let target = ScanRoot::open(folder.path())?.target(name)?;
    let ends = Mutex::new(Vec::new());
    let note = |engine: Engine, end: EngineEnd| {
        if let Ok(mut ends) = ends.lock() {
            ends.push((engine, end));
        }
    };
    let progress = Progress::new().with_engines(&note);
    scan::scan(scan_type, &target, &Limits::default(), &progress)?;
    let ends = ends.into_inner().unwrap_or_default();
    ensure!(
        ends.contains(&(engine, EngineEnd::Completed)),
        "the engine {} did not read its sample: {ends:?}",
        engine.as_str()
    );
    Ok(())
}

/// A check of readiness that tries the engine, and says in the metrics whether it works.
pub fn check(engine: Engine, scans: &ScanMetrics) -> Check {
    let scans = scans.clone();
    let try_it = move || {
        let probed = probe(engine);
        scans.engine_up(engine.as_str(), probed.is_ok());
        probed
    };
    Check::blocking(format!("engine_{}", engine.as_str()), try_it)
        .timeout(Duration::from_secs(5))
        .fresh_for(EVERY)
}

/// Tries every engine, and says in the metrics which of them work.
pub async fn probe_all(scans: &ScanMetrics) {
    for engine in Engine::ALL {
        let probed = tokio::task::spawn_blocking(move || probe(engine)).await;
        let probed = probed.map_err(anyhow::Error::new).and_then(|probed| probed);
        scans.engine_up(engine.as_str(), probed.is_ok());
        if let Err(error) = probed {
            let error = error.as_ref() as &dyn std::error::Error;
            tracing::error!(engine = engine.as_str(), error, "an engine does not work");
        }
    }
}

/// Does so again and again. Never ends by itself.
pub async fn keep_probing(scans: ScanMetrics) {
    loop {
        time::sleep(EVERY).await;
        probe_all(&scans).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_reads_its_sample() {
        for engine in Engine::ALL {
            probe(engine).unwrap();
        }
    }
}
