//! The model that the conventions are generated from, and what their text adds to it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use yaml_rust2::{Yaml, YamlLoader};

/// When a metric has an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Required,
    ConditionallyRequired,
    Recommended,
    OptIn,
}

/// What is said of one metric.
#[derive(Debug)]
pub struct Metric {
    pub instrument: String,
    pub unit: String,
    pub attributes: BTreeMap<String, Level>,
}

impl Metric {
    /// The attributes of this level.
    pub fn of(&self, level: Level) -> impl Iterator<Item = &str> {
        let attributes = self.attributes.iter();
        attributes
            .filter(move |(_, of)| **of == level)
            .map(|(name, _)| name.as_str())
    }
}

pub struct Model {
    groups: Vec<Yaml>,
    /// Every attribute, and its well-known values if it has such.
    registry: BTreeMap<String, Vec<String>>,
    text: String,
}

impl Model {
    pub fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/semantic-conventions");
        let mut model = Self {
            groups: Vec::new(),
            registry: BTreeMap::new(),
            text: fs::read_to_string(root.join("docs/metrics.md")).unwrap(),
        };
        for file in files(&root.join("model")) {
            let text = fs::read_to_string(file).unwrap();
            for document in YamlLoader::load_from_str(&text).unwrap() {
                model.registry.extend(attributes(&document));
                let groups = document["groups"].as_vec();
                model.groups.extend(groups.into_iter().flatten().cloned());
            }
        }
        for group in &model.groups {
            model.registry.extend(attributes(group));
        }
        model
    }

    /// The metric of this name.
    pub fn metric(&self, name: &str) -> Metric {
        let named = |group: &&Yaml| group["metric_name"].as_str() == Some(name);
        let group = self.groups.iter().find(named);
        let group = group.unwrap_or_else(|| panic!("{name} is no metric of the conventions"));
        let mut attributes = BTreeMap::new();
        self.collect(group, &mut attributes);
        Metric {
            instrument: text(&group["instrument"]),
            unit: text(&group["unit"]),
            attributes,
        }
    }

    /// The attributes of a group after those that it extends, and in their stead.
    fn collect(&self, group: &Yaml, attributes: &mut BTreeMap<String, Level>) {
        if let Some(parent) = group["extends"].as_str() {
            let is_parent = |group: &&Yaml| group["id"].as_str() == Some(parent);
            let parent = self.groups.iter().find(is_parent);
            self.collect(parent.expect("the group that is extended"), attributes);
        }
        for attribute in group["attributes"].as_vec().into_iter().flatten() {
            let name = text(&attribute["ref"]);
            match level(&attribute["requirement_level"]) {
                Some(level) => {
                    attributes.insert(name, level);
                }
                None => {
                    attributes.entry(name).or_insert(Level::Recommended);
                }
            }
        }
    }

    /// The well-known values of an attribute, none if it takes any.
    pub fn members(&self, attribute: &str) -> &[String] {
        let members = self.registry.get(attribute);
        members.unwrap_or_else(|| panic!("{attribute} is no attribute of the conventions"))
    }

    /// What the text says of a metric.
    fn section(&self, metric: &str) -> &str {
        let heading = format!("### Metric: `{metric}`\n");
        let (_, section) = self.text.split_once(&heading).expect("a section");
        section.split("###").next().unwrap()
    }

    /// Whether a metric is for those only who ask for it.
    pub fn is_opt_in(&self, metric: &str) -> bool {
        self.section(metric).contains("[opt-in]")
    }

    /// The buckets that a histogram should have, none where nothing is said of them.
    pub fn buckets(&self, metric: &str) -> Vec<f64> {
        let list = self.section(metric).split_once("of `[").map(|(_, list)| {
            let (list, _) = list.split_once("]`").expect("the end of the list");
            list.split(',').map(|bound| bound.trim().parse().unwrap())
        });
        list.into_iter().flatten().collect()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap();
    let paths = paths.map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    });
    files.collect()
}

/// The attributes that are defined here, with their well-known values.
fn attributes(place: &Yaml) -> impl Iterator<Item = (String, Vec<String>)> {
    let attributes = place["attributes"].as_vec().into_iter().flatten();
    attributes.filter_map(|attribute| {
        // The second format of the model's files calls the name `key`.
        let name = [&attribute["id"], &attribute["key"]];
        let name = name.into_iter().find_map(Yaml::as_str)?.to_owned();
        let members = attribute["type"]["members"].as_vec();
        let values = members.into_iter().flatten();
        Some((name, values.map(|member| text(&member["value"])).collect()))
    })
}

/// None where it is left to the group that is extended.
fn level(of: &Yaml) -> Option<Level> {
    Some(match of {
        Yaml::BadValue => return None,
        Yaml::Hash(_) => {
            let (conditional, recommended) = (&of["conditionally_required"], &of["recommended"]);
            assert!(conditional.is_badvalue() != recommended.is_badvalue());
            match recommended.is_badvalue() {
                true => Level::ConditionallyRequired,
                false => Level::Recommended,
            }
        }
        _ => match text(of).as_str() {
            "required" => Level::Required,
            "recommended" => Level::Recommended,
            "opt_in" => Level::OptIn,
            other => panic!("an unknown level: {other}"),
        },
    })
}

fn text(yaml: &Yaml) -> String {
    let text = yaml.as_str().unwrap_or_else(|| panic!("no text: {yaml:?}"));
    text.to_owned()
}
