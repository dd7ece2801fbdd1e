//! The parts of a task: each is run, whatever became of the others, and all are listed at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// What has been run so far.
#[derive(Debug)]
pub(crate) struct Summary {
    task: &'static str,
    started: Instant,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: &'static str,
    took: Duration,
    /// What there is to say about a part that went well, often nothing.
    result: Result<String>,
}

impl Summary {
    pub(crate) fn new(task: &'static str) -> Self {
        Self {
            task,
            started: Instant::now(),
            parts: Vec::new(),
        }
    }

    /// Runs a part under a heading. An error is shown at once and once more at the end.
    pub(crate) fn part(&mut self, name: &'static str, run: impl FnOnce() -> Result<String>) {
        println!("\n== {} {name}", self.task);
        let started = Instant::now();
        let result = run();
        if let Err(error) = &result {
            println!("error: {error:#}");
        }
        self.parts.push(Part {
            name,
            took: started.elapsed(),
            result,
        });
    }

    /// Lists the parts with their times; fails if one of them did, or if there was none.
    pub(crate) fn finish(self) -> Result<()> {
        println!("\n== {} summary", self.task);
        let width = self
            .parts
            .iter()
            .map(|part| part.name.len())
            .max()
            .unwrap_or(0);
        for Part { name, took, result } in &self.parts {
            let (verdict, note) = match result {
                Ok(note) => ("ok    ", note.clone()),
                Err(error) => ("FAILED", first_line(&format!("{error:#}"))),
            };
            println!(
                "{}",
                format!("{verdict}  {name:width$}  {:>8}  {note}", seconds(*took)).trim_end()
            );
        }
        let took = seconds(self.started.elapsed());
        let failed: Vec<_> = self
            .parts
            .iter()
            .filter(|part| part.result.is_err())
            .map(|part| part.name)
            .collect();
        if self.parts.is_empty() {
            bail!("{}: nothing was run", self.task);
        }
        if !failed.is_empty() {
            bail!(
                "{}: {} of {} failed in {took}: {}",
                self.task,
                failed.len(),
                self.parts.len(),
                failed.join(", ")
            );
        }
        println!("{}: all {} passed in {took}", self.task, self.parts.len());
        Ok(())
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// `0.4 s`, `12.0 s`, `3 min 5 s`.
pub(crate) fn seconds(took: Duration) -> String {
    match took.as_secs() {
        0..60 => format!("{:.1} s", took.as_secs_f64()),
        whole => format!("{} min {} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn one_failed_part_fails_the_whole_after_all_were_run() {
        let mut summary = Summary::new("lint");
        let mut ran = Vec::new();
        summary.part("first", || Err(anyhow!("no")));
        summary.part("second", || {
            ran.push("second");
            Ok(String::new())
        });
        let error = summary.finish().unwrap_err().to_string();
        assert!(error.starts_with("lint: 1 of 2 failed in "), "{error}");
        assert!(error.ends_with(": first"), "{error}");
        assert_eq!(ran, ["second"]);
    }

    #[test]
    fn nothing_run_is_not_a_success() {
        assert!(Summary::new("test").finish().is_err());
    }

    #[test]
    fn long_times_are_in_minutes() {
        assert_eq!(seconds(Duration::from_millis(440)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 5 s");
    }
}
