//! A database's schema as the entries of a `pg_dump` archive.
//!
//! `pg_dump` runs in the run's snapshot, so its entries and the catalog queries see the same moment. The archive is a temporary file that
//! is removed before this returns.

use super::private_folder;
use super::tool::Tools;
use crate::catalog::archive::{Entry, Section};
use crate::error::{Error, Kind, Result};
use crate::interned::Interner;
use crate::pg::Conninfo;
use libpgdump::format::custom::{CustomReader, read_archive};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Instant;

/// Dumps the schema of a database and reads it. `snapshot` is one that another session exported; `lock_timeout` is how many seconds
/// `pg_dump` waits for a table that is locked; `filter` are its options that leave objects out.
pub async fn read_schema(
    tools: &Tools,
    conninfo: &Conninfo,
    snapshot: Option<&str>,
    lock_timeout: u64,
    filter: &[String],
) -> Result<Vec<Entry>> {
    let folder = private_folder().map_err(|e| {
        Error::new("temporary_folder_not_created", Kind::Schema, "making a temporary folder").caused_by(e)
    })?;
    let file = folder.path().join("schema.dump");
    let path = file.display().to_string();
    let join = snapshot.map(|id| format!("--snapshot={id}"));
    let wait = format!("--lock-wait-timeout={}", lock_timeout.saturating_mul(1000));
    let mut arguments = vec!["-Fc", "--schema-only", "--no-password", &wait, "-f", &path];
    arguments.extend(join.as_deref());
    arguments.extend(filter.iter().map(String::as_str));
    let began = Instant::now();
    tools.dump(conninfo, &arguments).await.map_err(|e| {
        let mut error = Error::new(e.name, Kind::Schema, "reading the schema with pg_dump");
        error.remedy.clone_from(&e.remedy);
        error.caused_by(e)
    })?;
    tracing::info!("pg_dump done in {:.1} s", began.elapsed().as_secs_f64());
    let archive = read_archive(&mut open(&file)?).map_err(|e| unreadable().caused_by(e))?;
    if archive.entries.iter().any(has_other_strings) {
        return Err(Error::new(
            "nonstandard_strings",
            Kind::Schema,
            "standard_conforming_strings is off in the session of pg_dump, which would change literals",
        )
        .remedy("connect to the server itself and not through a connection pooler that ignores startup options"));
    }
    let mut all: Vec<Entry> = archive.entries.into_iter().map(entries()).collect();
    // collect() may have reused the memory of the archive's own entries, which are larger.
    all.shrink_to_fit();
    Ok(all)
}

/// The entries of an archive in the custom format; its rows are not read.
pub fn read(path: &Path) -> Result<Vec<Entry>> {
    let reader = CustomReader::open(open(path)?).map_err(|e| unreadable().caused_by(e))?;
    Ok(reader.entries().iter().cloned().map(entries()).collect())
}

/// The major of the `pg_dump` that wrote an archive in the custom format.
pub fn written_by(path: &Path) -> Result<Option<u32>> {
    let reader = CustomReader::open(open(path)?).map_err(|e| unreadable().caused_by(e))?;
    Ok(reader.dump_version().split(|c: char| !c.is_ascii_digit()).next().and_then(|major| major.parse().ok()))
}

/// Whether this is the entry that sets how literals are written, with backslashes as escapes.
fn has_other_strings(entry: &libpgdump::entry::Entry) -> bool {
    entry.desc.as_str() == "STDSTRINGS" && entry.defn.as_ref().is_some_and(|set| set.contains("'off'"))
}

fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|e| unreadable().caused_by(e))
}

fn unreadable() -> Error {
    Error::new("archive_unreadable", Kind::Schema, "reading the archive that pg_dump wrote")
}

/// Translates entries of one archive, whose words are shared.
fn entries() -> impl FnMut(libpgdump::entry::Entry) -> Entry {
    let mut words = Interner::default();
    move |from| {
        let mut word = |text: Option<String>| words.of(&text.unwrap_or_default());
        Entry {
            id: from.dump_id,
            section: match from.section {
                libpgdump::Section::None => Section::None,
                libpgdump::Section::PreData => Section::PreData,
                libpgdump::Section::Data => Section::Data,
                libpgdump::Section::PostData => Section::PostData,
            },
            catalog: from.table_oid.parse().unwrap_or_default(),
            oid: from.oid.parse().unwrap_or_default(),
            namespace: word(from.namespace),
            tag: from.tag.unwrap_or_default(),
            owner: word(from.owner),
            statement: from.defn.unwrap_or_default(),
            drop_statement: from.drop_stmt.unwrap_or_default(),
            access_method: word(from.tableam),
            tablespace: word(from.tablespace),
            dependencies: from.dependencies,
            kind: from.desc.as_str().into(),
        }
    }
}
