//! Reads `procedure`: commands in the three ways to write one, and the settings around them.
//!
//! A text is split into words as a shell would split it, without any expansion; only `shell: true` passes it to a shell. A problem shows no
//! word of a command, because it may be a password. Called by the reader in `read`.

use super::reader::{Reader, Section};
use crate::config::procedure::{Check, Command, Expect, OnFailure, Procedure, Run, StartOnFailure};
use crate::config::value::{self, Parsed, choice, kind};
use crate::config::{Secret, conninfo_text};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const COMMAND: &str = "a command as a text, as a list of words or as a mapping with run";

impl Reader<'_> {
    /// The section `procedure`.
    pub(super) fn procedure(&mut self, root: &Section<'_>) -> Procedure {
        let section = self.section("procedure".into(), root.get("procedure"));
        let mut procedure = Procedure::default();
        self.set(&mut procedure.timeout, &section, "timeout", value::seconds);
        self.set(&mut procedure.wait_for_writers, &section, "wait_for_writers", value::seconds);
        self.set(&mut procedure.backup, &section, "backup", value::boolean);
        self.set(&mut procedure.cwd, &section, "cwd", value::filled);
        procedure.stop = self.commands(&section, "stop", procedure.timeout);
        procedure.start = self.commands(&section, "start", procedure.timeout);
        procedure.start_on_failure = match section.get("start_on_failure") {
            None | Some(Value::Bool(true)) => StartOnFailure::AsStart,
            Some(Value::Bool(false)) => StartOnFailure::Never,
            Some(_) => StartOnFailure::Commands(self.commands(&section, "start_on_failure", procedure.timeout)),
        };
        self.set(&mut procedure.start_on_failed_restore, &section, "start_on_failed_restore", value::boolean);
        procedure.check_stopped = self.checks(&section, procedure.timeout);
        procedure.on_failure = self.on_failure(&section, procedure.backup);
        procedure.env = self.variables(&section);
        procedure.checklist = self.points(&section);
        procedure
    }

    fn on_failure(&mut self, section: &Section<'_>, backup: bool) -> OnFailure {
        match self.get(section, "on_failure", choice) {
            Some(OnFailure::Restore) if !backup => {
                self.problem("procedure.on_failure", "restore needs procedure.backup, which is false");
                OnFailure::Keep
            }
            Some(given) => given,
            None if backup => OnFailure::Restore,
            None => OnFailure::Keep,
        }
    }

    fn commands(&mut self, section: &Section<'_>, key: &str, timeout: u64) -> Vec<Command> {
        let path = section.at(key);
        let Some(written) = section.get(key) else { return Vec::new() };
        match written {
            Value::Array(elements) => {
                self.check_not_words(&path, elements);
                let found = self.list(&path, Some(written), |reader, path, value| {
                    reader.command(path, value, timeout).map(|(command, _)| command)
                });
                found.into_iter().map(|(_, command)| command).collect()
            }
            one => self.command(&path, one, timeout).map(|(command, _)| command).into_iter().collect(),
        }
    }

    fn checks(&mut self, section: &Section<'_>, timeout: u64) -> Vec<Check> {
        let path = section.at("check_stopped");
        match section.get("check_stopped") {
            None => Vec::new(),
            list @ Some(Value::Array(_)) => {
                let found = self.list(&path, list, |reader, path, value| reader.check(path, value, timeout));
                found.into_iter().map(|(_, check)| check).collect()
            }
            Some(one) => self.check(&path, one, timeout).into_iter().collect(),
        }
    }

    /// A flat list would be read as several commands of one word each, which is hardly what `[docker, compose, stop]` means.
    fn check_not_words(&mut self, path: &str, elements: &[Value]) {
        let is_word = |element: &Value| element.as_str().is_some_and(|text| !text.contains(char::is_whitespace));
        if elements.len() > 1 && elements.iter().all(is_word) {
            let text = "a list holds commands, and these are the words of one command: write it as a list in the list, [[...]], and so each \
                        program without arguments";
            self.problem(path, text);
        }
    }

    /// One command and, where it was written as a mapping, that mapping.
    fn command<'v>(&mut self, path: &str, written: &'v Value, timeout: u64) -> Option<(Command, Option<Section<'v>>)> {
        let Value::Object(_) = written else {
            let run = self.run(path, written, false)?;
            return Some((Command { run, timeout }, None));
        };
        let section = self.section(path.to_owned(), Some(written));
        let shell = self.get(&section, "shell", value::boolean).unwrap_or(false);
        let timeout = self.get(&section, "timeout", value::seconds).unwrap_or(timeout);
        let at = section.at("run");
        let Some(written) = section.get("run") else {
            self.problem(&at, "missing; a command needs it");
            return None;
        };
        Some((Command { run: self.run(&at, written, shell)?, timeout }, Some(section)))
    }

    fn run(&mut self, path: &str, written: &Value, shell: bool) -> Option<Run> {
        let parsed = if shell { text_for_shell(written) } else { words(written) };
        parsed.map_err(|expected| self.problem(path, &format!("expected {expected}, got {}", kind(written)))).ok()
    }

    fn check(&mut self, path: &str, written: &Value, timeout: u64) -> Option<Check> {
        let (command, section) = self.command(path, written, timeout)?;
        let Some(section) = section else {
            self.problem(path, "expected a mapping with run and expect (success, failure or no_output)");
            return None;
        };
        let at = section.at("expect");
        let Some(expect) = section.get("expect") else {
            let text = "missing; say what shows that the application is stopped: success, failure or no_output";
            self.problem(&at, text);
            return None;
        };
        Some(Check { command, expect: self.parsed(&at, expect, choice::<Expect>)? })
    }

    fn points(&mut self, section: &Section<'_>) -> Vec<String> {
        let found = self.list(&section.at("checklist"), section.get("checklist"), |reader, path, value| {
            reader.parsed(path, value, value::filled)
        });
        found.into_iter().map(|(_, point)| point).collect()
    }

    fn variables(&mut self, section: &Section<'_>) -> BTreeMap<String, Secret> {
        let path = section.at("env");
        let entries = match section.get("env") {
            Some(Value::Object(entries)) => entries,
            Some(other) => {
                self.problem(&path, &format!("expected a mapping, got {}", kind(other)));
                return BTreeMap::new();
            }
            None => &Map::new(),
        };
        let mut found = BTreeMap::new();
        for (name, value) in entries {
            if name.is_empty() || name.contains(['=', '\0']) {
                self.problem(&path, "a key cannot be the name of a variable");
                continue;
            }
            match value {
                Value::String(text) => match conninfo_text::expand(text, self.env, str::to_owned) {
                    Ok(text) => _ = found.insert(name.clone(), Secret::new(text)),
                    Err(problems) => problems.iter().for_each(|problem| self.problem(&path, problem)),
                },
                other => self.problem(&path, &format!("expected strings (in quotes) only, got {}", kind(other))),
            }
        }
        found
    }
}

fn text_for_shell(value: &Value) -> Parsed<Run> {
    value::filled(value).map(Run::Shell).map_err(|_| "a text for the shell that is not empty".to_owned())
}

fn words(value: &Value) -> Parsed<Run> {
    let words = match value {
        Value::String(text) => shlex::split(text).ok_or_else(|| format!("{COMMAND}, every quote closed"))?,
        Value::Array(elements) => {
            let words: Option<Vec<String>> = elements.iter().map(|word| word.as_str().map(str::to_owned)).collect();
            words.ok_or_else(|| format!("{COMMAND}, every word a string"))?
        }
        _ => return Err(COMMAND.to_owned()),
    };
    let usable =
        words.first().is_some_and(|program| !program.is_empty()) && !words.iter().any(|word| word.contains('\0'));
    if usable { Ok(Run::Interner(words)) } else { Err(format!("{COMMAND}, the first word a program")) }
}
