//! Copies large objects with the OIDs that they have: small ones many at a time, large ones slice by slice.
//!
//! <https://www.postgresql.org/docs/current/lo-funcs.html>. Memory holds one batch of slices. The caller owns the transactions.

use super::Session;
use crate::error::Result;
use crate::record::Effect;

/// Objects asked for at once.
const BATCH: usize = 64;
/// Bytes asked for of each object at once.
const SLICE: i32 = 256 * 1024;

/// The OIDs that a plan's statement lists.
pub async fn oids(source: &Session, sql: &str) -> Result<Vec<u32>> {
    Ok(source.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Copies the objects; ones that exist on the target are kept as they are and counted in the note.
pub async fn copy(source: &Session, target: &Session, oids: &[u32]) -> Result<Effect> {
    let mut effect = Effect::default();
    let kept = existing(target, oids).await?;
    let wanted: Vec<u32> = oids.iter().copied().filter(|oid| !kept.contains(oid)).collect();
    for batch in wanted.chunks(BATCH) {
        copy_batch(source, target, batch, &mut effect).await?;
    }
    if !kept.is_empty() {
        effect.note = format!("{} of them existed on the target and were kept", kept.len());
    }
    Ok(effect)
}

async fn existing(target: &Session, oids: &[u32]) -> Result<Vec<u32>> {
    let sql = "SELECT oid FROM pg_catalog.pg_largeobject_metadata WHERE oid = ANY ($1)";
    Ok(target.query(sql, &[&oids]).await?.iter().map(|row| row.get(0)).collect())
}

async fn copy_batch(source: &Session, target: &Session, batch: &[u32], effect: &mut Effect) -> Result<()> {
    let first = "SELECT oid, pg_catalog.lo_get(oid, 0, $2) FROM unnest($1::pg_catalog.oid[]) oid";
    let create = "SELECT pg_catalog.lo_from_bytea(oid, data) FROM unnest($1::pg_catalog.oid[], $2::pg_catalog.bytea[]) o(oid, data)";
    let rows = source.query(first, &[&batch, &SLICE]).await?;
    let found: Vec<u32> = rows.iter().map(|row| row.get(0)).collect();
    let slices: Vec<&[u8]> = rows.iter().map(|row| row.get(1)).collect();
    target.query(create, &[&found, &slices]).await?;
    effect.rows += found.len() as u64;
    for (oid, slice) in found.iter().zip(&slices) {
        effect.bytes += slice.len() as u64;
        if slice.len() == SLICE.unsigned_abs() as usize {
            effect.bytes += copy_rest(source, target, *oid).await?;
        }
    }
    Ok(())
}

/// Copies what lies behind the first slice.
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
