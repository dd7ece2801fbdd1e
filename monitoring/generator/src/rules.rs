//! Reads rule files.

use anyhow::{Context as _, Result, bail};
use yaml_rust2::{Yaml, YamlLoader};

/// A rule of a rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The alert's name, or the series that is recorded.
    pub name: String,
    /// Whether it records.
    pub is_record: bool,
    /// The expression.
    pub expression: String,
    /// The severity, if it is an alert.
    pub severity: Option<String>,
    /// The annotations.
    pub annotations: Vec<(String, String)>,
}

/// The rules of a rule file, in order.
///
/// # Errors
///
/// If it is not one.
pub fn rules(text: &str) -> Result<Vec<Rule>> {
    let documents = YamlLoader::load_from_str(text)?;
    let [document] = documents.as_slice() else {
        bail!("not one YAML document")
    };
    let groups = document["groups"].as_vec().context("no groups")?;
    let mut rules = Vec::new();
    for group in groups {
        for rule in group["rules"].as_vec().context("a group without rules")? {
            rules.push(read(rule).with_context(|| format!("in {rule:?}"))?);
        }
    }
    Ok(rules)
}

fn read(rule: &Yaml) -> Result<Rule> {
    let text = |key: &str| rule[key].as_str().map(str::to_owned);
    let record = text("record");
    let annotations = rule["annotations"].as_hash().into_iter().flatten();
    Ok(Rule {
        is_record: record.is_some(),
        name: record.or_else(|| text("alert")).context("no name")?,
        expression: text("expr").context("no expression")?,
        severity: rule["labels"]["severity"].as_str().map(str::to_owned),
        annotations: annotations
            .filter_map(|(name, text)| Some((name.as_str()?.to_owned(), text.as_str()?.to_owned())))
            .collect(),
    })
}
