use super::{
    Encode, Exemplar, FamilyKind, Head, HistogramView, Labels, Number, UnixMillis,
    number::{push_float, push_whole},
};

/// Writes Prometheus' text format 0.0.4, or OpenMetrics 1.0.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    page: &'a mut Vec<u8>,
    is_open_metrics: bool,
    /// The name of the family's samples, without the suffixes of a histogram's.
    name: Vec<u8>,
    /// What all buckets of a series begin with, to the value of `le`.
    bucket: Vec<u8>,
}

impl<'a> Text<'a> {
    pub(crate) const fn prometheus(page: &'a mut Vec<u8>) -> Self {
        Self {
            page,
            is_open_metrics: false,
            name: Vec::new(),
            bucket: Vec::new(),
        }
    }

    pub(crate) const fn open_metrics(page: &'a mut Vec<u8>) -> Self {
        Self {
            page,
            is_open_metrics: true,
            name: Vec::new(),
            bucket: Vec::new(),
        }
    }

    fn push(&mut self, text: &str) {
        self.page.extend_from_slice(text.as_bytes());
    }

    /// `# WORD name `
    fn meta(&mut self, word: &str, name: &str) {
        self.push("# ");
        self.push(word);
        self.push(" ");
        self.push(name);
        self.push(" ");
    }

    /// The name and the labels of a sample, and the space before its value.
    fn sample(&mut self, suffix: &str, labels: &Labels) {
        self.page.extend_from_slice(&self.name);
        self.push(suffix);
        if !labels.text().is_empty() {
            self.push("{");
            self.push(labels.text());
            self.push("}");
        }
        self.push(" ");
    }

    fn start_buckets(&mut self, labels: &Labels) {
        self.bucket.clear();
        self.bucket.extend_from_slice(&self.name);
        self.bucket.extend_from_slice(b"_bucket{");
        if !labels.text().is_empty() {
            self.bucket.extend_from_slice(labels.text().as_bytes());
            self.bucket.push(b',');
        }
        self.bucket.extend_from_slice(b"le=\"");
    }

    fn exemplar(&mut self, exemplar: Option<&Exemplar>) {
        let Some(Exemplar { labels, value, at }) = exemplar.filter(|_| self.is_open_metrics) else {
            return;
        };
        self.push(" # {");
        self.push(labels.text());
        self.push("} ");
        push_float(self.page, *value);
        self.push(" ");
        push_whole(self.page, at.0 / 1000);
        self.push(".");
        let millis = at.0 % 1000;
        for unit in [100, 10, 1] {
            push_whole(self.page, millis / unit % 10);
        }
    }
}

impl Encode for Text<'_> {
    fn family(&mut self, head: &Head<'_>) {
        self.name.clear();
        self.name.extend_from_slice(head.name.as_bytes());
        let (mut name, mut kind) = (head.name, head.kind.as_str());
        if self.is_open_metrics && head.kind == FamilyKind::Counter {
            // There, the family of a counter is called by its name without `_total`, and a counter that
            // does not end in it is none.
            match head
                .name
                .strip_suffix("_total")
                .filter(|_| !head.has_sibling)
            {
                Some(stem) => name = stem,
                None => kind = "unknown",
            }
        }
        if !head.help.is_empty() {
            self.meta("HELP", name);
            escape_help(self.page, head.help, self.is_open_metrics);
            self.push("\n");
        }
        self.meta("TYPE", name);
        self.push(kind);
        self.push("\n");
        let unit = head.unit_of(name).filter(|_| self.is_open_metrics);
        if let Some(unit) = unit {
            self.meta("UNIT", name);
            self.push(unit);
            self.push("\n");
        }
    }

    fn counter(
        &mut self,
        labels: &Labels,
        value: Number,
        _: Option<UnixMillis>,
        exemplar: Option<&Exemplar>,
    ) {
        self.sample("", labels);
        value.push(self.page);
        self.exemplar(exemplar);
        self.push("\n");
    }

    fn gauge(&mut self, labels: &Labels, value: f64) {
        self.sample("", labels);
        push_float(self.page, value);
        self.push("\n");
    }

    fn histogram(&mut self, labels: &Labels, histogram: &HistogramView<'_>) {
        self.start_buckets(labels);
        let bounds = histogram.bounds.texts().zip(histogram.cumulative);
        for (bucket, (bound, count)) in bounds.enumerate() {
            self.page.extend_from_slice(&self.bucket);
            self.push(bound);
            push_whole(self.page, *count);
            if !histogram.exemplars.is_empty() {
                self.exemplar(histogram.exemplars.get(bucket).and_then(Option::as_ref));
            }
            self.push("\n");
        }
        self.sample("_sum", labels);
        push_float(self.page, histogram.sum);
        self.push("\n");
        self.sample("_count", labels);
        push_whole(
            self.page,
            histogram.cumulative.last().copied().unwrap_or_default(),
        );
        self.push("\n");
    }

    fn finish(&mut self) {
        if self.is_open_metrics {
            self.push("# EOF\n");
        }
    }
}

impl FamilyKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

fn escape_help(page: &mut Vec<u8>, help: &str, quotes: bool) {
    for byte in help.bytes() {
        match byte {
            b'\\' => page.extend_from_slice(b"\\\\"),
            b'\n' => page.extend_from_slice(b"\\n"),
            b'"' if quotes => page.extend_from_slice(b"\\\""),
            _ => page.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Bounds;

    fn page(is_open_metrics: bool, write: impl FnOnce(&mut Text<'_>)) -> String {
        let mut page = Vec::new();
        let mut text = Text::prometheus(&mut page);
        text.is_open_metrics = is_open_metrics;
        write(&mut text);
        text.finish();
        String::from_utf8(page).unwrap()
    }

    fn head(name: &str, kind: FamilyKind) -> Head<'_> {
        Head {
            name,
            kind,
            help: "A \"b\"\\\nc.",
            unit: None,
            has_sibling: false,
        }
    }

    fn counter(name: &'static str, has_sibling: bool) -> impl Fn(&mut Text<'_>) {
        move |text| {
            text.family(&Head {
                has_sibling,
                ..head(name, FamilyKind::Counter)
            });
            let (labels, _) = Labels::new([("a", "1")]);
            text.counter(&labels, Number::Whole(3), None, None);
        }
    }

    #[test]
    fn a_counter_has_one_name_in_both() {
        let help = r#"# HELP x_total A "b"\\\nc."#;
        let expected = format!("{help}\n# TYPE x_total counter\nx_total{{a=\"1\"}} 3\n");
        assert_eq!(page(false, counter("x_total", false)), expected);
        let help = r#"# HELP x A \"b\"\\\nc."#;
        let expected = format!("{help}\n# TYPE x counter\nx_total{{a=\"1\"}} 3\n# EOF\n");
        assert_eq!(page(true, counter("x_total", false)), expected);
    }

    #[test]
    fn a_counter_that_openmetrics_cannot_name_is_unknown_there() {
        let has = |text: String, line: &str| assert!(text.contains(line), "{text}");
        has(
            page(true, counter("x", false)),
            "# TYPE x unknown\nx{a=\"1\"} 3\n",
        );
        has(
            page(true, counter("x_total", true)),
            "# TYPE x_total unknown\nx_total{a=\"1\"} 3\n",
        );
        has(
            page(false, counter("x", false)),
            "# TYPE x counter\nx{a=\"1\"} 3\n",
        );
    }

    #[test]
    fn a_histogram_ends_with_its_count() {
        let bounds = Bounds::new([0.5, 1.0]);
        let (labels, _) = Labels::new([]);
        let exemplar = Exemplar {
            labels: Labels::new([("trace_id", "ab")]).0,
            value: 0.75,
            at: UnixMillis(12_034),
        };
        let exemplars = [None, Some(exemplar), None];
        let view = HistogramView {
            bounds: &bounds,
            cumulative: &[1, 2, 4],
            sum: 7.5,
            created: UnixMillis(0),
            exemplars: &exemplars,
            native: None,
        };
        let write = |text: &mut Text<'_>| {
            text.family(&Head {
                help: "",
                unit: Some("seconds"),
                ..head("h_seconds", FamilyKind::Histogram)
            });
            text.histogram(&labels, &view);
        };
        let text = "# TYPE h_seconds histogram\nh_seconds_bucket{le=\"0.5\"} 1\n\
                    h_seconds_bucket{le=\"1.0\"} 2\nh_seconds_bucket{le=\"+Inf\"} 4\n\
                    h_seconds_sum 7.5\nh_seconds_count 4\n";
        assert_eq!(page(false, write), text);
        let open_metrics = text
            .replace("histogram\n", "histogram\n# UNIT h_seconds seconds\n")
            .replace("} 2\n", "} 2 # {trace_id=\"ab\"} 0.75 12.034\n");
        assert_eq!(page(true, write), open_metrics + "# EOF\n");
    }
}
