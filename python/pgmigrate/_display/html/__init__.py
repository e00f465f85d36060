"""Results as HTML: one view for each, for notebooks and for the page of a report."""
