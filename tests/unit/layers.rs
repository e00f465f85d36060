//! Holds the crate to its layers: each file may use only the modules of its own layer and of those below it.
//!
//! The test reads the sources, because nothing else can see that a layer was crossed while everything still compiles.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Modules by layer, the lowest first.
const LAYERS: [&[&str]; 5] = [
    &["error", "finding", "name", "word", "config", "event", "server_version"],
    &["catalog", "plan", "rates", "record", "report", "verification"],
    &["pg", "ledger"],
    &["engine"],
    &["bindings"],
];

fn layer(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|modules| modules.contains(&module))
        .unwrap_or_else(|| panic!("module `{module}` stands in no layer: add it to LAYERS and to the story in lib.rs"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every file of the crate with its top module and its text, without the tests inside it.
fn files() -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let with_module = |path: PathBuf| {
        let relative = path.strip_prefix(&root).unwrap().to_owned();
        let module = relative.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
        let text = std::fs::read_to_string(&path).unwrap();
        (relative, module, text.split("#[cfg(test)]").next().unwrap().to_owned())
    };
    paths.into_iter().map(with_module).filter(|(_, module, _)| module != "lib").collect()
}

/// The crate's modules that a text names as `crate::module`, in `use` or in place.
fn used(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut modules = Vec::new();
    for line in code {
        for (at, _) in line.match_indices("crate::") {
            let name: String = line[at + 7..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if name.starts_with(|c: char| c.is_ascii_lowercase()) {
                modules.push(name);
            }
        }
    }
    modules
}

#[test]
fn every_layer_uses_only_what_lies_below_it() {
    let mut crossed = Vec::new();
    for (path, module, text) in files() {
        let own = layer(&module);
        for other in used(&text).iter().filter(|other| layer(other) > own) {
            crossed.push(format!("{}: uses {other}", path.display()));
        }
    }
    assert!(crossed.is_empty(), "layers crossed:\n{}", crossed.join("\n"));
}

#[test]
fn only_the_bindings_know_python() {
    let knows = |text: &str| text.contains("pyo3") || text.contains("pythonize");
    let wrong: Vec<_> = files().into_iter().filter(|(_, module, text)| module != "bindings" && knows(text)).collect();
    assert!(wrong.is_empty(), "{:?}", wrong.iter().map(|(path, ..)| path).collect::<Vec<_>>());
}

#[test]
fn only_adapters_talk_to_servers_and_only_they_and_plans_hold_sql() {
    let mut wrong = BTreeMap::new();
    for (path, module, text) in files() {
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        if layer(&module) != layer("pg") && code.contains("tokio_postgres::") {
            wrong.insert(path.clone(), "talks to servers by itself");
        }
        // Remedies quote SQL for people; what is forbidden is SQL text given to a session.
        let methods = ["batch", "execute", "query", "query_one", "query_opt", "simple", "copy_in", "copy_out"];
        let gives = |method: &&str| {
            ["\"", "&format!", "include_str!"].iter().any(|text| code.contains(&format!(".{method}({text}")))
        };
        if matches!(module.as_str(), "engine" | "bindings") && methods.iter().any(gives) {
            wrong.insert(path, "holds SQL");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_model_neither_waits_nor_looks_around() {
    let forbidden = ["async fn", ".await", "std::fs", "std::env", "Instant::now", "SystemTime", "tokio::"];
    let mut wrong = BTreeMap::new();
    for (path, module, text) in files().into_iter().filter(|(_, module, _)| layer(module) <= 1) {
        // Events leave through a channel, which is the one thing that words share with the runtime.
        let found = forbidden.iter().filter(|word| module != "event" && text.contains(**word)).collect::<Vec<_>>();
        if !found.is_empty() {
            wrong.insert(path, format!("{found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_stay_small_enough_to_read() {
    let long: Vec<String> = files()
        .into_iter()
        .filter(|(_, _, text)| text.lines().count() > 500)
        .map(|(path, _, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "split by concept: {long:?}");
}
