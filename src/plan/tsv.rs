//! plan.tsv: a plan as a table that people can read, git can diff, pandas can load and `COPY ... FROM` accepts.
//!
//! The escapes are those of COPY's text format (<https://www.postgresql.org/docs/current/sql-copy.html>), with one difference: an absent
//! value is an empty field, because pandas would not restore `\N`. The first row names the columns, the second has the header as JSON in
//! its `note`. The last column has the task's subject as JSON; a statement that differs from it is refused.

use super::model::{Header, OTHER_ROWS, Plan, Task, VERSION};
use super::subject::Subject;
use super::task_kind::TaskKind;
use crate::action::Action;
use crate::catalog::object_kind::ObjectKind;
use crate::closed_set::Unknown;
use crate::config::OnExisting;
use crate::error::{Error, Kind, Result};
use crate::phase::Phase;
use crate::row_format::RowFormat;
use std::str::FromStr;

/// The columns in their order.
pub const COLUMNS: [&str; 17] = [
    "id",
    "phase",
    "kind",
    "schema",
    "name",
    "requires",
    "after",
    "rows",
    "bytes",
    "format",
    "on_existing",
    "source_sql",
    "target_sql",
    "optional_sql",
    "merge_sql",
    "note",
    "subject",
];

const HEADER_ID: &str = "plan";

/// The position of `note`.
const NOTE: usize = 15;

/// Bytes in a piece of the text, after which the next piece begins.
pub const PIECE: usize = 1 << 20;

impl Plan {
    /// A digest of the whole plan: equal plans are equal byte for byte.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let head = std::iter::once(head(&self.header));
        fingerprint(head.chain(self.tasks.iter().map(row)))
    }

    /// The plan as in its file, in pieces of about a megabyte.
    pub fn pieces(&self) -> impl Iterator<Item = String> {
        let mut rows = std::iter::once(head(&self.header)).chain(self.tasks.iter().map(row));
        std::iter::from_fn(move || {
            let mut piece = rows.next()?;
            while piece.len() < PIECE
                && let Some(row) = rows.next()
            {
                piece.push_str(&row);
            }
            Some(piece)
        })
    }
}

/// Writes a plan.
#[must_use]
pub fn write(plan: &Plan) -> String {
    let mut text = head(&plan.header);
    for task in &plan.tasks {
        push_task(&mut text, task);
    }
    text
}

/// The text's first two rows: the columns' names, and what the plan depends on.
#[must_use]
pub fn head(header: &Header) -> String {
    let mut text = COLUMNS.join("\t");
    text.push('\n');
    text.push_str(HEADER_ID);
    text.extend(std::iter::repeat_n('\t', NOTE));
    escape(&mut text, &serde_json::to_string(header).unwrap_or_default());
    text.extend(std::iter::repeat_n('\t', COLUMNS.len() - 1 - NOTE));
    text.push('\n');
    text
}

/// A digest of a plan's text, which may come in parts.
pub fn fingerprint<S: AsRef<str>>(parts: impl IntoIterator<Item = S>) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_ref());
    }
    let short = hash.finalize().iter().take(16).fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte));
    format!("{short:032x}")
}

/// Appends a task's row that was written without the fields that only the whole plan knows: its id, what it requires, and the tasks after
/// which it runs.
pub fn push_completed(text: &mut String, row: &str, id: &str, [requires, after]: [&str; 2]) {
    const REQUIRES: usize = 5;
    text.push_str(id);
    for (at, field) in row.splitn(REQUIRES + 3, '\t').enumerate() {
        if at > 0 {
            text.push('\t');
        }
        text.push_str(field);
        match at {
            REQUIRES => text.push_str(requires),
            at if at == REQUIRES + 1 => {
                text.push_str(if field.is_empty() || after.is_empty() { "" } else { " " });
                text.push_str(after);
            }
            _ => {}
        }
    }
}

/// A task's row.
#[must_use]
pub fn row(task: &Task) -> String {
    let mut text = String::new();
    push_task(&mut text, task);
    text
}

/// Appends a task's row.
pub fn push_task(text: &mut String, task: &Task) {
    let [requires, after] = [&task.requires, &task.after].map(|list| list.join(" "));
    let [rows, bytes] = [task.rows, task.bytes].map(|number| number.to_string());
    let kind = task.kind.to_string();
    let subject = task.subject.as_ref().and_then(|subject| serde_json::to_string(subject).ok()).unwrap_or_default();
    let fields: [&str; COLUMNS.len()] = [
        &task.id,
        task.phase.as_str(),
        &kind,
        &task.schema,
        &task.name,
        &requires,
        &after,
        &rows,
        &bytes,
        task.format.map_or("", RowFormat::as_str),
        task.on_existing.map_or("", OnExisting::as_str),
        &task.source_sql,
        &task.target_sql,
        &task.optional_sql,
        &task.merge_sql,
        &task.note,
        &subject,
    ];
    for (at, field) in fields.into_iter().enumerate() {
        if at > 0 {
            text.push('\t');
        }
        escape(text, field);
    }
    text.push('\n');
}

/// Appends `field` with COPY's escapes.
pub fn escape(text: &mut String, field: &str) {
    let mut rest = field;
    while let Some(at) = rest.find(['\\', '\t', '\n', '\r', '\u{8}', '\u{b}', '\u{c}']) {
        text.push_str(&rest[..at]);
        text.push_str(match rest.as_bytes()[at] {
            b'\t' => "\\t",
            b'\n' => "\\n",
            b'\r' => "\\r",
            // pandas and editors may treat these as line ends; COPY reads the octal form correctly.
            8 => "\\b",
            11 => "\\v",
            12 => "\\f",
            _ => "\\\\",
        });
        rest = &rest[at + 1..];
    }
    text.push_str(rest);
}

fn unescape(field: &str) -> String {
    if !field.contains('\\') {
        return field.to_owned();
    }
    let mut text = String::with_capacity(field.len());
    let mut rest = field.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match rest.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('b') => text.push('\u{8}'),
            Some('v') => text.push('\u{b}'),
            Some('f') => text.push('\u{c}'),
            Some(other) => text.push(other),
            None => text.push('\\'),
        }
    }
    text
}

/// Reads a plan.
///
/// # Errors
///
/// [`Kind::State`] where the text is no plan of this version, with the line and column at fault.
pub fn read(text: &str) -> Result<Plan> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    let (_, names) = lines.next().ok_or_else(|| broken("it is empty"))?;
    let names = names.trim_start_matches('\u{feff}');
    if names == COLUMNS[..=NOTE].join("\t") {
        return Err(broken(format!("an older version wrote it, and this one reads plans of version {VERSION}")));
    }
    if names != COLUMNS.join("\t") {
        return Err(broken("line 1: the columns are not those of a plan"));
    }
    let mut header = None;
    let mut tasks = Vec::new();
    for (at, line) in lines {
        let fields: Vec<String> = line.split('\t').map(unescape).collect();
        if fields.len() != COLUMNS.len() {
            return Err(broken(format!("line {}: {} columns instead of {}", at + 1, fields.len(), COLUMNS.len())));
        }
        if fields[0] == HEADER_ID {
            header = Some(header_of(&fields[NOTE])?);
        } else {
            let at_line = |what| broken(format!("line {}: {what}", at + 1));
            let task = task_of(fields).map_err(at_line)?;
            check_subject(&task).map_err(at_line)?;
            tasks.push(task);
        }
    }
    // A table has no order of its own; ids are wide enough for their order to be the plan's.
    tasks.sort_by(|a: &Task, b: &Task| (a.id.len(), &a.id).cmp(&(b.id.len(), &b.id)));
    let header = header.ok_or_else(|| broken("the row `plan` is missing"))?;
    check_references(&tasks)?;
    Ok(Plan { header, tasks })
}

/// Reads one task's row of a text that [`write`] wrote.
#[must_use]
pub fn read_task(line: &str) -> Option<Task> {
    task_of(line.split('\t').map(unescape).collect()).ok()
}

fn header_of(json: &str) -> Result<Header> {
    let header: Header =
        serde_json::from_str(json).map_err(|e| broken("the row `plan` cannot be read").caused_by(e))?;
    if header.version == VERSION {
        Ok(header)
    } else {
        Err(broken(format!("its version is {}, this program reads version {VERSION}", header.version)))
    }
}

fn task_of(fields: Vec<String>) -> std::result::Result<Task, String> {
    let [
        id,
        phase,
        kind,
        schema,
        name,
        requires,
        after,
        rows,
        bytes,
        format,
        on_existing,
        source,
        target,
        optional,
        merge,
        note,
        subject,
    ] = <[String; COLUMNS.len()]>::try_from(fields).map_err(|_| "wrong number of columns")?;
    let number = |what: &str, text: &str| text.parse::<u64>().map_err(|_| format!("{what} is no number"));
    Ok(Task {
        phase: phase.parse().map_err(unknown)?,
        requires: requires.split_whitespace().map(Into::into).collect(),
        after: after.split_whitespace().map(Into::into).collect(),
        rows: number("rows", &rows)?,
        bytes: number("bytes", &bytes)?,
        id,
        kind: kind.as_str().into(),
        schema,
        name,
        format: value(&format)?,
        on_existing: value(&on_existing)?,
        source_sql: source,
        target_sql: target,
        optional_sql: optional,
        merge_sql: merge,
        note,
        subject: subject_of(&subject)?,
    })
}

/// The value of a closed set, or none for an empty field.
fn value<T: FromStr<Err = Unknown>>(text: &str) -> std::result::Result<Option<T>, String> {
    (!text.is_empty()).then(|| text.parse().map_err(unknown)).transpose()
}

// The signature is that of map_err.
#[allow(clippy::needless_pass_by_value)]
fn unknown(value: Unknown) -> String {
    value.to_string()
}

fn subject_of(json: &str) -> std::result::Result<Option<Subject>, String> {
    if json.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(json).map(Some).map_err(|e| format!("subject cannot be read: {e}"))
}

/// Refuses a task whose statements are about something else than its subject, as they can be in an edited file.
fn check_subject(task: &Task) -> std::result::Result<(), String> {
    let needs_one = [
        TaskKind::Data,
        TaskKind::Membership,
        TaskKind::Analyze,
        TaskKind::Entry(ObjectKind::StatisticsData),
        TaskKind::FkValidation,
    ];
    let agrees = match &task.subject {
        _ if task.kind == TaskKind::LargeObjects && task.large_object_batch().is_none() => false,
        Some(subject) => subject.agrees(&task.statements()),
        None => task.target_sql.is_empty() || !needs_one.contains(&task.kind),
    };
    if agrees { Ok(()) } else { Err("the statements of the task are not those of its subject".into()) }
}

fn check_references(tasks: &[Task]) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    for task in tasks {
        if let Some(missing) = task.requires.iter().find(|id| !seen.contains(id.as_str())) {
            return Err(broken(format!("task {} requires {missing}, which does not precede it", task.id)));
        }
        let is_known = |word: &str| word == OTHER_ROWS || Phase::of(word).is_some() || seen.contains(word);
        let unknown = |word: &&String| !is_known(word.as_str());
        if let Some(word) = task.after.iter().find(unknown) {
            return Err(broken(format!(
                "task {} follows {word}, which is neither a phase nor a task before it",
                task.id
            )));
        }
        if !seen.insert(task.id.as_str()) {
            return Err(broken(format!("task {} is in the plan twice", task.id)));
        }
    }
    Ok(())
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::new("plan_unreadable", Kind::State, format!("the plan cannot be read: {what}"))
        .remedy(format!("make it again with {}, or restore the file as it was written", Action::Plan))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::QualifiedName;
    use crate::plan::Load;

    fn plan() -> Plan {
        let mut first = Task::new(Phase::PreData, "table", "s", "odd\tname\nwith \\ and \u{b}");
        first.id = "t0001".into();
        first.target_sql = "CREATE TABLE s.t (\n    a text DEFAULT E'\\t\\\\'\n);\n".into();
        let mut second = Task::new(Phase::Data, TaskKind::Data, "s", "t");
        second.id = "t0002".into();
        second.requires = vec!["t0001".into()];
        second.after = vec!["roles".into(), "t0001".into()];
        second.rows = 7;
        let columns = vec!["a".into(), "tab\t".into()];
        second.set_load(Load {
            into: QualifiedName::new("s", "t"),
            columns,
            query: None,
            by_pages: false,
            merge: None,
        });
        Plan { header: Header::example(), tasks: vec![first, second] }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let plan = plan();
        assert_eq!(read(&write(&plan)).unwrap(), plan);
    }

    #[test]
    fn rows_in_another_order_are_the_same_plan() {
        let text = write(&plan());
        let mut lines: Vec<&str> = text.lines().collect();
        lines[1..].reverse();
        assert_eq!(read(&lines.join("\n")).unwrap(), plan());
    }

    #[test]
    fn a_broken_plan_names_its_line() {
        let text = write(&plan()).replace("\t7\t", "\tmany\t");
        assert!(read(&text).unwrap_err().to_string().contains("line 4: rows is no number"));
        let text = write(&plan()).replace("\tt0001\t", "\tt0009\t");
        assert!(read(&text).unwrap_err().to_string().contains("requires t0009"));
        let text = write(&plan()).replace("\tpre-data\t", "\tpredata\t");
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains("line 3: \"predata\" is no phase; known are roles, pre-data, "), "{error}");
    }

    #[test]
    fn a_statement_that_was_edited_is_refused() {
        let text = write(&plan());
        let edited = text.replace("COPY \"s\".\"t\" ", "COPY \"s\".\"u\" ");
        assert_ne!(edited, text);
        assert!(read(&edited).unwrap_err().to_string().contains("line 4: the statements of the task"));
        let cut = text.replace("\tsubject\n", "\n");
        assert!(read(&cut).unwrap_err().to_string().contains("an older version wrote it"));
    }
}
