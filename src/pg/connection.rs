//! How a connection to a server comes about and ends: the network, TLS, the login, what the server refuses, cancel requests.
//!
//! `session` is what the rest of the crate sees of a connection.

pub(super) mod cancel;
pub(super) mod connect;
pub(super) mod gate;
pub(super) mod net;
pub(super) mod refusal;
pub(super) mod tls;
