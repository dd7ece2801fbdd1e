//! What a service's series come to, up to a million lines of a page.

use std::hint::black_box;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use tower_metrics_exporter::{Exporter, Filter, Format, Source as _};

use benches::report::{Row, thousands};

use super::recorder::{OURS, Resident, Side, grown, mep, row_of, turns};
use crate::{
    harness::{Effort, Rows},
    scale::{self, fill, histograms, lines},
};

const GROUP: &str = "scale";

/// So many routes have more than a million lines.
pub const MILLION: usize = 25_000;

/// Compares, and checks that the formula of the report's notes tells how many there are.
pub fn run(effort: Effort, rows: &mut Rows) {
    println!(
        "\nscale: routes of two methods and five statuses, each asked through the layer; the least of several rounds"
    );
    let all = [250, 2_500, MILLION];
    let quick = effort.rounds < 10 && effort.only.is_none();
    for routes in if quick { &all[..1] } else { &all[..] } {
        pages(effort, *routes, rows);
    }
    if !effort.is_of_one() && !quick {
        let case = format!("memory of {}", called(MILLION));
        let row = Row::new(GROUP, case, grown(Resident::OurMillion) as f64)
            .beside(&mep(), grown(Resident::MepMillion) as f64);
        rows.add(row.in_bytes().headline());
    }
}

fn called(routes: usize) -> String {
    let count = |count: usize| thousands(count as f64);
    format!("{} routes, {} lines", count(routes), count(lines(routes)))
}

/// The peer, with the buckets that ours takes from the layer.
pub fn peer(routes: usize) -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for histogram in histograms(routes) {
        let name = Matcher::Full(histogram.name.clone().into_owned());
        builder = builder
            .set_buckets_for_metric(name, &histogram.buckets)
            .expect("there are buckets");
    }
    builder.build_recorder()
}

fn pages(effort: Effort, routes: usize, rows: &mut Rows) {
    let title = format!("a page of {}", called(routes));
    if effort.skips(&title) {
        return;
    }
    let ours = scale::exporter(routes);
    fill(&ours.recorder(), routes);
    let theirs = peer(routes);
    fill(&theirs, routes);
    let theirs = theirs.handle();
    let text = String::from_utf8(page(&ours, Format::Text, 0)).expect("it is text");
    for page in [&text, &theirs.render()] {
        let of_api = page.lines().filter(|line| line.starts_with("api_"));
        assert_eq!(
            of_api.count(),
            lines(routes),
            "{title}: the formula is wrong"
        );
    }
    let mut last = 0;
    let sides = [
        Side::new(OURS, 3, |_| last = page(&ours, Format::Text, last).len()),
        Side::new(mep(), 1, |_| drop(black_box(theirs.render()))),
    ];
    let effort = Effort {
        rounds: effort.rounds.min(5),
        ..effort
    };
    let [mine, peer] = turns(effort, &title, sides);
    let (row, counted) = row_of(GROUP, &title, &mine, &peer);
    if routes < MILLION {
        rows.add_counted((row.headline(), counted));
    } else {
        // To count them would take minutes.
        rows.add(row.headline());
    }
    let size = Row::new(GROUP, format!("bytes of {title}"), text.len() as f64);
    let compact = page(&ours, Format::Protobuf, 0).len() as f64;
    rows.add(size.beside("the same in protobuf", compact).in_bytes());
}

/// A page as the service makes one: with room for as much as the last had.
fn page(exporter: &Exporter, format: Format, last: usize) -> Vec<u8> {
    let mut page = Vec::with_capacity(last + last / 16);
    exporter.encode(format, &Filter::default(), &mut page);
    black_box(page)
}
