//! Which of a worker's sessions have the source database's `search_path`. Called by `worker` and `unqualified`.

/// The sessions whose statements resolve names by the source database's `search_path`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ByPath {
    /// None: the path is empty.
    #[default]
    None,
    /// The target's: values of rows that name objects are sent with the schemas of these objects.
    Target,
    /// Those of both sides.
    Both,
}
