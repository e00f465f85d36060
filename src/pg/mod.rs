//! The adapters that talk to `PostgreSQL` servers.
//!
//! Only this layer has connections and protocol messages. It does not retry, does not choose how much runs at once and has no phases: the
//! engine does. Errors leave it as [`crate::Error`], without anything that may quote a row or a password.

pub mod apply;
pub mod backend;
pub mod client;
pub mod compare;
pub mod connection;
pub mod conninfo;
pub mod copy;
pub mod emptying;
pub mod event_triggers;
pub mod foreign_keys;
pub mod introspect;
pub mod keys;
pub mod maintenance;
pub mod members;
pub mod merge;
pub mod notice;
pub mod pinned;
pub mod pipeline;
pub mod present;
pub mod privileges;
pub mod progress;
pub mod redaction;
pub mod reply;
pub mod sample;
mod scrub;
pub mod search_path;
pub mod secret;
pub mod session;
pub mod snapshot;
pub mod statements;
pub mod statistics;
pub mod survey;
pub mod table_lock;
pub mod triggers;
pub mod types;
pub mod unqualified;

pub use conninfo::Conninfo;
pub use session::{Canceller, Session, closed};
