//! What a run measured, as a file, as a page and as the README's tables.

use std::{fmt::Write as _, fs, process::Command};

use serde::{Deserialize, Serialize};

/// A run of `cargo xtask bench`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub rows: Vec<Row>,
}

/// Where it ran.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    pub compiler: String,
    /// The day, as in `2026-11-26`.
    pub date: String,
}

/// One comparison.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Row {
    pub group: String,
    pub case: String,
    /// In `unit`.
    pub ours: f64,
    /// The same of the peer.
    pub peer: Option<f64>,
    pub peer_name: String,
    /// Empty if the peer is no package.
    pub peer_version: String,
    pub unit: Unit,
    /// Ours to the peer's.
    pub ratio: Option<f64>,
    /// What the ratio is to be at most.
    pub budget: Option<f64>,
    pub within_budget: Option<bool>,
    /// What ours is to allocate at most.
    pub allocation_budget: Option<f64>,
    /// An operation's, ours and the peer's.
    pub allocations: Option<[f64; 2]>,
    /// The same.
    pub instructions: Option<[f64; 2]>,
    /// Whether the README tells it, too.
    pub headline: bool,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub enum Unit {
    #[default]
    #[serde(rename = "ns")]
    Nanoseconds,
    #[serde(rename = "B")]
    Bytes,
    #[serde(rename = "requests/s")]
    RequestsPerSecond,
}

impl Row {
    pub fn new(group: &str, case: impl Into<String>, ours: f64) -> Self {
        Self {
            group: group.to_owned(),
            case: case.into(),
            ours,
            ..Self::default()
        }
    }

    /// Beside a package and its version, as in `axum 0.8.9`, or beside something else in words.
    #[must_use]
    pub fn beside(mut self, peer: &str, value: f64) -> Self {
        let (name, version) = match peer.rsplit_once(' ') {
            Some((name, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => {
                (name, version)
            }
            _ => (peer, ""),
        };
        name.clone_into(&mut self.peer_name);
        version.clone_into(&mut self.peer_version);
        self.peer = Some(value);
        self.ratio = Some(self.ours / value);
        self
    }

    #[must_use]
    pub fn at_most(mut self, budget: f64) -> Self {
        self.budget = Some(budget);
        self.headline().judged()
    }

    #[must_use]
    pub fn allocations(mut self, ours: f64, peer: f64) -> Self {
        self.allocations = Some([ours, peer]);
        self.judged()
    }

    #[must_use]
    pub fn allocates_at_most(mut self, budget: f64) -> Self {
        self.allocation_budget = Some(budget);
        self.judged()
    }

    fn judged(mut self) -> Self {
        let ratio = self.budget.zip(self.ratio).map(|(most, is)| is <= most);
        let allocations = self.allocation_budget.zip(self.allocations);
        // Once in a thousand operations is not an operation's.
        let allocations = allocations.map(|(most, [ours, _])| ours <= most + 0.001);
        self.within_budget = match (ratio, allocations) {
            (Some(ratio), Some(allocations)) => Some(ratio && allocations),
            (one, other) => one.or(other),
        };
        self
    }

    /// What the README tells, too; what has a budget for its ratio always is.
    #[must_use]
    pub const fn headline(mut self) -> Self {
        self.headline = true;
        self
    }

    #[must_use]
    pub const fn in_bytes(mut self) -> Self {
        self.unit = Unit::Bytes;
        self
    }

    /// The line that is printed.
    pub fn line(&self) -> String {
        let mut line = format!("  {:<66} {:>10}", self.case, self.unit.of(self.ours));
        if let (Some(peer), Some(ratio)) = (self.peer, self.ratio) {
            let name = self.peer();
            let peer = self.unit.of(peer);
            _ = write!(line, "  {name}: {peer}, ratio {ratio:.3}");
        }
        if let Some([ours, peer]) = self.allocations {
            _ = write!(line, ", {} to {} allocations", count(ours), count(peer));
        }
        if let Some(within) = self.within_budget {
            let verdict = if within { "within" } else { "ABOVE" };
            _ = write!(line, "; {verdict} {}", self.budgets());
        }
        line
    }

    fn budgets(&self) -> String {
        let ratio = self.budget.map(ratio);
        let allocations = self
            .allocation_budget
            .map(|most| format!("{} allocations", count(most)));
        let both: Vec<_> = ratio.into_iter().chain(allocations).collect();
        both.join(", ")
    }

    fn peer(&self) -> String {
        format!("{} {}", self.peer_name, self.peer_version)
            .trim_end()
            .to_owned()
    }
}

impl Unit {
    /// Three digits and a unit.
    pub fn of(self, value: f64) -> String {
        if self == Self::RequestsPerSecond {
            return format!("{}/s", thousands(value.round()));
        }
        let (base, scales) = match self {
            Self::Nanoseconds => (1_000.0, ["ns", "µs", "ms", "s"]),
            Self::Bytes | Self::RequestsPerSecond => (1_024.0, ["B", "KiB", "MiB", "GiB"]),
        };
        let (mut value, mut scale) = (value, 0);
        while value.abs() >= base && scale + 1 < scales.len() {
            value /= base;
            scale += 1;
        }
        format!("{} {}", digits(value), scales[scale])
    }
}

/// Three of them that tell.
fn digits(value: f64) -> String {
    match value.abs() {
        value_ if value_ >= 99.95 => thousands(value.round()),
        value_ if value_ >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// As in `2,500,057`.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 && digits.as_bytes()[at - 1] != b'-' {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of an operation.
fn count(value: f64) -> String {
    // What is once in a thousand operations is not an operation's.
    if value.abs() < 0.005 {
        return String::from("0");
    }
    if (value - value.round()).abs() < 0.05 {
        return thousands(value.round());
    }
    format!("{value:.1}")
}

impl Report {
    /// The names of the groups, in the order in which they ran.
    pub fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = self.rows.iter().map(|row| row.group.as_str()).collect();
        groups.dedup();
        groups
    }

    /// The rows of a group as a table of Markdown: all, or the headlines without their instructions.
    fn table(&self, group: &str, whole: bool) -> String {
        let rows = self.rows.iter().filter(|row| row.group == group);
        let rows: Vec<_> = rows.filter(|row| whole || row.headline).collect();
        if rows.is_empty() {
            return String::from("Not measured yet.\n");
        }
        let counted = whole && rows.iter().any(|row| row.instructions.is_some());
        let mut table = String::from("| | ours | peer | ratio | budget | allocations |");
        table += if counted { " instructions |\n" } else { "\n" };
        table += "|---|---|---|---|---|---|";
        table += if counted { "---|\n" } else { "\n" };
        for row in rows {
            let pair = |pair: Option<[f64; 2]>, text: fn(f64) -> String| {
                pair.map_or_else(String::new, |[ours, peer]| {
                    format!("{} to {}", text(ours), text(peer))
                })
            };
            let peer = row.peer.map_or_else(String::new, |value| {
                format!("{}: {}", row.peer(), row.unit.of(value))
            });
            let missed = row.within_budget == Some(false);
            _ = write!(
                table,
                "| {} | {} | {peer} | {} | {}{} | {} |",
                row.case,
                row.unit.of(row.ours),
                row.ratio.map_or_else(String::new, ratio),
                row.budgets(),
                if missed { ": missed" } else { "" },
                pair(row.allocations, count),
            );
            if counted {
                _ = write!(
                    table,
                    " {} |",
                    pair(row.instructions, |value| thousands(value.round()))
                );
            }
            table.push('\n');
        }
        table
    }

    /// This, with the groups of `part` in place of its own.
    #[must_use]
    pub fn with(mut self, part: &Self) -> Self {
        for group in part.groups() {
            let is_other = |row: &Row| row.group != group;
            let at = self.rows.iter().position(|row| !is_other(row));
            self.rows.retain(is_other);
            let at = at.unwrap_or(self.rows.len());
            let rows = part.rows.iter().filter(|row| row.group == group);
            self.rows.splice(at..at, rows.cloned());
        }
        self
    }

    /// The page with everything.
    pub fn page(&self, words: &str) -> String {
        let machine = &self.machine;
        let mut page = String::from(
            "# What the layers cost\n\n<!-- written by `cargo xtask bench --write` from report.json and notes.md -->\n\n",
        );
        _ = writeln!(
            page,
            "Measured on {}: {}, {} cores, Linux {}, {}, profile `bench`. To measure again, on a machine that \
             does nothing else:\n\n```sh\ncargo xtask bench\n```\n",
            machine.date, machine.processor, machine.cores, machine.kernel, machine.compiler,
        );
        let verdicts: Vec<_> = self
            .rows
            .iter()
            .filter_map(|row| row.within_budget)
            .collect();
        let kept = verdicts.iter().filter(|within| **within).count();
        _ = writeln!(page, "{kept} of {} budgets are kept.\n", verdicts.len());
        page += words.trim_end();
        page += "\n";
        for group in self.groups() {
            _ = writeln!(
                page,
                "\n## {group}\n\n{}",
                self.table(group, true).trim_end()
            );
        }
        page
    }
}

fn ratio(value: f64) -> String {
    if value < 0.0995 {
        format!("{value:.3}")
    } else {
        format!("{value:.2}")
    }
}

impl Machine {
    /// This one, today.
    pub fn this() -> Self {
        let said = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().ok()?;
            Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
        };
        let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(": ")?.1.to_owned())
        });
        let unknown = || String::from("unknown");
        Self {
            processor: processor.unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: said("uname", &["-r"]).unwrap_or_else(unknown),
            compiler: said("rustc", &["--version"]).unwrap_or_else(unknown),
            date: said("date", &["-u", "+%F"]).unwrap_or_else(unknown),
        }
    }
}

/// The README with its tables replaced by those of the report.
///
/// # Panics
///
/// If a mark has no end.
pub fn with_tables(readme: &str, report: &Report) -> String {
    const END: &str = "<!-- end of bench -->";
    let mut text = String::new();
    let mut rest = readme;
    while let Some((before, after)) = rest.split_once("<!-- bench: ") {
        let (group, after) = after.split_once(" -->").expect("the mark ends");
        let (_, after) = after.split_once(END).expect("the table ends");
        let table = report.table(group, false);
        _ = write!(text, "{before}<!-- bench: {group} -->\n\n{table}\n{END}");
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row::new("group", "a case", 20.0)
            .beside("peer 1.2.3", 100.0)
            .at_most(0.25)
            .allocations(0.0, 34.0)
            .allocates_at_most(0.0)
    }

    #[test]
    fn a_row_knows_its_ratio_and_whether_it_is_within() {
        let row = row();
        assert_eq!(row.ratio, Some(0.2));
        assert_eq!(row.within_budget, Some(true));
        assert_eq!((&*row.peer_name, &*row.peer_version), ("peer", "1.2.3"));
        assert_eq!(row.clone().at_most(0.1).within_budget, Some(false));
        assert_eq!(row.allocations(0.5, 1.0).within_budget, Some(false));
        let other = Row::new("group", "a case", 1.0).beside("a bare atomic add", 2.0);
        assert_eq!(other.peer_version, "");
    }

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        for (value, text) in [
            (7.0, "7.00 ns"),
            (19.66, "19.7 ns"),
            (305.4, "305 ns"),
            (1_500.0, "1.50 µs"),
            (6_900_000.0, "6.90 ms"),
            (-12.0, "-12.0 ns"),
        ] {
            assert_eq!(Unit::Nanoseconds.of(value), text);
        }
        assert_eq!(Unit::Bytes.of(4_096.0), "4.00 KiB");
        assert_eq!(thousands(2_500_057.0), "2,500,057");
        assert_eq!(thousands(-123.0), "-123");
    }

    #[test]
    fn the_readme_s_tables_are_replaced_and_nothing_else() {
        let report = Report {
            rows: vec![row()],
            ..Report::default()
        };
        let readme = "before\n\n<!-- bench: group -->\nold\n<!-- end of bench -->\nafter\n";
        let once = with_tables(readme, &report);
        assert_eq!(
            once,
            "before\n\n<!-- bench: group -->\n\n\
             | | ours | peer | ratio | budget | allocations |\n|---|---|---|---|---|---|\n\
             | a case | 20.0 ns | peer 1.2.3: 100 ns | 0.20 | 0.25, 0 allocations | 0 to 34 |\n\n\
             <!-- end of bench -->\nafter\n"
        );
        assert_eq!(with_tables(&once, &report), once);
    }

    #[test]
    fn a_group_that_was_measured_again_stands_where_it_stood() {
        let report = |rows: &[(&str, f64)]| Report {
            rows: rows
                .iter()
                .map(|(group, ours)| Row::new(group, "a case", *ours))
                .collect(),
            ..Report::default()
        };
        let before = report(&[("one", 1.0), ("two", 2.0), ("two", 3.0), ("three", 4.0)]);
        let after = report(&[("one", 1.0), ("two", 5.0), ("three", 4.0), ("four", 6.0)]);
        let part = report(&[("two", 5.0), ("four", 6.0)]);
        assert_eq!(before.with(&part), after);
    }

    /// Every figure in them was measured, on one machine and day.
    #[test]
    fn the_readme_and_the_page_are_the_report_s() {
        let read = |path: &str| {
            let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        let report: Report = serde_json::from_str(&read("report.json")).unwrap();
        let remedy = "`cargo xtask bench --write` writes it";
        assert!(
            report.page(&read("notes.md")) == read("REPORT.md"),
            "{remedy}"
        );
        let readme = read("../README.md");
        assert!(with_tables(&readme, &report) == readme, "{remedy}");
        for group in report.groups() {
            let mark = format!("<!-- bench: {group} -->");
            assert_eq!(readme.matches(&mark).count(), 1, "{group}");
        }
    }
}
