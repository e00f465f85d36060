//! A plan: everything a migration will do, decided once, as pure data.
//!
//! A plan can be printed, diffed, kept in git and run elsewhere. It has the exact SQL of every task and never a password or a row. The same
//! source and configuration result in the same bytes. `build` makes plans, `tsv` writes and reads them; the engine only executes them.

pub mod build;
mod check;
pub mod chunk;
pub mod columns;
pub mod cost;
pub mod difference;
pub mod document;
pub mod foreign_key;
pub mod format;
pub mod group;
pub mod large_object;
pub mod mapping;
pub mod merge;
mod model;
pub mod setting;
mod subject;
mod task_kind;
pub mod tsv;

pub use crate::phase::Phase;
pub use build::large_object::moves_large_objects;
pub use build::{PlanDraft, build};
pub use check::check;
pub use chunk::{Answer, Answers, KeyBounds, KeyRange, Question, Rules, Spread, questions};
pub use merge::{Load, OnKey};
pub use model::{Header, OTHER_ROWS, Plan, Task};
pub use subject::{LargeObjectBatch, MemberOf, Statements, Subject, WITH_ADMIN};
pub use task_kind::TaskKind;
