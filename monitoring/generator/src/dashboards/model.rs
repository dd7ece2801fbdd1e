//! Grafana's dashboard model, as far as it is used: the bare model that file provisioning reads.

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

use crate::{Catalog, File, Naming, template};

/// The version of the model of Grafana 11.6, which later ones read.
const SCHEMA_VERSION: u32 = 41;

/// A dashboard, with `<<…>>` in its texts and expressions.
pub(crate) struct Dashboard {
    /// The last word of its file and identifier.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    /// A series that every instance has; its jobs and instances are what can be chosen.
    pub(crate) instances: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// Panels under a heading.
pub(crate) struct Row {
    pub(crate) title: &'static str,
    pub(crate) panels: Vec<Panel>,
}

/// How a panel draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Lines,
    Stacked,
    Bars,
    Stat,
    Heatmap,
}

/// A panel.
pub(crate) struct Panel {
    form: Form,
    title: &'static str,
    description: &'static str,
    unit: &'static str,
    targets: Vec<(&'static str, &'static str)>,
    /// Where colours begin: yellow, red.
    thresholds: Option<(f64, f64)>,
    /// Whether more is better, so that the colours are the other way round.
    falling: bool,
    exemplars: bool,
    width: u32,
}

impl Panel {
    fn new(form: Form, title: &'static str, unit: &'static str, description: &'static str) -> Self {
        Self {
            form,
            title,
            description,
            unit,
            targets: Vec::new(),
            thresholds: None,
            falling: false,
            exemplars: false,
            width: if form == Form::Stat { 4 } else { 8 },
        }
    }

    /// Lines over time.
    pub(crate) fn lines(
        title: &'static str,
        unit: &'static str,
        description: &'static str,
    ) -> Self {
        Self::new(Form::Lines, title, unit, description)
    }

    /// Areas over time, one upon the other.
    pub(crate) fn stacked(
        title: &'static str,
        unit: &'static str,
        description: &'static str,
    ) -> Self {
        Self::new(Form::Stacked, title, unit, description)
    }

    /// Bars over time, one upon the other.
    pub(crate) fn bars(title: &'static str, unit: &'static str, description: &'static str) -> Self {
        Self::new(Form::Bars, title, unit, description)
    }

    /// One number.
    pub(crate) fn stat(title: &'static str, unit: &'static str, description: &'static str) -> Self {
        Self::new(Form::Stat, title, unit, description)
    }

    /// How many observations fell into which bucket, over time.
    pub(crate) fn heatmap(
        title: &'static str,
        unit: &'static str,
        description: &'static str,
    ) -> Self {
        Self::new(Form::Heatmap, title, unit, description)
    }

    /// Adds an expression and what its series are called.
    pub(crate) fn query(mut self, expression: &'static str, legend: &'static str) -> Self {
        self.targets.push((expression, legend));
        self
    }

    /// Colours from these values on.
    pub(crate) fn thresholds(mut self, yellow: f64, red: f64) -> Self {
        self.thresholds = Some((yellow, red));
        self.falling = red < yellow;
        self
    }

    /// Shows traces beside the values.
    pub(crate) fn exemplars(mut self) -> Self {
        self.exemplars = true;
        self
    }

    /// In columns of 24.
    pub(crate) fn width(mut self, width: u32) -> Self {
        self.width = width;
        self
    }

    const fn height(&self) -> u32 {
        if matches!(self.form, Form::Stat) {
            4
        } else {
            8
        }
    }
}

impl Dashboard {
    /// The file, with what a naming has no series for left out.
    pub(crate) fn file(&self, naming: &Naming, catalog: &Catalog) -> Result<File> {
        let mut left_out = Vec::new();
        let mut panels = Vec::new();
        let (mut y, mut id) = (0, 1);
        for row in &self.rows {
            let mut filled = Vec::new();
            for panel in &row.panels {
                match panel.targets(naming, catalog)? {
                    Ok(targets) => filled.push((panel, targets)),
                    Err(word) => left_out.push(format!("{}: no {word}", panel.title)),
                }
            }
            if filled.is_empty() {
                continue;
            }
            panels.push(json!({
                "id": id, "type": "row", "title": row.title, "collapsed": false,
                "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}, "panels": [],
            }));
            id += 1;
            y += 1;
            let (mut x, mut height) = (0, 0);
            for (panel, targets) in filled {
                if x + panel.width > 24 {
                    y += height;
                    (x, height) = (0, 0);
                }
                let mut value = panel.value(targets);
                value["id"] = json!(id);
                value["gridPos"] = json!({"h": panel.height(), "w": panel.width, "x": x, "y": y});
                panels.push(value);
                id += 1;
                x += panel.width;
                height = height.max(panel.height());
            }
            y += height;
        }
        let text = |text: &str| -> Result<String> {
            match template::words(text, naming)? {
                Ok(text) => Ok(text),
                Err(word) => bail!("no {word} for {text:?}"),
            }
        };
        let prefix = text("<<prefix>>")?;
        let value = json!({
            "uid": format!("{prefix}-{}", self.name),
            "title": text(self.title)?,
            "description": format!(
                "{} Written by `cargo xtask generate`.", text(self.description)?
            ),
            "tags": [prefix],
            "schemaVersion": SCHEMA_VERSION,
            "editable": false,
            "graphTooltip": 1,
            "timezone": "browser",
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "annotations": {"list": [{
                "name": "Alerts", "enable": true, "hide": false, "iconColor": "red",
                "datasource": datasource(),
                "target": {
                    "expr": "ALERTS{alertstate=\"firing\", job=~\"$job\"}", "interval": "60s",
                    "refId": "Anno",
                },
                "titleFormat": "{{alertname}}", "tagKeys": "severity",
            }]},
            "links": [{
                "type": "dashboards", "title": "Dashboards", "tags": [prefix], "asDropdown": true,
                "includeVars": true, "keepTime": true, "targetBlank": false, "icon": "external link",
                "tooltip": "", "url": "",
            }],
            "templating": {"list": self.variables(&text(self.instances)?)},
            "panels": panels,
        });
        Ok(File {
            path: format!("grafana/dashboards/{prefix}-{}.json", self.name).into(),
            text: format!("{:#}\n", sorted(value)),
            left_out,
        })
    }

    fn variables(&self, instances: &str) -> Value {
        let query = |name: &str, label: &str, query: String| {
            json!({
                "name": name, "label": label, "type": "query", "datasource": datasource(),
                "query": {"query": query, "refId": name},
                "includeAll": true, "multi": true, "allValue": ".+", "refresh": 2, "sort": 1,
                "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
                "hide": 0, "options": [], "regex": "", "skipUrlSync": false,
            })
        };
        json!([
            {
                "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
                "hide": 0, "includeAll": false, "multi": false, "options": [], "refresh": 1,
                "regex": "", "skipUrlSync": false,
            },
            query("job", "Job", format!("label_values({instances}, job)")),
            query(
                "instance",
                "Instance",
                format!("label_values({instances}{{job=~\"$job\"}}, instance)"),
            ),
        ])
    }
}

fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

impl Panel {
    /// The expressions, filled and checked; or the word that has no series.
    fn targets(
        &self,
        naming: &Naming,
        catalog: &Catalog,
    ) -> Result<Result<Vec<(String, String)>, String>> {
        let mut targets = Vec::new();
        for (expression, legend) in &self.targets {
            let expression =
                expression.replace("<<target>>", "job=~\"$job\", instance=~\"$instance\"");
            let filled = [expression.as_str(), legend].map(|text| template::words(text, naming));
            let [expression, legend] = filled;
            match (expression?, legend?) {
                (Ok(expression), Ok(legend)) => {
                    catalog
                        .check(&expression)
                        .with_context(|| format!("panel {:?}: {expression}", self.title))?;
                    targets.push((expression, legend));
                }
                (Err(word), _) | (_, Err(word)) => return Ok(Err(word)),
            }
        }
        Ok(Ok(targets))
    }

    fn value(&self, targets: Vec<(String, String)>) -> Value {
        let targets: Vec<_> = targets
            .into_iter()
            .zip('A'..='Z')
            .map(|((expression, legend), reference)| {
                let mut target = json!({
                    "refId": reference.to_string(),
                    "datasource": datasource(),
                    "editorMode": "code",
                    "expr": expression,
                    "legendFormat": legend,
                });
                match self.form {
                    Form::Stat => {
                        target["instant"] = json!(true);
                        target["range"] = json!(false);
                    }
                    Form::Heatmap => {
                        target["format"] = json!("heatmap");
                        target["range"] = json!(true);
                    }
                    _ => target["range"] = json!(true),
                }
                if self.exemplars {
                    target["exemplar"] = json!(true);
                }
                target
            })
            .collect();
        json!({
            "type": match self.form {
                Form::Lines | Form::Stacked | Form::Bars => "timeseries",
                Form::Stat => "stat",
                Form::Heatmap => "heatmap",
            },
            "title": self.title,
            "description": self.description,
            "datasource": datasource(),
            "targets": targets,
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit,
                    "min": 0,
                    "thresholds": self.steps(),
                    "color": self.color(),
                    "custom": self.custom(),
                    "noValue": "none",
                },
                "overrides": [],
            },
            "options": self.options(),
        })
    }

    fn steps(&self) -> Value {
        let steps = match (self.thresholds, self.falling) {
            (None, _) => json!([{"color": "green", "value": null}]),
            (Some((yellow, red)), false) => json!([
                {"color": "green", "value": null},
                {"color": "yellow", "value": yellow},
                {"color": "red", "value": red},
            ]),
            (Some((yellow, red)), true) => json!([
                {"color": "red", "value": null},
                {"color": "yellow", "value": red},
                {"color": "green", "value": yellow},
            ]),
        };
        json!({"mode": "absolute", "steps": steps})
    }

    fn color(&self) -> Value {
        match self.form {
            Form::Stat => json!({"mode": "thresholds"}),
            _ => json!({"mode": "palette-classic"}),
        }
    }

    fn custom(&self) -> Value {
        let style = if self.thresholds.is_some() {
            "line"
        } else {
            "off"
        };
        let (draw, fill, stacking) = match self.form {
            Form::Lines => ("line", 10, "none"),
            Form::Stacked => ("line", 40, "normal"),
            Form::Bars => ("bars", 80, "normal"),
            Form::Stat | Form::Heatmap => return json!({}),
        };
        json!({
            "drawStyle": draw,
            "fillOpacity": fill,
            "lineWidth": 1,
            "showPoints": "never",
            "spanNulls": false,
            "stacking": {"mode": stacking, "group": "A"},
            "thresholdsStyle": {"mode": style},
        })
    }

    fn options(&self) -> Value {
        match self.form {
            Form::Lines | Form::Stacked | Form::Bars => json!({
                "legend": {"displayMode": "table", "placement": "bottom", "showLegend": true,
                           "calcs": ["lastNotNull", "max"]},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Form::Stat => json!({
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
                "colorMode": "value", "graphMode": "none", "justifyMode": "auto",
                "orientation": "auto", "textMode": "auto",
            }),
            Form::Heatmap => json!({
                "calculate": false,
                "cellGap": 1,
                "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5,
                          "scale": "exponential", "reverse": false, "fill": "dark-orange"},
                "exemplars": {"color": "rgba(255,0,255,0.7)"},
                "filterValues": {"le": 1e-9},
                "legend": {"show": true},
                "rowsFrame": {"layout": "auto"},
                "showValue": "never",
                "tooltip": {"mode": "single", "showColorScale": false, "yHistogram": true},
                "yAxis": {"axisPlacement": "left", "reverse": false, "unit": self.unit},
            }),
        }
    }
}

/// With its keys in order, whatever order the map keeps: that is a feature that any crate may switch on.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            let entries = entries.into_iter().map(|(key, value)| (key, sorted(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        other => other,
    }
}
