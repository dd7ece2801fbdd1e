//! Whatever is recorded is on every page, and no page is refused.

use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use server_tests::{OpenMetricsParser, Prometheus, Suite, promtool_check_metrics};
use tower_metrics_exporter::{Exporter, Filter, Format, Source as _};

use crate::{
    recorded::{Samples, any_recorded, sample, samples},
    serve,
};

const EXEMPLAR: [(&str, &str); 2] = [("trace_id", "\\\"\n#} 1"), ("größe", "ä")];

fn exporter() -> Exporter {
    let builder = Exporter::builder().exemplars(|| Some(EXEMPLAR));
    builder.build().unwrap()
}

#[test]
fn the_strict_parser_of_openmetrics_reads_what_was_recorded() {
    let mut parser = OpenMetricsParser::start();
    // It does refuse what is wrong.
    for wrong in ["a 1\n", "# TYPE a_total counter\na_total 1\n# EOF\n"] {
        assert!(parser.parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let mut runner = TestRunner::new(Config {
        cases: 512,
        failure_persistence: None,
        ..Config::default()
    });
    let parser = std::cell::RefCell::new(parser);
    let outcome = runner.run(&vec(any_recorded(), 1..12), |recorded| {
        let exporter = exporter();
        for recorded in recorded {
            recorded.not_negative().record(&exporter);
        }
        let mut page = Vec::new();
        exporter.encode(Format::OpenMetrics, &Filter::default(), &mut page);
        let parsed = parser.borrow_mut().parse(&page);
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                let page = String::from_utf8_lossy(&page);
                return Err(TestCaseError::fail(format!("{error}\n{page}")));
            }
        };
        let mut read = Samples::new();
        for parsed in parsed {
            if parsed.name.starts_with("exporter_") {
                continue;
            }
            if let Some(exemplar) = &parsed.exemplar {
                prop_assert_eq!(parsed.kind, "histogram");
                prop_assert_eq!(exemplar.len(), 2);
                prop_assert_eq!(
                    exemplar.get("trace_id").map(String::as_str),
                    Some(EXEMPLAR[0].1)
                );
            }
            let (name, value) = sample(&parsed.name, parsed.labels, parsed.value);
            prop_assert_eq!(read.insert(name, value), None);
        }
        prop_assert_eq!(read, samples(&exporter));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// The same every time: one server reads them all.
fn many(count: usize) -> Exporter {
    let exporter = exporter();
    let mut runner = TestRunner::deterministic();
    for number in 0..count {
        let recorded = any_recorded().new_tree(&mut runner).unwrap().current();
        // Some of each name, and some of names that no other has.
        let recorded = if number % 2 == 0 {
            recorded.numbered(number)
        } else {
            recorded
        };
        recorded.record(&exporter);
    }
    exporter
}

fn prometheus_reads_what_was_recorded(suite: Suite) {
    let exporter = many(600);
    let expected = samples(&exporter);
    assert!(expected.len() > 2000, "{}", expected.len());
    let mut prometheus = Prometheus::in_all_formats(suite, &serve(&exporter));
    for job in ["text", "openmetrics", "protobuf"] {
        let query = format!("{{job=\"{job}\",__name__!~\"exporter_.*|up|scrape_.*\"}}");
        let mut read = Samples::new();
        for (labels, value) in prometheus.query(&query) {
            let labels = labels.as_object().unwrap().iter();
            let labels =
                labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
            let mut labels: std::collections::BTreeMap<_, _> = labels.collect();
            let name = labels.remove("__name__").unwrap();
            labels.remove("job");
            labels.remove("instance");
            let (name, value) = sample(&name, labels, value);
            assert_eq!(read.insert(name, value), None);
        }
        for (sample, value) in &expected {
            assert_eq!(read.get(sample), Some(value), "{sample} by {job}");
        }
        assert_eq!(read.len(), expected.len(), "{job}");
    }
}

#[test]
fn prometheus_2_53_reads_what_was_recorded_in_every_format() {
    prometheus_reads_what_was_recorded(Suite::Trixie);
}

#[test]
fn prometheus_3_reads_what_was_recorded_in_every_format() {
    prometheus_reads_what_was_recorded(Suite::Forky);
}

#[test]
fn promtool_refuses_no_page() {
    for suite in Suite::ALL {
        let said = promtool_check_metrics(suite, "a{x=\"1\",x=\"2\"} 1\n");
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        // 3 is for what is no good style.
        let said = promtool_check_metrics(suite, &many(600).render());
        assert!(matches!(said.status.code(), Some(0 | 3)), "{said:?}");
    }
}
