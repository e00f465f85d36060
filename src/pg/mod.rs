//! The adapters that talk to `PostgreSQL` servers.
//!
//! Here are connections and what is said over them, and nowhere else. This layer does not retry, does not choose how
//! much runs at once and knows no phases: the engine does. Errors leave it as [`crate::Error`], scrubbed of everything
//! that may quote a row or a password.

pub mod apply;
pub mod archive;
mod cancel;
pub mod compare;
mod connect;
pub mod conninfo;
pub mod copy;
pub mod foreign_keys;
mod gate;
pub mod introspect;
pub mod keys;
pub mod large_object;
pub mod maintenance;
pub mod mask;
mod net;
pub mod present;
mod refusal;
mod relay;
pub mod replay;
pub mod reply;
pub mod sample;
pub mod session;
pub mod snapshot;
pub mod statistics;
pub mod survey;
pub mod tls;
pub mod tool;
pub mod triggers;
mod tunnel;
pub mod types;

pub use conninfo::Conninfo;
pub use session::{Canceller, Session, closed};
