//! Holds the crate to its layers: each file may use only the modules of its own layer and of those below it.
//!
//! The test reads the sources, because nothing else can see that a layer was crossed while everything still compiles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Modules by layer, the lowest first.
const LAYERS: [&[&str]; 5] = [
    &[
        "error",
        "finding",
        "action",
        "name",
        "interned",
        "config",
        "event",
        "server_version",
        "closed_set",
        "phase",
        "row_format",
        "status",
    ],
    &["catalog", "plan", "rates", "record", "report", "verification"],
    &["pg", "ledger"],
    &["engine"],
    &["bindings"],
];

/// Modules whose parts do not use each other in a cycle.
const WITHOUT_CYCLES: [&str; 8] = ["bindings", "catalog", "config", "event", "ledger", "pg", "plan", "engine"];

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

/// Every file of the crate with its top module and its text, without its tests.
fn files() -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let with_module = |path: PathBuf| {
        let relative = path.strip_prefix(&root).unwrap().to_owned();
        let module = relative.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
        (relative, module, without_tests(&std::fs::read_to_string(&path).unwrap()))
    };
    let is_test = |path: &Path| path.ends_with("tests.rs");
    let paths = paths.into_iter().filter(|path| !is_test(path));
    paths.map(with_module).filter(|(_, module, _)| module != "lib").collect()
}

/// A file's text without a module of tests that stands in it, which is its end, or that it declares.
fn without_tests(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.replace("#[cfg(test)]\nmod tests;", "")
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
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join(
            "
",
        );
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

/// Where a line of code compares a version with a number or a constant.
fn compares_a_version(line: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    ["<", ">", "<=", ">=", "==", "!="].iter().any(|operator| {
        let padded = format!(" {operator} ");
        line.match_indices(&padded).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + padded.len()..]);
            let side = |text: &str| {
                let of_pair = text.trim_end_matches(".0").trim_end_matches(".1");
                let last = of_pair.rsplit('.').next().unwrap();
                last.contains("major") || last.contains("version")
            };
            // `VERSION` is that of a file's own format.
            let is_constant = |c: char| c.is_ascii_digit() || c.is_ascii_uppercase();
            let is_fixed = |text: &str| text.starts_with(is_constant) && text != "VERSION";
            let left: String = before.trim_end_matches("()").chars().rev().take_while(|c| is_name(*c)).collect();
            let left: String = left.chars().rev().collect();
            let right: String = after.chars().take_while(|c| is_name(*c)).collect();
            side(&left) && is_fixed(&right) || side(&right) && is_fixed(&left)
        })
    })
}

#[test]
fn versions_are_compared_in_one_file() {
    assert!(compares_a_version("if session.major() < 15 {") && compares_a_version("14 <= version && x"));
    assert!(!compares_a_version("if source.major() == target.major() {") && !compares_a_version("majors.len() > 1"));
    let others = files().into_iter().filter(|(_, module, _)| module != "server_version");
    let found: Vec<String> = others
        .flat_map(|(path, _, text)| {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//") && compares_a_version(line));
            code.map(|line| format!("{}: {}", path.display(), line.trim())).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "add a named question to server_version.rs:\n{}", found.join("\n"));
}

/// The types that a line of code declares, in the form that the formatter writes.
fn declared(line: &str) -> Option<String> {
    let code = line.trim_start();
    let code = code.strip_prefix("pub").map_or(code, |rest| {
        let rest = if rest.starts_with('(') { rest.split_once(')').map_or(rest, |(_, rest)| rest) } else { rest };
        rest.trim_start()
    });
    let rest = ["struct ", "enum ", "trait "].iter().find_map(|word| code.strip_prefix(word))?;
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    name.starts_with(char::is_uppercase).then_some(name)
}

#[test]
fn a_type_has_a_name_of_its_own_in_its_layer() {
    assert_eq!(declared("    pub(super) enum Way {").as_deref(), Some("Way"));
    assert_eq!((declared("// struct Way {"), declared("pub fn enumerate() {")), (None, None));
    let mut places: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    for (path, module, text) in files() {
        for name in text.lines().filter_map(declared) {
            places.entry((layer(&module), name)).or_default().push(path.display().to_string());
        }
    }
    places.retain(|_, paths| paths.len() > 1);
    assert!(places.is_empty(), "types of one name: {places:#?}");
}

/// A module by its place in the crate: `["pg", "copy"]`.
type Module = Vec<String>;

fn module_of(path: &Path) -> Module {
    let mut parts: Module = path.iter().map(|part| part.to_string_lossy().replace(".rs", "")).collect();
    if parts.last().is_some_and(|name| name == "mod") {
        parts.pop();
    }
    parts
}

/// Ends of a path are parted by `::`, those of a group by commas outside of inner groups.
fn leaves(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some((prefix, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap();
        return vec![path.split("::").map(|part| part.trim().to_owned()).collect()];
    };
    let group = group.strip_suffix('}').unwrap();
    let prefix: Vec<String> = prefix.split("::").map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned).collect();
    let (mut depth, mut begin, mut found) = (0, 0, Vec::new());
    let mut add = |part: &str| {
        for leaf in leaves(part).into_iter().filter(|leaf| !leaf[0].is_empty()) {
            found.push(prefix.iter().chain(leaf.iter().filter(|name| *name != "self")).cloned().collect());
        }
    };
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                add(&group[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    add(&group[begin..]);
    found
}

/// What a file names: by `pub use`, and by `use` or in place.
#[derive(Default)]
struct Names {
    exported: Vec<Vec<String>>,
    used: Vec<Vec<String>>,
}

fn names(text: &str) -> Names {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let (mut names, mut rest) = (Names::default(), String::new());
    for statement in code.split_inclusive(';') {
        let begin = statement.rfind("use ").and_then(|at| {
            let before = statement[..at].rsplit('\n').next().unwrap().trim();
            (before.is_empty() || before.starts_with("pub")).then_some((at, !before.is_empty()))
        });
        let Some((at, is_public)) = begin else {
            rest.push_str(statement);
            continue;
        };
        let tree = leaves(statement[at + 4..].trim_end_matches(';'));
        if is_public { &mut names.exported } else { &mut names.used }.extend(tree);
        rest.push_str(&statement[..at]);
    }
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    for path in rest.split(|c| !is_of_path(c)).filter(|path| path.contains("::") && !path.starts_with(':')) {
        names.used.push(path.trim_end_matches(':').split("::").map(str::to_owned).collect());
    }
    names
}

struct Crate {
    modules: BTreeMap<Module, Names>,
}

impl Crate {
    /// The place in the crate that a path written in `here` names; none for a path of another crate or of a local name.
    fn absolute(&self, here: &Module, path: &[String]) -> Option<Vec<String>> {
        let above = path.iter().take_while(|part| *part == "super").count();
        match path[0].as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([here, &path[1..]].concat()),
            "super" => Some([&here[..here.len().checked_sub(above)?], &path[above..]].concat()),
            name => {
                let child = [here.as_slice(), &[name.to_owned()]].concat();
                self.modules.contains_key(&child).then(|| [here, path].concat())
            }
        }
    }

    /// The module that defines what a place names, whichever modules export it again.
    fn defining(&self, mut place: Vec<String>) -> Option<Module> {
        loop {
            let length = (1..=place.len()).rev().find(|length| self.modules.contains_key(&place[..*length]))?;
            let (module, name) = (place[..length].to_vec(), place.get(length).cloned());
            let again = name.and_then(|name| {
                let mut exported = self.modules[&module].exported.iter();
                let path = exported.find(|path| path.last() == Some(&name))?;
                Some([self.absolute(&module, path)?.as_slice(), &place[length + 1..]].concat())
            });
            match again {
                Some(next) if next != place => place = next,
                _ => return Some(module),
            }
        }
    }

    /// Which modules each module of the layer uses.
    fn uses(&self, layer: &str) -> BTreeMap<Module, BTreeSet<Module>> {
        let of_layer = |module: &&Module| module[0] == layer;
        let used_by = |module: &Module| {
            let places = self.modules[module].used.iter().filter_map(|path| self.absolute(module, path));
            let defining = places.filter_map(|place| self.defining(place));
            defining.filter(|other| other != module && of_layer(&other)).collect()
        };
        self.modules.keys().filter(of_layer).map(|module| (module.clone(), used_by(module))).collect()
    }
}

#[test]
fn no_modules_of_a_layer_use_each_other_in_a_cycle() {
    let found = files().into_iter().map(|(path, _, text)| (module_of(&path), names(&text)));
    let whole = Crate { modules: found.collect() };
    let mut cycles = BTreeMap::new();
    for layer in WITHOUT_CYCLES {
        let mut uses = whole.uses(layer);
        assert!(!uses.is_empty(), "no module of {layer} is found");
        // A module that uses none of those left is in no cycle; nor is one that none of them uses.
        loop {
            let left: BTreeSet<Module> = uses.keys().cloned().collect();
            let others: BTreeSet<Module> = uses.values().flatten().cloned().collect();
            uses.retain(|module, of_module| {
                of_module.retain(|other| left.contains(other));
                !of_module.is_empty() && others.contains(module)
            });
            if uses.len() == left.len() {
                break;
            }
        }
        cycles.extend(uses);
    }
    let shown: Vec<String> =
        cycles.iter().map(|(module, others)| format!("{} uses {others:?}", module.join("::"))).collect();
    assert!(shown.is_empty(), "cycles:\n{}", shown.join("\n"));
}
