//! Copies large objects with their OIDs: many small ones at a time, large ones slice by slice.
//!
//! <https://www.postgresql.org/docs/current/lo-funcs.html>. Memory holds one batch of slices. The caller owns the transactions.

use crate::error::{Result, Side};
use crate::pg::Session;
use crate::record::Effect;
use std::collections::{HashMap, HashSet};

/// The number of objects read at once.
const BATCH: usize = 64;
/// The number of bytes read of each object at once.
const SLICE: i32 = 256 * 1024;
/// Bytes of an object that are digested at once.
const DIGESTED: i32 = 1024 * 1024;

/// The OIDs that a plan's statement lists.
pub async fn oids(source: &Session, sql: &str) -> Result<Vec<u32>> {
    Ok(source.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Why an object could not be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The target has another object with its OID.
    Taken,
    /// The target has an object with its OID that the role may not read.
    Unreadable,
    /// The source no longer has it.
    Gone,
    /// The target holds fewer or more bytes than were sent.
    Short,
}

/// The result of a batch.
#[derive(Debug, Default)]
pub struct CopiedObjects {
    /// Objects and bytes copied; the note names those that the target had already.
    pub effect: Effect,
    /// The objects that could not be copied.
    pub failed: Vec<(u32, Obstacle)>,
}

/// Copies the objects. An object that the target has is kept if its content is the same; otherwise it fails.
pub async fn copy(source: &Session, target: &Session, oids: &[u32]) -> Result<CopiedObjects> {
    let mut copied = CopiedObjects::default();
    let (found, taken) = tokio::try_join!(existing(source, oids), existing(target, oids))?;
    let gone = oids.iter().filter(|oid| !found.contains(oid));
    copied.failed.extend(gone.map(|oid| (*oid, Obstacle::Gone)));
    let (taken, wanted): (Vec<u32>, Vec<u32>) = found.iter().copied().partition(|oid| taken.contains(oid));
    let other = compare(source, target, &taken).await?;
    let kept = taken.len() - other.len();
    copied.failed.extend(other);
    for batch in wanted.chunks(BATCH) {
        copy_batch(source, target, batch, &mut copied).await?;
    }
    copied.failed.sort_unstable();
    if kept > 0 {
        copied.effect.note = format!("{kept} of them were on the target already, with the same content");
    }
    Ok(copied)
}

async fn existing(session: &Session, oids: &[u32]) -> Result<HashSet<u32>> {
    let sql = "SELECT oid FROM pg_catalog.pg_largeobject_metadata WHERE oid = ANY ($1)";
    Ok(session.query(sql, &[&oids]).await?.iter().map(|row| row.get(0)).collect())
}

/// Those of the objects, which exist on both sides, that are not the same.
async fn compare(source: &Session, target: &Session, oids: &[u32]) -> Result<Vec<(u32, Obstacle)>> {
    if oids.is_empty() {
        return Ok(Vec::new());
    }
    target.batch("SAVEPOINT pgmigrate_compare").await?;
    match differing(source, target, oids).await {
        Ok(other) => {
            target.batch("RELEASE pgmigrate_compare").await?;
            Ok(other.into_iter().map(|oid| (oid, Obstacle::Taken)).collect())
        }
        Err(error) if error.is("42501") && error.context.side == Some(Side::Target) => {
            target.batch("ROLLBACK TO pgmigrate_compare; RELEASE pgmigrate_compare").await?;
            match oids {
                [one] => Ok(vec![(*one, Obstacle::Unreadable)]),
                many => {
                    let (left, right) = many.split_at(many.len() / 2);
                    let mut all = Box::pin(compare(source, target, left)).await?;
                    all.extend(Box::pin(compare(source, target, right)).await?);
                    Ok(all)
                }
            }
        }
        Err(error) => Err(error),
    }
}

/// Those of `oids`, which exist on both sides, whose contents differ. They are digested on their servers slice by slice, so that neither
/// this program nor a server holds more than a batch of slices.
pub async fn differing(source: &Session, target: &Session, oids: &[u32]) -> Result<Vec<u32>> {
    let mut differing = Vec::new();
    let mut open = oids.to_vec();
    let mut offset = 0_i64;
    while !open.is_empty() {
        let (left, right) = tokio::try_join!(digests(source, &open, offset), digests(target, &open, offset))?;
        let (same, other): (Vec<&ObjectSlice>, Vec<&ObjectSlice>) =
            left.iter().partition(|slice| right.contains(slice));
        differing.extend(other.iter().map(|slice| slice.oid));
        open = same.iter().filter(|slice| slice.length == DIGESTED).map(|slice| slice.oid).collect();
        offset += i64::from(DIGESTED);
    }
    Ok(differing)
}

#[derive(Debug, PartialEq, Eq)]
struct ObjectSlice {
    oid: u32,
    length: i32,
    digest: Vec<u8>,
}

async fn digests(session: &Session, oids: &[u32], offset: i64) -> Result<Vec<ObjectSlice>> {
    let sql = "SELECT oid, pg_catalog.length(slice), pg_catalog.sha256(slice) \
               FROM (SELECT oid, pg_catalog.lo_get(oid, $2, $3) AS slice \
                     FROM unnest($1::pg_catalog.oid[]) AS oid OFFSET 0) AS o";
    let rows = session.query(sql, &[&oids, &offset, &DIGESTED]).await?;
    Ok(rows.iter().map(|row| ObjectSlice { oid: row.get(0), length: row.get(1), digest: row.get(2) }).collect())
}

async fn copy_batch(source: &Session, target: &Session, batch: &[u32], copied: &mut CopiedObjects) -> Result<()> {
    let first = "SELECT oid, pg_catalog.lo_get(oid, 0, $2) FROM unnest($1::pg_catalog.oid[]) oid";
    let create = "SELECT pg_catalog.lo_from_bytea(oid, data) FROM unnest($1::pg_catalog.oid[], $2::pg_catalog.bytea[]) o(oid, data)";
    let rows = source.query(first, &[&batch, &SLICE]).await?;
    let found: Vec<u32> = rows.iter().map(|row| row.get(0)).collect();
    let slices: Vec<&[u8]> = rows.iter().map(|row| row.get(1)).collect();
    target.query(create, &[&found, &slices]).await?;
    let mut sent = HashMap::new();
    for (oid, slice) in found.iter().zip(&slices) {
        let mut bytes = slice.len() as u64;
        if slice.len() == SLICE.unsigned_abs() as usize {
            bytes += copy_rest(source, target, *oid).await?;
        }
        sent.insert(*oid, bytes);
    }
    for (oid, written) in sizes(target, &found).await? {
        let bytes = sent.get(&oid).copied().unwrap_or_default();
        if written == bytes {
            copied.effect.rows += 1;
            copied.effect.bytes += bytes;
        } else {
            copied.failed.push((oid, Obstacle::Short));
        }
    }
    Ok(())
}

/// The sizes of objects: the position of a descriptor opened for reading (`INV_READ`) after a seek to the end.
async fn sizes(session: &Session, oids: &[u32]) -> Result<Vec<(u32, u64)>> {
    let sql = "SELECT oid, pg_catalog.lo_lseek64(fd, 0, 2), pg_catalog.lo_close(fd) \
               FROM (SELECT oid, pg_catalog.lo_open(oid, 262144) AS fd FROM unnest($1::pg_catalog.oid[]) oid OFFSET 0) o";
    let rows = session.query(sql, &[&oids]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get::<_, i64>(1).unsigned_abs())).collect())
}

/// Copies the bytes after the first slice.
async fn copy_rest(source: &Session, target: &Session, oid: u32) -> Result<u64> {
    let mut offset = i64::from(SLICE);
    loop {
        let row = source.query_one("SELECT pg_catalog.lo_get($1, $2, $3)", &[&oid, &offset, &SLICE]).await?;
        let slice: &[u8] = row.get(0);
        if !slice.is_empty() {
            target.query_one("SELECT pg_catalog.lo_put($1, $2, $3)", &[&oid, &offset, &slice]).await?;
        }
        offset += slice.len().cast_signed() as i64;
        if slice.len() < SLICE.unsigned_abs() as usize {
            return Ok((offset - i64::from(SLICE)).unsigned_abs());
        }
    }
}
