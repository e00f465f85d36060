//! The client programs of `PostgreSQL`: `pg_dump` and `pg_restore` are found, connected and run here, and archives read and restored.
//!
//! `tunnel` gives a program a connection with the TLS and the login that this crate's own sessions have.

pub mod archive;
pub(super) mod bound_login;
pub mod restore;
pub mod tool;
pub(super) mod tunnel;
