//! User mappings whose options the source's role may not read: `pg_dump` writes such a mapping without them.

use super::look::{Look, warning};
use crate::catalog::object_kind::ObjectKind;
use crate::finding::Finding;

pub(super) fn check(look: &Look<'_>) -> Vec<Finding> {
    if look.ends.source.is_superuser {
        return Vec::new();
    }
    let bare =
        look.entries().filter(|entry| entry.kind == ObjectKind::UserMapping && !entry.statement.contains(" OPTIONS ("));
    let finding = |name: &str| {
        let message = "the source's role may read none of its options, and it is created on the target without them";
        let remedy = "run as a superuser of the source, or add its options on the target with ALTER USER MAPPING";
        warning("mapping_options", name, message, remedy)
    };
    bare.map(|entry| finding(&entry.tag)).collect()
}
