//! The receiver of a relay's rows. Called by `relay` and its two ends.

/// Receives the rows on their way.
pub trait Rows {
    /// A row.
    fn row(&mut self, row: &[u8]);
    /// A piece of a row that is not in the buffer as a whole.
    fn part(&mut self, part: &[u8], is_last: bool);
    /// The rows of one COPY are complete; those of the next follow.
    fn end_copy(&mut self);
}
