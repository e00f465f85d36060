//! The number of an object in its server's catalog.

/// An object identifier of the source.
pub type Oid = u32;
