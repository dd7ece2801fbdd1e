//! The series of a page of metrics, whoever wrote it.

use std::collections::{BTreeMap, BTreeSet};

/// One series: its name and labels, in whatever order the page has them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

impl Series {
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// The `grpc_server_…` of a page in the text format.
#[derive(Debug)]
pub struct Page {
    pub types: BTreeMap<String, String>,
    pub samples: BTreeMap<Series, f64>,
}

impl Page {
    pub fn read(text: &str) -> Self {
        let mut page = Self {
            types: BTreeMap::new(),
            samples: BTreeMap::new(),
        };
        for line in text.lines() {
            if let Some(named) = line.strip_prefix("# TYPE grpc_server_") {
                let (name, kind) = named.split_once(' ').expect("a name and a type");
                let name = format!("grpc_server_{name}");
                assert_eq!(page.types.insert(name, kind.to_owned()), None, "{line}");
            } else if line.starts_with("grpc_server_") {
                let (series, value) = line.rsplit_once(' ').expect("a series and a value");
                let value = value.parse().expect("a number");
                assert_eq!(page.samples.insert(read(series), value), None, "{line}");
            }
        }
        page
    }

    /// Those that this is true of.
    pub fn only(mut self, keep: impl Fn(&Series) -> bool) -> Self {
        self.samples.retain(|series, _| keep(series));
        let names: BTreeSet<_> = self.samples.keys().map(|series| &series.name).collect();
        let used = |family: &String| names.iter().any(|name| name.starts_with(family.as_str()));
        self.types.retain(|family, _| used(family));
        self
    }

    /// How many calls have ended.
    pub fn handled(&self) -> f64 {
        self.sum(|series| series.name == "grpc_server_handled_total")
    }

    pub fn sum(&self, of: impl Fn(&Series) -> bool) -> f64 {
        let samples = self.samples.iter().filter(|(series, _)| of(series));
        samples.map(|(_, value)| value).sum()
    }
}

/// A series whose label values have nothing in them that is escaped.
fn read(series: &str) -> Series {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').expect("the labels end");
    let labels = labels.split(',').filter(|label| !label.is_empty());
    let label = |label: &str| {
        let (name, value) = label.split_once('=').expect("a label and a value");
        (name.to_owned(), value.trim_matches('"').to_owned())
    };
    Series {
        name: name.to_owned(),
        labels: labels.map(label).collect(),
    }
}
