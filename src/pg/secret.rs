//! Values in a plan's statements that the plan does not contain, read on the source.
//!
//! The values are used in statements for the target and nowhere else. The engine reads them before a run's tasks begin.

use super::Session;
use crate::catalog::secret::OptionPlace;
use crate::error::Result;

/// The result of a query of `catalog::secret`, in its order.
pub async fn values(source: &Session, query: &str) -> Result<Vec<(OptionPlace, String)>> {
    let rows = source.query(query, &[]).await?;
    let value = |row: &tokio_postgres::Row| {
        let place = OptionPlace { column: row.get(0), option: row.get(1) };
        Some((place, row.get::<_, Option<String>>(2)?))
    };
    Ok(rows.iter().filter_map(value).collect())
}
