use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    process::{ChildStdin, ChildStdout, Command, Stdio},
};

use platform_tests::Process;
use serde_json::Value;

use crate::tools::python;

/// The strict OpenMetrics parser of Prometheus' client for Python, in a process of its own.
pub struct OpenMetricsParser {
    pages: ChildStdin,
    answers: BufReader<ChildStdout>,
    _process: Process,
}

/// A sample as the parser read it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// With the suffix, as of a histogram's buckets.
    pub name: String,
    /// Labels, `le` among them.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
    /// The type of its family.
    pub kind: String,
    /// The labels of its exemplar.
    pub exemplar: Option<BTreeMap<String, String>>,
}

impl OpenMetricsParser {
    /// Starts one.
    pub fn start() -> Self {
        let mut command = Command::new(python());
        command
            .args(["-I", "-c", include_str!("openmetrics.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::start("the OpenMetrics parser", &mut command);
        let pages = process.child().stdin.take().expect("it is piped");
        let answers = process.child().stdout.take().expect("it is piped");
        Self {
            pages,
            answers: BufReader::new(answers),
            _process: process,
        }
    }

    /// The samples of a page, or why it is none.
    pub fn parse(&mut self, page: &[u8]) -> Result<Vec<Sample>, String> {
        let mut order = format!("{}\n", page.len()).into_bytes();
        order.extend_from_slice(page);
        self.pages.write_all(&order).expect("the parser reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it writes UTF-8");
        let answer: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error}: the parser said {line:?}"));
        if let Some(error) = answer["error"].as_str() {
            return Err(error.to_owned());
        }
        let samples = answer["samples"].as_array().expect("a list").iter();
        Ok(samples.map(sample).collect())
    }
}

fn sample(sample: &Value) -> Sample {
    let text = |at: usize| sample[at].as_str().expect("a text");
    let labels = |value: &Value| -> BTreeMap<String, String> {
        let labels = value.as_object().expect("a map").iter();
        labels
            .map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned()))
            .collect()
    };
    Sample {
        name: text(0).to_owned(),
        labels: labels(&sample[1]),
        value: text(2).parse().expect("a number"),
        kind: text(3).to_owned(),
        exemplar: (!sample[4].is_null()).then(|| labels(&sample[4])),
    }
}
