//! Backup of a target before it is changed, and its restore.
//!
//! A backup is a complete `pg_dump -Fc` that is read back before anything depends on it. A restore returns the database to its state at
//! that time: all later changes are lost, too. Roles belong to the server and stay. `pg::client::restore` restores an archive in one transaction.

use super::others::{self, Backed};
use super::{Context, programs};
use crate::action::Action;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::config::{TargetForeignKeys, TargetOptions};
use crate::error::{Error, Kind, Result, Side};
use crate::ledger::Ledger;
use crate::pg::client::archive;
use crate::pg::client::restore::{ArchiveRestore, Check};
use crate::pg::client::tool::Tools;
use crate::pg::{Conninfo, Session, survey};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// `pg_dump` gives up on a table that another session has locked for longer.
const LOCK_WAIT: &str = "--lock-wait-timeout=300000";

/// A backup that was made and read back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// How large it is.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Entries of its table of contents.
    pub entries: usize,
}

/// A backup that was restored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Restore {
    /// The backup.
    pub path: PathBuf,
    /// Entries of its table of contents.
    pub entries: usize,
    /// How long it took.
    pub seconds: f64,
    /// A description of what was done.
    pub message: String,
}

/// The result of a restore that must not undo what others have written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Guarded {
    /// The restore; none where others have written.
    pub restored: Option<Restore>,
    /// What others have written, one finding a line.
    pub written: Vec<String>,
}

/// Backs the target up that a session is connected to; `pg_dump` is the configured program. Client programs connect as the session did: to
/// the same host, and encrypted where it is.
pub async fn of_target(target: &Session, pg_dump: Option<&str>, directory: &Path, context: &Context) -> Result<Backup> {
    let tools = context.stop.or(programs::for_target(pg_dump, context, target.major())).await?;
    context.step("backup", backup(target.conninfo(), &tools, directory, context)).await
}

/// Dumps the whole target into a new file of `directory` that only its owner can read. A failure leaves no file behind.
async fn backup(target: &Conninfo, tools: &Tools, directory: &Path, context: &Context) -> Result<Backup> {
    let started = Instant::now();
    let file = context.stop.or(NewFile::create(directory, target.dbname())).await?;
    let partial = file.partial.display().to_string();
    let arguments = ["-Fc", "--no-password", LOCK_WAIT, "-f", &partial];
    context.stop.or(tools.dump(target, &arguments)).await.map_err(|error| explained(error, "backing the target up"))?;
    let (_, entries) = context.stop.or(contents(tools, &file.partial)).await?;
    let (path, bytes) = file.keep()?;
    Ok(Backup { path, bytes, seconds: started.elapsed().as_secs_f64(), entries: entries.len() })
}

/// Whether a backup can be written into the folder, which a backup creates if it does not exist. The test writes a file and removes it at
/// once, in the folder or in the nearest existing folder above it.
pub(super) fn try_directory(directory: &Path) -> std::io::Result<()> {
    let is_there = |path: &&Path| path.as_os_str().is_empty() || path.symlink_metadata().is_ok();
    let nearest = directory.ancestors().find(is_there).unwrap_or(directory);
    let nearest = if nearest.as_os_str().is_empty() { Path::new(".") } else { nearest };
    let trial = nearest.join(format!(".pgmigrate_{}_{}", std::process::id(), timestamp(SystemTime::now())));
    let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&trial) {
        // Another process has written the same file in this second.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        file => file?,
    };
    // A full disk may still accept an empty file.
    let written = (&file).write_all(&[0]).and_then(|()| file.sync_all());
    std::fs::remove_file(&trial)?;
    written
}

/// Restores the target to its state when `path` was made, or leaves it unchanged; `pg_dump` is the configured program.
pub async fn restore(pg_dump: Option<&str>, target: &Conninfo, path: &Path, context: &Context) -> Result<Restore> {
    restore_archive(pg_dump, target, path, None, context).await
}

/// The same, unless others have written to the target since the backup. The transaction that restores checks this once it has locked all
/// tables against writes by others.
pub async fn restore_unless_written(
    options: TargetOptions<'_>,
    keys: TargetForeignKeys,
    target: &Conninfo,
    before: &Backed,
    context: &Context,
) -> Result<Guarded> {
    let entries = entries(&before.path)?;
    let written = Mutex::new(Vec::new());
    let check = async {
        let found = others::written_since(options, keys, &before.counters, &entries, context).await?.written;
        if found.is_empty() {
            return Ok(());
        }
        *written.lock().unwrap_or_else(PoisonError::into_inner) = found;
        Err(Error::new("target_written", Kind::Backup, "others have written to the target since the backup")
            .on(Side::Target))
    };
    let pg_dump = options.connection.pg_dump.as_deref();
    let result = restore_archive(pg_dump, target, &before.path, Some(Box::pin(check)), context).await;
    let written = written.into_inner().unwrap_or_else(PoisonError::into_inner);
    match result {
        Err(_) if !written.is_empty() => Ok(Guarded { restored: None, written }),
        result => Ok(Guarded { restored: Some(result?), written }),
    }
}

async fn restore_archive(
    pg_dump: Option<&str>,
    target: &Conninfo,
    path: &Path,
    check: Option<Check<'_>>,
    context: &Context,
) -> Result<Restore> {
    let started = Instant::now();
    let written_by = written_by(path)?;
    let session = Arc::new(context.stop.or(Session::open(target, Side::Target, "restore")).await?);
    let tools = &context.stop.or(programs::for_restore(pg_dump, context, session.major(), written_by)).await?;
    let (listed, entries) = context.stop.or(contents(tools, path)).await?;
    check_database(&session, &entries)?;
    // The lock does not depend on the schema of the ledger.
    if !context.stop.or(Ledger::new("").lock(&session, false)).await? {
        return Err(Error::new(
            "run_active",
            Kind::Backup,
            "a run of pgmigrate is active on the target, so nothing is restored",
        )
        .on(Side::Target)
        .remedy(format!("wait for its end, or stop it with {}", Action::Stop)));
    }
    let others = context.stop.or(survey::sessions(&session)).await?;
    let restoring = ArchiveRestore {
        tools,
        target: session.conninfo(),
        session: &session,
        path,
        contents: &listed,
        entries: &entries,
    };
    let prepared = context.stop.or(restoring.prepare(check)).await?;
    // From the COMMIT on, only the wait for its answer can be given up.
    prepared.commit(session.conninfo(), || context.stop.stopped()).await?;
    let (dbname, shown) = (target.dbname(), path.display());
    let mut message = format!(
        "the database {dbname} holds again what {shown} was made of, and nothing that came since; roles stay as they are; run ANALYZE"
    );
    if !others.is_empty() {
        let pids: Vec<String> = others.iter().map(|other| other.pid.to_string()).collect();
        message.extend(["; other sessions were connected meanwhile: ", &pids.join(", ")]);
    }
    Ok(Restore { path: path.to_owned(), entries: entries.len(), seconds: started.elapsed().as_secs_f64(), message })
}

/// A backup of another database would replace this one.
fn check_database(session: &Session, entries: &[Entry]) -> Result<()> {
    let name = session.conninfo().dbname();
    match entries.iter().find(|entry| entry.kind == ObjectKind::Database) {
        Some(entry) if entry.tag != name => {
            let doing = format!("the backup is of database {:?}, the target is {name:?}", entry.tag);
            Err(Error::new("backup_of_other_database", Kind::Backup, doing)
                .remedy("name the backup's own database as the target, or use pg_restore for a copy of it"))
        }
        _ => Ok(()),
    }
}

/// The table of contents, read by `pg_restore` and by pgmigrate itself.
async fn contents(tools: &Tools, path: &Path) -> Result<(String, Vec<Entry>)> {
    let shown = path.display().to_string();
    check_file(path)?;
    let listed = tools.restore(None, &["-l", &shown]).await.map_err(|error| explained(error, &reading(path)))?;
    Ok((listed, entries(path)?))
}

/// The table of contents, read by pgmigrate itself.
fn entries(path: &Path) -> Result<Vec<Entry>> {
    check_file(path)?;
    let entries = archive::read(path).map_err(|error| explained(error, &reading(path)))?;
    if entries.is_empty() {
        return Err(Error::new("backup_empty", Kind::Backup, reading(path)).caused_by("its table of contents is empty"));
    }
    Ok(entries)
}

/// The major version of the `pg_dump` that made a backup.
fn written_by(path: &Path) -> Result<Option<u32>> {
    check_file(path)?;
    archive::written_by(path).map_err(|error| explained(error, &reading(path)))
}

fn check_file(path: &Path) -> Result<()> {
    if path.is_file() {
        return Ok(());
    }
    Err(Error::new("backup_missing", Kind::Backup, reading(path)).caused_by("there is no such file"))
}

fn reading(path: &Path) -> String {
    format!("reading the backup {}", path.display())
}

/// An error of a step, as an error of the backup; a stop request stays what it is.
fn explained(error: Error, doing: &str) -> Error {
    if error.kind == Kind::Interrupted {
        return error;
    }
    let mut explained = Error::new(error.name, Kind::Backup, doing);
    explained.remedy.clone_from(&error.remedy);
    explained.sqlstate.clone_from(&error.sqlstate);
    explained.caused_by(error)
}

/// A file that gets its name only once it is complete, and is removed if it never is.
struct NewFile {
    partial: PathBuf,
    path: PathBuf,
}

impl NewFile {
    /// Takes the first second whose name is free.
    async fn create(directory: &Path, dbname: &str) -> Result<NewFile> {
        const TRIES: usize = 10;
        let failed = |e: std::io::Error| {
            Error::new("backup_file_not_created", Kind::Backup, format!("creating a file in {}", directory.display()))
                .caused_by(e)
                .remedy(format!("name a folder that can be written, with {}", Action::BackupDirectory))
        };
        std::fs::create_dir_all(directory).map_err(failed)?;
        for _ in 0..TRIES {
            let path = directory.join(file_name(dbname, SystemTime::now()));
            let partial = path.with_extension("dump.partial");
            // The process that creates the partial file owns the name, so no other process can act between this check and the renaming.
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial) {
                Ok(_) => {
                    let file = NewFile { partial, path };
                    if !file.path.exists() {
                        return Ok(file);
                    }
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed(e)),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Err(Error::new("backup_name_taken", Kind::Backup, format!("no free file name in {}", directory.display())))
    }

    /// Gives the file its name, durably even if the machine fails now.
    fn keep(self) -> Result<(PathBuf, u64)> {
        let sync = || -> std::io::Result<u64> {
            let file = File::open(&self.partial)?;
            file.sync_all()?;
            std::fs::rename(&self.partial, &self.path)?;
            File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(file.metadata()?.len())
        };
        let bytes = sync().map_err(|e| {
            Error::new("backup_not_written", Kind::Backup, format!("writing {}", self.path.display())).caused_by(e)
        })?;
        Ok((self.path.clone(), bytes))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After `keep` no file of this name exists.
        let _ = std::fs::remove_file(&self.partial);
    }
}

/// `pgmigrate_backup_<dbname>_<UTC time>.dump`, with `_` for each character of the database's name that is not safe in a file name.
fn file_name(dbname: &str, now: SystemTime) -> String {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let dbname: String = dbname.chars().map(safe).collect();
    format!("pgmigrate_backup_{dbname}_{}.dump", timestamp(now))
}

/// `YYYYmmdd_HHMMSS` in UTC, by the calendar arithmetic of <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn timestamp(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}", era * 400 + year)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> String {
        timestamp(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(at(0), "19700101_000000");
        assert_eq!(at(951_782_399), "20000228_235959");
        assert_eq!(at(951_782_400), "20000229_000000");
        assert_eq!(at(1_735_689_599), "20241231_235959");
        assert_eq!(at(4_107_542_400), "21000301_000000");
    }

    #[test]
    fn a_file_name_stays_in_its_folder() {
        let name = file_name("../a b/\u{e9}\n", UNIX_EPOCH);
        assert_eq!(name, "pgmigrate_backup_.._a_b_\u{e9}__19700101_000000.dump");
    }

    #[tokio::test]
    async fn a_file_that_is_not_kept_is_gone() {
        let folder = std::env::temp_dir().join(format!("pgmigrate-backup-test-{}", std::process::id()));
        let file = NewFile::create(&folder, "d").await.expect("a file");
        let partial = file.partial.clone();
        assert!(partial.exists());
        drop(file);
        assert!(!partial.exists());
        let kept = NewFile::create(&folder, "d").await.expect("a file").keep().expect("kept").0;
        let next = NewFile::create(&folder, "d").await.expect("another name").keep().expect("kept").0;
        assert_ne!(kept, next);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
