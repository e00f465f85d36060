//! The client programs of `PostgreSQL`: `pg_dump` and `pg_restore` are found, connected and run here, and archives read and restored.
//!
//! `tunnel` gives a program a connection with the TLS and the login that this crate's own sessions have.

pub mod archive;
pub(super) mod bound_login;
pub mod restore;
pub mod tool;
pub(super) mod tunnel;

/// A folder for what client programs read or write, open to this role alone and removed when dropped. Its name is random: what a killed
/// process has left must not stand in the way of one that gets its number, as it does in containers.
pub fn private_folder() -> std::io::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new().prefix("pgmigrate-").permissions(std::fs::Permissions::from_mode(0o700)).tempdir()
}
