//! state.tsv: the ledger for people and scripts, one line per settled or failed task.
//!
//! The first two columns are `<task>` and `DONE` or `FAILED`; more follow. It is written from the ledger when a run begins (to a temporary
//! file, synced, renamed), then appended to and synced. The ledger has precedence: a task that is DONE in the file and not in the ledger
//! stops the run. A path that cannot be written is refused before the run begins; a disk that is full later ends the mirror, never the run.

use crate::action::Action;
use crate::error::{Error, Kind, Result};
use crate::finding::{Finding, Severity};
use crate::plan::tsv::escape;
use crate::record::Record;
use crate::status::TaskStatus;
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
    Error::new("state_file_unusable", Kind::State, format!("{doing} the state file"))
        .object(path.display().to_string())
        .caused_by(cause)
        .remedy(format!("name a state file that can be read and written, with {}", Action::StateFile))
}

/// The finding for a mirror that ended before its run.
pub fn lost(error: &Error) -> Finding {
    let message = format!("{}: it does not mirror the rest of the run", error.chain());
    let object = error.context.object.clone().unwrap_or_default();
    let remedy = format!("the ledger on the target is complete: {} reads it", Action::Status);
    Finding::new("state_file", Severity::Warning, object, message, remedy)
}

/// The tasks that are DONE in the file; none where there is no file. A line that a crash cut short is ignored.
pub fn done_tasks(path: &Path) -> Result<Vec<String>> {
    if is_special(path) {
        return Ok(Vec::new());
    }
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

/// Whether a path is a device, a pipe or a socket: it is written into, never replaced, and reading it may never end.
pub fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// A new file that only its owner reads.
fn create_private(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // A file that a crash has left may have other permissions.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// The file itself where the path is a link to it, and the temporary file that is renamed to it.
fn places(path: &Path) -> (PathBuf, PathBuf) {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    (path, temporary)
}

/// Replaces a file as a whole by one that only its owner can read; it is on the disk when this returns.
pub fn replace(path: &Path, write: &dyn Fn(&mut File) -> std::io::Result<()>) -> std::io::Result<()> {
    if is_special(path) {
        return write(&mut std::fs::OpenOptions::new().write(true).open(path)?);
    }
    let (path, temporary) = places(path);
    let written = create_private(&temporary).and_then(|mut file| {
        write(&mut file)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    });
    if written.is_err() {
        // It may never have been created.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

impl StateFile {
    /// Whether the file can be written, before any work begins that it is to record.
    pub fn check(path: &Path) -> Result<()> {
        let probe = || {
            if path.is_dir() {
                return Err(std::io::ErrorKind::IsADirectory.into());
            }
            if is_special(path) {
                return std::fs::OpenOptions::new().append(true).open(path).map(drop);
            }
            let (_, temporary) = places(path);
            create_private(&temporary).and_then(|_| std::fs::remove_file(&temporary))
        };
        probe().map_err(|e| failed(path, "writing", e))
    }

    /// Writes a new file from the ledger's records and keeps it open for more lines.
    pub fn create(path: &Path, records: &[Record]) -> Result<Self> {
        let mut text = String::new();
        for record in records {
            push_line(&mut text, record);
        }
        let written = replace(path, &|file| file.write_all(text.as_bytes()));
        let opened = written.and_then(|()| std::fs::OpenOptions::new().append(true).open(path));
        match opened {
            Ok(file) => Ok(StateFile { path: path.to_owned(), file }),
            Err(error) => {
                // The lines of an older file would stop a resumed run.
                if !is_special(path) {
                    let _ = std::fs::remove_file(path);
                }
                Err(failed(path, "writing", error))
            }
        }
    }

    /// Appends the lines of tasks that ended, and syncs them.
    pub fn append(&mut self, records: &[Record]) -> Result<()> {
        let mut text = String::new();
        for record in records {
            push_line(&mut text, record);
        }
        let mut write = || -> std::io::Result<()> {
            self.file.write_all(text.as_bytes())?;
            // A device or a pipe has nothing to sync.
            if self.file.metadata()?.is_file() { self.file.sync_data() } else { Ok(()) }
        };
        write().map_err(|e| failed(&self.path, "writing", e))
    }
}

fn push_line(text: &mut String, record: &Record) {
    let status = match record.status {
        TaskStatus::Done | TaskStatus::Kept | TaskStatus::Skipped => "DONE",
        TaskStatus::Failed | TaskStatus::Blocked => "FAILED",
        TaskStatus::Pending | TaskStatus::Running => return,
    };
    let seconds = format!("{:.3}", record.seconds);
    let kind = record.kind.to_string();
    let (rows, bytes) = (record.rows.to_string(), record.bytes.to_string());
    let fields = [
        &record.task,
        status,
        record.phase.as_str(),
        &kind,
        &record.object,
        record.status.as_str(),
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
    use crate::plan::{Phase, Task};

    fn record(id: &str, status: TaskStatus) -> Record {
        let mut task = Task::new(Phase::Data, "data", "s", "odd\tname");
        task.id = id.into();
        Record { status, attempts: 1, rows: 1, bytes: 2, seconds: 0.5, ..Record::planned(&task) }
    }

    #[test]
    fn a_cut_line_counts_for_nothing_and_the_last_word_holds() {
        let folder = std::env::temp_dir().join(format!("pgmigrate-state-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("state.tsv");
        let mut file = StateFile::create(
            &path,
            &[record("t1", TaskStatus::Done), record("t2", TaskStatus::Failed), record("t9", TaskStatus::Pending)],
        )
        .unwrap();
        file.append(&[record("t2", TaskStatus::Done)]).unwrap();
        file.file.write_all(b"t3\tDONE\tda").unwrap();
        let done = done_tasks(&path).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(done, ["t1", "t2"]);
    }

    #[test]
    fn a_device_is_written_into_and_neither_read_nor_replaced() {
        let full = Path::new("/dev/full");
        StateFile::check(full).unwrap();
        assert_eq!(done_tasks(full).unwrap(), Vec::<String>::new());
        let mut file = StateFile::create(full, &[]).unwrap();
        let error = file.append(&[record("t1", TaskStatus::Done)]).unwrap_err();
        assert!(error.chain().contains("No space left on device"), "{}", error.chain());
        assert!(is_special(full));
        StateFile::create(Path::new("/dev/null"), &[]).unwrap().append(&[record("t1", TaskStatus::Done)]).unwrap();
    }
}
