//! The dashboards by Grafana's own types.

use std::{fmt::Write as _, fs, os::unix::fs::symlink, process::Command};

use serde_json::{Value, json};
use server_tests::{node, node_modules};

use crate::stack::monitoring;

/// What every program begins with. An enumeration is also what its values are in JSON; of a panel's options Grafana
/// adds those that are not there; what else a query and an annotation have is its data source's
/// (`packages/grafana-prometheus/src/dataquery.ts`, `annotations.ts`).
const HEAD: &str = r"
import type { AnnotationQuery, Dashboard, DataQuery } from '@grafana/schema';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

interface Query extends DataQuery {
    expr: string;
    editorMode?: 'code' | 'builder';
    exemplar?: boolean;
    format?: 'time_series' | 'table' | 'heatmap';
    instant?: boolean;
    interval?: string;
    intervalFactor?: number;
    legendFormat?: string;
    range?: boolean;
}
interface Annotation {
    tagKeys?: string;
    textFormat?: string;
    titleFormat?: string;
    useValueForTime?: boolean;
}
type Plain<T> = T extends DataQuery ? Query
    : T extends AnnotationQuery ? { [K in keyof T]: Plain<T[K]> } & Annotation
    : T extends string ? `${T}`
    : T extends object ? { [K in keyof T]: Plain<T[K]> }
    : T;
type Options = {
    heatmap: Partial<heatmap.Options>;
    stat: Partial<stat.Options>;
    timeseries: Partial<timeseries.Options>;
};
type Custom = {
    heatmap: heatmap.FieldConfig;
    stat: Record<string, never>;
    timeseries: timeseries.FieldConfig;
};
";

/// A program that says of each part of the dashboard which type it has.
fn program(dashboard: &Value) -> String {
    let mut program = format!("{HEAD}const dashboard: Plain<Dashboard> = {dashboard:#};\n");
    let panels = dashboard["panels"].as_array().unwrap().iter();
    for panel in panels.filter(|panel| panel["type"] != "row") {
        let (id, kind) = (&panel["id"], &panel["type"]);
        let options = &panel["options"];
        writeln!(
            program,
            "const options{id}: Plain<Options[{kind}]> = {options:#};"
        )
        .unwrap();
        if let Some(custom) = panel.pointer("/fieldConfig/defaults/custom") {
            writeln!(
                program,
                "const custom{id}: Plain<Custom[{kind}]> = {custom:#};"
            )
            .unwrap();
        }
        let targets = &panel["targets"];
        writeln!(program, "const targets{id}: Query[] = {targets:#};").unwrap();
    }
    program
}

/// What TypeScript's compiler says of these programs; nothing if there is nothing wrong.
fn compiled(programs: &[(String, String)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    symlink(node_modules(), folder.path().join("node_modules")).unwrap();
    let mut names = Vec::new();
    for (name, text) in programs {
        let name = format!("{name}.ts");
        fs::write(folder.path().join(&name), text).unwrap();
        names.push(name);
    }
    let output = Command::new(node())
        .arg(node_modules().join("typescript/bin/tsc"))
        .args([
            "--noEmit",
            "--strict",
            "--skipLibCheck",
            "--pretty",
            "false",
        ])
        .args(["--module", "nodenext", "--moduleResolution", "nodenext"])
        .args(names)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(
        output.status.success(),
        said.is_empty(),
        "{output:?}: {said}"
    );
    said
}

fn dashboards() -> Vec<(String, Value)> {
    let folder = monitoring().join("grafana/dashboards");
    let files = fs::read_dir(folder).unwrap();
    let dashboards: Vec<_> = files
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(path).unwrap();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect();
    assert!(dashboards.len() >= 5);
    dashboards
}

#[test]
fn the_dashboards_are_of_grafanas_own_types() {
    let programs: Vec<_> = dashboards()
        .into_iter()
        .map(|(name, dashboard)| (name, program(&dashboard)))
        .collect();
    assert_eq!(compiled(&programs), "");
}

#[test]
fn what_is_not_of_grafanas_types_is_found() {
    let (_, right) = dashboards().remove(0);
    let wrong = |name: &str, change: fn(&mut Value)| {
        let mut dashboard = right.clone();
        change(&mut dashboard);
        (name.to_owned(), program(&dashboard))
    };
    let mut programs = vec![
        wrong("level", |dashboard| dashboard["graphTooltip"] = json!("1")),
        wrong("unknown", |dashboard| dashboard["panel"] = json!([])),
        wrong("place", |dashboard| {
            dashboard["panels"][1]["gridPos"] = json!({"h": 1, "w": 1});
        }),
        wrong("options", |dashboard| {
            dashboard["panels"][1]["options"]["legends"] = json!({});
        }),
        wrong("query", |dashboard| {
            dashboard["panels"][1]["targets"][0]["expression"] = json!("up");
        }),
    ];
    // As the interface over HTTP takes it, which is not what is read from files.
    let envelope = json!({ "dashboard": right });
    programs.push((
        "envelope".to_owned(),
        format!("{HEAD}const dashboard: Plain<Dashboard> = {envelope:#};\n"),
    ));
    let said = compiled(&programs);
    for (name, _) in programs {
        assert!(said.contains(&format!("{name}.ts(")), "{name}: {said}");
    }
}
