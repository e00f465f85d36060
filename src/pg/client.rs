//! The client programs of `PostgreSQL`: `pg_dump` and `pg_restore` are found, connected and run here, and archives read and restored.
//!
//! `tunnel` gives a program a connection with the TLS and the login that this crate's own sessions have.

pub mod archive;
pub(super) mod bound_login;
pub mod restore;
pub mod tool;
pub(super) mod tunnel;

/// A folder for files of client programs, accessible only to this role and removed when dropped. Its name is random: in containers, a new
/// process often gets the number of a killed one, and the folder of the killed process must not conflict with its own.
pub fn private_folder() -> std::io::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new().prefix("pgmigrate-").permissions(std::fs::Permissions::from_mode(0o700)).tempdir()
}
