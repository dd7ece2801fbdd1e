//! What the README says of the series is what the crates record.

use std::collections::BTreeMap;

use tower_observe::Spec;

/// A row of the README's table of series: kind, labels, unit.
type Row = (String, Vec<String>, String);

fn in_the_readme() -> BTreeMap<String, Row> {
    let readme = include_str!("../../../README.md");
    let table = readme
        .split("## The series")
        .nth(1)
        .expect("there is a section of series");
    let rows = table
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, kind, labels, unit, _from] = cells[..] else {
                panic!("a row of another form: {line}")
            };
            let plain = |text: &str| text.trim_matches('`').to_owned();
            let labels = labels
                .split(", ")
                .filter(|label| !label.is_empty())
                .map(plain)
                .collect();
            (plain(name), (kind.to_owned(), labels, unit.to_owned()))
        })
        .collect()
}

fn recorded() -> BTreeMap<String, Row> {
    let scans = tower_scan_lifecycle::ScanMetrics::builder()
        .build()
        .unwrap();
    let specs = tower_request_metrics::RequestMetrics::new()
        .specs()
        .into_iter();
    let specs = specs
        .chain(scans.specs())
        .chain(tower_json_logging::specs())
        .chain(tower_metrics_exporter::specs());
    let row = |spec: Spec| {
        let labels = spec.labels.iter().map(ToString::to_string).collect();
        let unit = spec.unit.map(|unit| unit.to_string()).unwrap_or_default();
        (
            spec.name.into_owned(),
            (spec.kind.to_string(), labels, unit),
        )
    };
    specs.map(row).collect()
}

#[test]
fn the_table_of_series_is_what_the_layers_say_they_record() {
    assert_eq!(in_the_readme(), recorded());
}
