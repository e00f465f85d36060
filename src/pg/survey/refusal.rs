//! What a target refuses to a role that is no superuser: such objects of the source, and the rights of the role on the target.
//!
//! This module only reads and translates; the preflight compares both sides with the plan.

use super::read;
use crate::catalog::Oid;
use crate::error::Result;
use crate::pg::{Session, conninfo};
use std::collections::HashSet;
use tokio_postgres::Row;

/// An object that only a superuser can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperuserObject {
    /// The system catalog that lists it.
    pub catalog: Oid,
    /// Its OID.
    pub oid: Oid,
    /// Why only a superuser can make it: its kind, or its language.
    pub reason: String,
    /// For a cast that the owner of a type may make: its types, or the relations whose row types these are.
    pub types: Option<Vec<Oid>>,
}

/// A function that sets parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSettings {
    /// Its OID.
    pub oid: Oid,
    /// The parameters' names.
    pub parameters: Vec<String>,
}

/// A foreign server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignServer {
    /// Its OID.
    pub oid: Oid,
    /// Its foreign data wrapper.
    pub wrapper: String,
}

/// A subscription, with what decides whether a role that is no superuser needs a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its OID.
    pub oid: Oid,
    /// Whether its owner has to log in with a password (`password_required`).
    pub requires_password: bool,
    /// Whether its conninfo contains one, or no conninfo is stored, because the subscription uses a foreign server.
    pub has_password: bool,
}

/// An object that the name in an ACL entry does not identify, such as a cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// The system catalog that lists it.
    pub catalog: Oid,
    /// Its OID.
    pub oid: Oid,
    /// Its identity, which is the same on every server: its kind and its full name.
    pub identity: String,
    /// Whether the connecting role may comment on it.
    pub may_comment: bool,
    /// Whether it has a comment.
    pub has_comment: bool,
    /// Whether it is a member of an extension.
    pub is_member: bool,
}

/// An object with its identity, which is the same on every server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The system catalog that lists it.
    pub catalog: Oid,
    /// Its OID.
    pub oid: Oid,
    /// Its kind, as `pg_identify_object` calls it.
    pub kind: String,
    /// Its full name.
    pub identity: String,
}

/// The identities of objects, which are given by system catalog and OID.
pub async fn made(session: &Session, objects: &[(Oid, Oid)]) -> Result<Vec<Made>> {
    let (catalogs, oids): (Vec<Oid>, Vec<Oid>) = objects.iter().copied().unzip();
    let rows = session.query(include_str!("../../sql/survey/made.sql"), &[&catalogs, &oids]).await?;
    let translate = rows.iter().map(|row| Made {
        catalog: row.get("catalog"),
        oid: row.get("oid"),
        kind: row.get("kind"),
        identity: row.get("identity"),
    });
    Ok(translate.collect())
}

/// The objects that only their identity names.
pub async fn identified(session: &Session) -> Result<Vec<Identified>> {
    let translate = |row: &Row| Identified {
        catalog: row.get("catalog"),
        oid: row.get("oid"),
        identity: row.get("identity"),
        may_comment: row.get("may_comment"),
        has_comment: row.get("has_comment"),
        is_member: row.get("is_member"),
    };
    read(session, include_str!("../../sql/survey/identified.sql"), translate).await
}

/// Objects that only a superuser can make.
pub async fn superuser_objects(session: &Session) -> Result<Vec<SuperuserObject>> {
    let translate = |row: &Row| SuperuserObject {
        catalog: row.get("catalog"),
        oid: row.get("oid"),
        reason: row.get("reason"),
        types: row.get("types"),
    };
    read(session, include_str!("../../sql/survey/superuser_objects.sql"), translate).await
}

/// Functions that set parameters.
pub async fn function_settings(session: &Session) -> Result<Vec<FunctionSettings>> {
    let translate = |row: &Row| FunctionSettings { oid: row.get("oid"), parameters: row.get("parameters") };
    read(session, include_str!("../../sql/survey/function_settings.sql"), translate).await
}

/// The foreign servers.
pub async fn foreign_servers(session: &Session) -> Result<Vec<ForeignServer>> {
    let translate = |row: &Row| ForeignServer { oid: row.get("oid"), wrapper: row.get("wrapper") };
    read(session, include_str!("../../sql/survey/servers.sql"), translate).await
}

/// The subscriptions of the database, which only superusers may read.
pub async fn subscriptions(session: &Session) -> Result<Vec<Subscription>> {
    let translate = |row: &Row| Subscription {
        oid: row.get("oid"),
        requires_password: row.get("requires_password"),
        has_password: row.get::<_, Option<String>>("conninfo").is_none_or(|text| conninfo::has_password(&text)),
    };
    read(session, include_str!("../../sql/survey/subscriptions.sql"), translate).await
}

/// The objects that have comments, by schema and by the tag of their comment in an archive.
pub async fn commented(session: &Session) -> Result<HashSet<(String, String)>> {
    let translate = |row: &Row| (row.get("schema"), row.get("tag"));
    Ok(read(session, include_str!("../../sql/survey/commented.sql"), translate).await?.into_iter().collect())
}

/// The objects that have security labels, by schema and by the tag of their labels in an archive.
pub async fn labelled(session: &Session) -> Result<HashSet<(String, String)>> {
    let translate = |row: &Row| (row.get("schema"), row.get("tag"));
    Ok(read(session, include_str!("../../sql/survey/labelled.sql"), translate).await?.into_iter().collect())
}

/// The foreign data wrappers for which the role may not create servers.
pub async fn unusable_wrappers(session: &Session) -> Result<HashSet<String>> {
    let names = read(session, include_str!("../../sql/survey/unusable_wrappers.sql"), |row| row.get("name")).await?;
    Ok(names.into_iter().collect())
}

/// Those of `parameters` that the role may not set for a function, a role or a database.
pub async fn refused_parameters(session: &Session, parameters: &[String]) -> Result<HashSet<String>> {
    let name = |row: &Row| row.get::<_, String>("name");
    let rows = session.query(include_str!("../../sql/survey/parameters.sql"), &[&parameters]).await?;
    let mut refused: HashSet<String> = rows.iter().map(name).collect();
    if session.version().has_parameter_privileges() && !refused.is_empty() {
        let granted = session.query(include_str!("../../sql/survey/granted_parameters.sql"), &[&parameters]).await?;
        for row in &granted {
            refused.remove(&name(row));
        }
    }
    Ok(refused)
}

/// The schemas in which the roles that can become owners of objects may create objects.
pub async fn creators(session: &Session) -> Result<HashSet<(String, String)>> {
    let pairs =
        read(session, include_str!("../../sql/survey/creators.sql"), |row| (row.get("schema"), row.get("role")));
    Ok(pairs.await?.into_iter().collect())
}
