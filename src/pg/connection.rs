//! How a connection to a server is made and ended: the network, TLS, the login, refusals of the server, cancel requests.
//!
//! The rest of the crate uses connections only through `session`.

pub(super) mod cancel;
pub(super) mod connect;
pub(super) mod gate;
pub(super) mod net;
pub(super) mod refusal;
pub(super) mod tls;
