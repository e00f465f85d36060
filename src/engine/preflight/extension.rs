//! Extensions: those that the target lacks, those that it has in another version or schema, and those that the connecting role cannot
//! create.

use super::look::{Look, blocking, info, warning};
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::{Relation, Server};
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{ident, readable};
use crate::pg::survey::{self, AvailableExtension, Extension};
use std::cmp::Ordering;

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let on_source = survey::extensions(look.leader()).await?;
    let on_target = survey::extensions(look.subject.target).await?;
    let available = survey::available_extensions(look.subject.target).await?;
    let mut findings = Vec::new();
    for entry in look.entries().filter(|entry| entry.kind == ObjectKind::Extension) {
        let Some(extension) = on_source.iter().find(|extension| extension.name == entry.tag) else { continue };
        if let Some(there) = on_target.iter().find(|there| there.name == extension.name) {
            findings.extend(installed(&look.ends.target, extension, there));
            findings.extend(configuration(look, &extension.name));
        } else {
            let offer = available.iter().find(|offer| offer.name == extension.name);
            findings.extend(not_installed(&look.ends.target, extension, offer));
        }
    }
    Ok(findings)
}

/// The configuration tables whose rows are copied and that the extension's version on the target lacks.
fn configuration(look: &Look<'_>, extension: &str) -> Vec<Finding> {
    let of_extension = |table: &&Relation| table.member.as_ref().is_some_and(|member| *member.extension == *extension);
    let is_there = |table: &Relation| look.existing.iter().any(|found| found.name == table.name);
    let lacking = look.tables().filter(of_extension).filter(|table| !is_there(table));
    let found = lacking.map(|table| {
        let message = format!("the extension {} on the target has no such configuration table", readable(extension));
        let remedy = format!(
            "install the source's version of {} on the target, or leave the table out with tables.exclude",
            ident(extension)
        );
        blocking("extension_configuration", table.name.to_string(), message, remedy)
    });
    found.collect()
}

pub(super) fn not_installed(
    target: &Server,
    wanted: &Extension,
    offer: Option<&AvailableExtension>,
) -> Option<Finding> {
    let object = readable(&wanted.name);
    let Some(offer) = offer else {
        let message =
            format!("the extension is not available on the target (the source has version {})", wanted.version);
        let remedy = "install its package on the target's server, or leave out what uses it";
        return Some(blocking("extension_missing", object, message, remedy));
    };
    if offer.needs_superuser && !target.is_superuser {
        let message = format!(
            "only a superuser, or a provider's own role, can create the extension; the run connects as {}",
            readable(&target.role)
        );
        let remedy = format!(
            "have one run CREATE EXTENSION {} SCHEMA {} on the target",
            ident(&wanted.name),
            ident(&wanted.schema)
        );
        let mut finding = warning("extension_right", &object, message, remedy);
        finding.objects.push(format!("extension {object}"));
        return Some(finding);
    }
    let version = offer.version.as_deref().unwrap_or_default();
    version_differs(wanted, version).map(|mut finding| {
        finding.message =
            format!("CREATE EXTENSION makes version {version} on the target; the source has {}", wanted.version);
        finding
    })
}

pub(super) fn installed(target: &Server, wanted: &Extension, there: &Extension) -> Vec<Finding> {
    let object = readable(&wanted.name);
    let mut findings: Vec<Finding> = version_differs(wanted, &there.version).into_iter().collect();
    if wanted.schema != there.schema {
        let (has, had) = (readable(&there.schema), readable(&wanted.schema));
        let message = format!(
            "the target has the extension in schema {has}, the source in {had}: what names its objects will fail"
        );
        let remedy =
            format!("ALTER EXTENSION {} SET SCHEMA {} on the target", ident(&wanted.name), ident(&wanted.schema));
        findings.push(warning("extension_schema", &object, message, remedy));
    }
    // Every database has plpgsql, and nothing about it needs a change.
    if !there.is_owner && !target.is_superuser && wanted.name != "plpgsql" {
        let message = "another role owns the extension on the target: its comment stays as it is there";
        findings.push(info("extension_owner", object, message));
    }
    findings
}

fn version_differs(wanted: &Extension, version: &str) -> Option<Finding> {
    let object = readable(&wanted.name);
    let message = format!("version {} on the source, {version} on the target", wanted.version);
    match compare(version, &wanted.version) {
        Ordering::Equal => None,
        Ordering::Greater => Some(info("extension_version", object, message)),
        Ordering::Less => {
            let remedy = format!(
                "ALTER EXTENSION {} UPDATE on the target, where its package is new enough",
                ident(&wanted.name)
            );
            Some(warning("extension_version", object, message, remedy))
        }
    }
}

/// Which of two versions is newer, number by number. A version that is not made of numbers counts as older where it differs.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let numbers = |text: &str| text.split('.').map(str::parse::<u64>).collect::<Result<Vec<u64>, _>>().ok();
    match (numbers(left), numbers(right)) {
        _ if left == right => Ordering::Equal,
        (Some(left), Some(right)) => left.cmp(&right),
        _ => Ordering::Less,
    }
}
