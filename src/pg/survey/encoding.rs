//! The effect of both databases' encodings on names and definitions.
//!
//! This module only reads and translates; `super` names its callers.

use super::read;
use crate::error::Result;
use crate::pg::Session;
use futures_util::future::try_join_all;

/// A name or a definition in bytes beyond ASCII of a database that has no encoding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawText {
    /// The kind of object, such as `table column`.
    pub kind: String,
    /// The object, quoted as SQL quotes it.
    pub object: Vec<u8>,
    /// Its name, or text of its definition.
    pub text: Vec<u8>,
}

/// The texts with bytes beyond ASCII in a `SQL_ASCII` database; none for a database that has an encoding.
pub async fn raw_texts(session: &Session) -> Result<Vec<RawText>> {
    read(session, include_str!("../../sql/survey/undecodable.sql"), |row| RawText {
        kind: row.get("kind"),
        object: row.get("object"),
        text: row.get("text"),
    })
    .await
}

/// Those of the characters that the database's encoding lacks, in the order of `characters`.
///
/// A server reports only that it cannot convert a text, so a refused text is halved until single characters are left. All halves of one
/// size are sent together: a long list costs a few round trips.
pub async fn lacked(session: &Session, characters: &[char]) -> Result<Vec<char>> {
    let mut lacked = Vec::new();
    let mut open: Vec<&[char]> = if characters.is_empty() { Vec::new() } else { vec![characters] };
    while !open.is_empty() {
        let answers = try_join_all(open.iter().map(|part| has(session, part))).await?;
        let refused = open.into_iter().zip(answers).filter(|(_, has)| !has).map(|(part, _)| part);
        let mut next = Vec::new();
        for part in refused {
            match part {
                [one] => lacked.push(*one),
                many => next.extend(<[&[char]; 2]>::from(many.split_at(many.len() / 2))),
            }
        }
        open = next;
    }
    Ok(lacked)
}

/// Whether the database's encoding has all of the characters.
async fn has(session: &Session, characters: &[char]) -> Result<bool> {
    let text: String = characters.iter().collect();
    let sql = "SELECT pg_catalog.convert($1, 'UTF8', pg_catalog.getdatabaseencoding()) IS NOT NULL";
    match session.query_one(sql, &[&text.as_bytes()]).await {
        Ok(_) => Ok(true),
        Err(error) if error.is("22P05") || error.is("22021") => Ok(false),
        Err(error) => Err(error),
    }
}
