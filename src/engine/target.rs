//! What a run does about objects that the target has already: what is kept, which columns rows go into, in which order tables are loaded,
//! and which foreign keys are dropped meanwhile.

pub(super) mod column_mapping;
pub(super) mod cycles;
pub(super) mod emptying;
pub(super) mod existing;
pub(super) mod foreign_keys;
pub(super) mod load_order;
pub(super) mod members;
pub(super) mod table_order;
