//! state.tsv: the ledger for people and scripts, one line a settled or failed task.
//!
//! The first two columns are `<task>` and `DONE` or `FAILED`; more follow. It is written anew from the ledger when a run begins (to a
//! temporary file, synced, renamed), then appended to and synced. The ledger outranks it: what it calls DONE and the ledger does not stops
//! the run.

use crate::error::{Error, Kind, Result};
use crate::plan::tsv::escape;
use crate::record::{Record, is_settled};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The mirror of one run.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    file: File,
}

fn failed(path: &Path, doing: &str, cause: std::io::Error) -> Error {
    Error::new(Kind::State, format!("{doing} the state file")).object(path.display().to_string()).caused_by(cause)
}

/// The tasks that the file calls DONE; none where there is no file. A line that a crash cut short counts for nothing.
pub fn done_tasks(path: &Path) -> Result<Vec<String>> {
    let text = match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(path, "reading", e)),
    };
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut latest = std::collections::BTreeMap::new();
    for line in complete.lines() {
        let mut fields = line.split('\t');
        if let (Some(task), Some(status)) = (fields.next(), fields.next()) {
            latest.insert(task.to_owned(), status == "DONE");
        }
    }
    Ok(latest.into_iter().filter(|(_, done)| *done).map(|(task, _)| task).collect())
}

fn partial(path: &Path) -> PathBuf {
    path.with_file_name(format!("{}.partial", path.file_name().unwrap_or_default().to_string_lossy()))
}

impl StateFile {
    /// Whether the file can be written, before anything is begun that it is to tell of.
    pub fn check(path: &Path) -> Result<()> {
        let partial = partial(path);
        File::create(&partial).and_then(|_| std::fs::remove_file(&partial)).map_err(|e| failed(path, "writing", e))
    }

    /// Writes the file anew from the ledger's records and keeps it open for more lines.
    pub fn create(path: &Path, records: &[Record]) -> Result<Self> {
        let mut text = String::new();
        for record in records {
            push_line(&mut text, record);
        }
        let partial = partial(path);
        let write = || -> std::io::Result<File> {
            let mut file = File::create(&partial)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&partial, path)?;
            std::fs::OpenOptions::new().append(true).open(path)
        };
        let file = write().map_err(|e| failed(path, "writing", e))?;
        Ok(StateFile { path: path.to_owned(), file })
    }

    /// Appends the lines of tasks that ended, and syncs them.
    pub fn append(&mut self, records: &[Record]) -> Result<()> {
        let mut text = String::new();
        for record in records {
            push_line(&mut text, record);
        }
        let mut write = || -> std::io::Result<()> {
            self.file.write_all(text.as_bytes())?;
            self.file.sync_data()
        };
        write().map_err(|e| failed(&self.path, "writing", e))
    }
}

fn push_line(text: &mut String, record: &Record) {
    let status = match record.status.as_str() {
        status if is_settled(status) => "DONE",
        "failed" | "blocked" => "FAILED",
        _ => return,
    };
    let seconds = format!("{:.3}", record.seconds);
    let (rows, bytes) = (record.rows.to_string(), record.bytes.to_string());
    let fields = [
        &record.task,
        status,
        &record.phase,
        &record.kind,
        &record.object,
        &record.status,
        &rows,
        &bytes,
        &seconds,
        &record.snapshot,
        &record.sqlstate,
        &record.note,
    ];
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            text.push('\t');
        }
        escape(text, field);
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(task: &str, status: &str) -> Record {
        Record {
            task: task.into(),
            phase: "data".into(),
            kind: "data".into(),
            object: "s.odd\tname".into(),
            mode: String::new(),
            format: String::new(),
            status: status.into(),
            attempts: 1,
            planned_rows: 1,
            planned_bytes: 2,
            rows: 1,
            bytes: 2,
            hash: String::new(),
            snapshot: String::new(),
            begun: None,
            seconds: 0.5,
            worker: None,
            sqlstate: String::new(),
            note: String::new(),
        }
    }

    #[test]
    fn a_cut_line_counts_for_nothing_and_the_last_word_holds() {
        let folder = std::env::temp_dir().join(format!("pgmigrate-state-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("state.tsv");
        let mut file =
            StateFile::create(&path, &[record("t1", "done"), record("t2", "failed"), record("t9", "pending")]).unwrap();
        file.append(&[record("t2", "done")]).unwrap();
        file.file.write_all(b"t3\tDONE\tda").unwrap();
        let done = done_tasks(&path).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(done, ["t1", "t2"]);
    }
}
