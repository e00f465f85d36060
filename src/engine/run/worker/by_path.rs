//! Which of a worker's sessions have the source database's `search_path`. Called by `worker` and `unqualified`.

/// The sessions whose statements look names up in the source database's `search_path`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ByPath {
    /// None: the path is empty.
    #[default]
    None,
    /// The target's: rows whose values name objects come with these objects' schemas.
    Target,
    /// Those of both sides.
    Both,
}
