//! Fills `<<…>>`, and leaves out what a naming has no series for.

use anyhow::{Context as _, Result};

use crate::Naming;

/// A template that was filled, and what was left out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// The text.
    pub text: String,
    /// The first lines of the blocks that were left out, and the word that has no series.
    pub left_out: Vec<String>,
}

/// Fills a template block by block. A block is the lines from one that starts with a marker to the next, with
/// the comment above it.
///
/// # Errors
///
/// If a word stands for nothing in any naming.
pub fn fill(template: &str, markers: &[&str], naming: &Naming) -> Result<Filled> {
    let mut filled = Filled::default();
    for block in blocks(template, markers) {
        match words(block, naming)? {
            Ok(text) => filled.text.push_str(&text),
            Err(word) => {
                let line = block
                    .lines()
                    .find(|line| markers.iter().any(|marker| line.starts_with(marker)))
                    .unwrap_or_default();
                let line = words(line, naming)?.unwrap_or_else(|_| line.to_owned());
                filled.left_out.push(format!(
                    "{}: no {word}",
                    line.trim().trim_start_matches("- ")
                ));
            }
        }
    }
    Ok(filled)
}

/// Fills one text, or tells the first word that has no series.
pub(crate) fn words(text: &str, naming: &Naming) -> Result<Result<String, String>> {
    let mut rest = text;
    let mut filled = String::with_capacity(text.len());
    while let Some((before, after)) = rest.split_once("<<") {
        let (word, after) = after
            .split_once(">>")
            .with_context(|| format!("a << without its >>, in {text:?}"))?;
        let Some(value) = naming.word(word)? else {
            return Ok(Err(word.to_owned()));
        };
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(Ok(filled))
}

fn blocks<'a>(template: &'a str, markers: &[&str]) -> Vec<&'a str> {
    let mut starts = vec![0];
    // Where the comment begins that the next block would take with it.
    let mut comment = None;
    let mut at = 0;
    for line in template.split_inclusive('\n') {
        if markers.iter().any(|marker| line.starts_with(marker)) {
            starts.push(comment.take().unwrap_or(at));
        } else if line.trim_start().starts_with('#') && !line.starts_with("## ") {
            comment = comment.or(Some(at));
        } else {
            comment = None;
        }
        at += line.len();
    }
    starts.push(at);
    starts.dedup();
    starts
        .windows(2)
        .filter_map(|pair| template.get(*pair.first()?..*pair.last()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Preset};

    const TEMPLATE: &str = "\
# Head.
groups:
  - name: <<prefix>>
    rules:
      - alert: <<Prefix>>A
        expr: <<scans_total>>
      # About B.
      - alert: <<Prefix>>B
        expr: <<upgrades_total>>
      - alert: C
";

    #[test]
    fn what_a_naming_has_no_series_for_is_left_out_with_its_comment() {
        let markers = ["      - alert:", "  - name:"];
        let options = Options {
            requests: Preset::OpenTelemetry,
            ..Options::default()
        };
        let filled = fill(TEMPLATE, &markers, &Naming::new(&options).unwrap()).unwrap();
        assert_eq!(
            filled.text,
            "# Head.\ngroups:\n  - name: sentrascan\n    rules:\n      - alert: SentrascanA\n        \
             expr: sentrascan_scans_total\n      - alert: C\n"
        );
        assert_eq!(filled.left_out, ["alert: SentrascanB: no upgrades_total"]);
        let filled = fill(
            TEMPLATE,
            &markers,
            &Naming::new(&Options::default()).unwrap(),
        )
        .unwrap();
        assert!(
            filled
                .text
                .contains("      # About B.\n      - alert: SentrascanB\n")
        );
        assert!(filled.left_out.is_empty());
    }

    #[test]
    fn a_word_that_is_not_closed_or_not_known_is_an_error() {
        let naming = Naming::new(&Options::default()).unwrap();
        for template in ["a << b", "a <<unheard_of>>"] {
            assert!(fill(template, &[], &naming).is_err());
        }
    }
}
