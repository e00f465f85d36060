//! Whether there is a folder into which the backup of the target can be written.

use super::look::{Look, blocking};
use crate::engine::backup;
use crate::finding::Finding;
use std::path::Path;

pub(super) fn check(look: &Look<'_>) -> Option<Finding> {
    let directory = Path::new(&look.subject.options.safety.backup_dir);
    if !look.subject.backs_up {
        return None;
    }
    let error = backup::try_directory(directory).err()?;
    let message = format!("options.backup_dir: no backup of the target can be written there: {error}");
    let remedy = "set options.backup_dir to a folder that can be written, or run without a backup";
    Some(blocking("backup_dir", directory.display().to_string(), message, remedy))
}
