//! The client programs of `PostgreSQL` that pgmigrate runs: finding each `pg_dump` of this machine, choosing the one for given servers, and
//! running it and the programs next to it.
//!
//! Passwords are passed in the environment, never as arguments, which other users of the machine can read. This module does not decide what
//! to run or what a failure means for the run.

use super::tunnel::Tunnel;
use crate::error::{Error, Kind, Result};
use crate::pg::Conninfo;
use crate::pg::conninfo::SETTING_VARIABLES;
use crate::pg::pinned::Program;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// A `pg_dump` and the `pg_restore` in the same folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// The `pg_dump` program.
    pub pg_dump: PathBuf,
    /// Its major version.
    pub major: u32,
}

/// The `pg_dump` programs that were found: for each major, the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed(BTreeMap<u32, Tools>);

impl FromIterator<Tools> for Installed {
    fn from_iter<T: IntoIterator<Item = Tools>>(found: T) -> Self {
        let mut installed = BTreeMap::new();
        for tools in found {
            installed.entry(tools.major).or_insert(tools);
        }
        Installed(installed)
    }
}

impl Installed {
    /// The oldest one that is at least as new as both `needed` and `preferred`, because a newer one writes statements that the older server
    /// does not know. If none is, the newest; the caller checks whether it is older than `needed` and therefore unusable.
    #[must_use]
    pub fn for_servers(&self, needed: u32, preferred: u32) -> Option<&Tools> {
        let fitting = self.0.range(needed.max(preferred)..).next();
        fitting.map(|(_, tools)| tools).or_else(|| self.newest())
    }

    /// The newest one.
    #[must_use]
    pub fn newest(&self) -> Option<&Tools> {
        self.0.last_key_value().map(|(_, tools)| tools)
    }

    /// The one of this major.
    #[must_use]
    pub fn of_major(&self, major: u32) -> Option<&Tools> {
        self.0.get(&major)
    }
}

/// Finds all programs, or only the configured one. `candidates` are places in addition to PATH, passed by the caller, which may know
/// installed packages.
pub async fn find(configured: Option<&str>, candidates: &[PathBuf]) -> Result<Installed> {
    if let Some(path) = configured {
        let path = PathBuf::from(path);
        let major = version(&path).await.ok_or_else(|| {
            Error::new("pg_dump_unusable", Kind::Config, "the program of options.pg_dump cannot be run")
                .object(path.display().to_string())
        })?;
        return Ok(Installed(BTreeMap::from([(major, Tools { pg_dump: path, major })])));
    }
    let mut seen = HashSet::new();
    let places = search_path().into_iter().chain(candidates.iter().cloned()).filter(|path| seen.insert(place(path)));
    let looks = places.map(async |path| version(&path).await.map(|major| Tools { pg_dump: path, major }));
    let installed: Installed = futures_util::future::join_all(looks).await.into_iter().flatten().collect();
    if installed.newest().is_none() { Err(none_found()) } else { Ok(installed) }
}

/// The error if this machine has no `pg_dump`.
#[must_use]
pub fn none_found() -> Error {
    Error::new("pg_dump_missing", Kind::Preflight, "no pg_dump was found")
        .remedy("install PostgreSQL's client programs, or `pip install 'pgmigrate[pgtools]'`, or set options.pg_dump")
}

/// PATH, then the folders of the distributions' packages.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::env::split_paths(&path).map(|folder| folder.join("pg_dump")).collect();
    for root in ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt", "/usr"] {
        for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let fits = root.ends_with("postgresql")
                || name.to_string_lossy().starts_with("postgresql")
                || name.to_string_lossy().starts_with("pgsql-");
            if fits {
                found.push(entry.path().join("bin/pg_dump"));
            }
        }
    }
    found.retain(|program| program.is_file());
    found
}

/// Identifies a program that is found by several paths: its folder, with links resolved. Links to the program itself are not resolved,
/// because a wrapper may choose the program by the name under which it is called.
fn place(program: &Path) -> PathBuf {
    let folder = program.parent().and_then(|folder| folder.canonicalize().ok());
    folder.map_or_else(|| program.to_owned(), |folder| folder.join(program.file_name().unwrap_or_default()))
}

async fn version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

impl Tools {
    /// The `pg_restore` in the folder of `pg_dump`.
    #[must_use]
    pub fn pg_restore(&self) -> PathBuf {
        self.pg_dump.with_file_name("pg_restore")
    }

    /// Runs `pg_dump` on a database; the process ends when the future is dropped.
    pub async fn dump(&self, conninfo: &Conninfo, arguments: &[&str]) -> Result<()> {
        run(&self.pg_dump, Some(conninfo), arguments).await.map(|_| ())
    }

    /// Runs `pg_restore` into a database, or only reads an archive if no database is given; returns its output.
    pub async fn restore(&self, conninfo: Option<&Conninfo>, arguments: &[&str]) -> Result<String> {
        run(&self.pg_restore(), conninfo, arguments).await
    }
}

async fn run(program: &Path, conninfo: Option<&Conninfo>, arguments: &[&str]) -> Result<String> {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let tunnel = match conninfo {
        Some(conninfo) => connect_by(&mut command, conninfo, Program::PgDump)?,
        None => None,
    };
    let output = output(&mut command)
        .await
        .map_err(|e| Error::new("pg_dump_not_started", Kind::Backup, format!("running {name}")).caused_by(e))?;
    drop(tunnel);
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::new("pg_dump_failed", Kind::Backup, format!("running {name}")).caused_by(first_error(&name, &said)))
}

/// A running program, which is terminated when its caller no longer waits for it.
struct Running(Child);

impl Drop for Running {
    /// If a program is killed, its server continues with the statement; with SIGTERM, the program cancels the statement first.
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(pid) = self.0.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            // The program may have ended at this moment.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        #[cfg(not(unix))]
        let _ = self.0.start_kill();
    }
}

/// Runs a program to its end.
async fn output(command: &mut Command) -> std::io::Result<Output> {
    let mut running = Running(command.spawn()?);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (out, err) = (running.0.stdout.take(), running.0.stderr.take());
    let (status, (), ()) = tokio::try_join!(running.0.wait(), read(out, &mut stdout), read(err, &mut stderr))?;
    Ok(Output { status, stdout, stderr })
}

async fn read(stream: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> std::io::Result<()> {
    match stream {
        Some(mut stream) => stream.read_to_end(into).await.map(|_| ()),
        None => Ok(()),
    }
}

/// Passes the connection to a program, with the password in its environment. If the conninfo requires TLS, the program connects through a
/// tunnel, which exists as long as the returned value.
pub fn connect_by(command: &mut Command, conninfo: &Conninfo, program: Program) -> Result<Option<Tunnel>> {
    let (text, env) = conninfo.for_libpq_tool(program);
    let tunnel = Tunnel::open(conninfo)?;
    let text = tunnel.as_ref().map_or(text, |tunnel| tunnel.conninfo(conninfo.user(), conninfo.dbname()));
    command.arg("-d").arg(text);
    if tunnel.is_some() {
        // A program that does not support TLS refuses even this setting.
        command.env_remove("PGSSLNEGOTIATION");
    }
    for variable in SETTING_VARIABLES {
        command.env_remove(variable);
    }
    command.envs(env.iter().map(|(key, value)| (key, value.expose())));
    Ok(tunnel)
}

/// The line that shows why a program failed. Other lines may quote statements, and a row with them.
fn first_error(name: &str, said: &str) -> String {
    let reported = said.lines().find(|line| line.contains("error:") && !line.contains("DETAIL"));
    let line = reported.or_else(|| said.lines().next()).unwrap_or("it ended without a message");
    line.strip_prefix(&format!("{name}: ")).unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(majors: &[u32]) -> Installed {
        majors.iter().map(|&major| Tools { pg_dump: PathBuf::new(), major }).collect()
    }

    #[test]
    fn the_oldest_that_serves_both_is_chosen() {
        let chosen = |majors: &[u32], needed, preferred| {
            installed(majors).for_servers(needed, preferred).map(|tools| tools.major)
        };
        assert_eq!(chosen(&[15, 16, 17, 18, 19], 16, 17), Some(17));
        assert_eq!(chosen(&[15, 16, 18, 19], 17, 15), Some(18));
        assert_eq!(chosen(&[16, 18], 16, 16), Some(16));
        // None is as new as the target: the nearest one.
        assert_eq!(chosen(&[15, 16, 17], 15, 18), Some(17));
        // None is as new as the source: the caller refuses it.
        assert_eq!(chosen(&[15, 16], 18, 16), Some(16));
        assert_eq!(chosen(&[], 18, 16), None);
    }
}
