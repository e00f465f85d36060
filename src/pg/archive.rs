//! A database's schema as the entries of a `pg_dump` archive.
//!
//! `pg_dump` runs in our snapshot, so its entries and our catalog queries see the same moment. The archive is a temporary file
//! that is gone when this returns.

use super::Conninfo;
use super::tool::Tools;
use crate::catalog::archive::{Entry, Section};
use crate::error::{Error, Kind, Result};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Dumps the schema of a database and reads it. `snapshot` is one that another session exported; `lock_timeout` is how many seconds
/// `pg_dump` waits for a table that somebody holds.
pub async fn read_schema(
    tools: &Tools,
    conninfo: &Conninfo,
    snapshot: Option<&str>,
    lock_timeout: u64,
) -> Result<Vec<Entry>> {
    let file = TemporaryFile::new("schema.dump")?;
    let path = file.0.display().to_string();
    let join = snapshot.map(|id| format!("--snapshot={id}"));
    let wait = format!("--lock-wait-timeout={}", lock_timeout.saturating_mul(1000));
    let mut arguments = vec!["-Fc", "--schema-only", "--no-password", &wait, "-f", &path];
    arguments.extend(join.as_deref());
    tools.dump(conninfo, &arguments).await.map_err(|e| {
        let mut error = Error::new(Kind::Schema, "reading the schema with pg_dump");
        error.remedy.clone_from(&e.remedy);
        error.caused_by(e)
    })?;
    read(&file.0)
}

/// The entries of an archive in the custom format.
pub fn read(path: &Path) -> Result<Vec<Entry>> {
    let failed = || Error::new(Kind::Schema, "reading the archive that pg_dump wrote");
    let file = std::fs::File::open(path).map_err(|e| failed().caused_by(e))?;
    let reader =
        libpgdump::format::custom::CustomReader::open(BufReader::new(file)).map_err(|e| failed().caused_by(e))?;
    Ok(reader.entries().iter().map(entry).collect())
}

fn entry(from: &libpgdump::entry::Entry) -> Entry {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Entry {
        id: from.dump_id,
        desc: from.desc.as_str().to_owned(),
        section: match from.section {
            libpgdump::Section::None => Section::None,
            libpgdump::Section::PreData => Section::PreData,
            libpgdump::Section::Data => Section::Data,
            libpgdump::Section::PostData => Section::PostData,
        },
        catalog: from.table_oid.parse().unwrap_or_default(),
        oid: from.oid.parse().unwrap_or_default(),
        namespace: text(&from.namespace),
        tag: text(&from.tag),
        owner: text(&from.owner),
        statement: text(&from.defn),
        drop_statement: text(&from.drop_stmt),
        access_method: text(&from.tableam),
        tablespace: text(&from.tablespace),
        dependencies: from.dependencies.clone(),
    }
}

/// A file in a folder of its own that only we can read, removed when dropped.
#[derive(Debug)]
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("pgmigrate-{}-{number}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|e| Error::new(Kind::Schema, "making a temporary folder").caused_by(e))?;
        Ok(TemporaryFile(folder.join(name)))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if let Some(folder) = self.0.parent() {
            // What cannot be removed is left to the system's own cleaning of temporary files.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
