//! Compares items in parallel: each of `jobs` workers holds a session on both sides and takes the next item.
//!
//! An item that fails is reported as unchecked, and its worker opens new sessions for the next one; where these cannot be opened the
//! comparison ends. Dropping the future ends all workers, and with their sessions the statements that the servers run for them.

use super::item::Item;
use super::{objects, rows};
use crate::engine::Context;
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::name::QualifiedName;
use crate::pg::compare::{ComparedConnections, Readers};
use crate::pg::unqualified;
use crate::status::TableStatus;
use crate::verification::{TableResult, Verification};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;

impl Item {
    async fn compare(&self, readers: &Readers) -> Result<Verification> {
        match self {
            Item::Table(pair) => rows::compare(readers, pair).await,
            Item::Sequences(sequences) => objects::compare_sequences(readers, sequences).await,
            Item::LargeObjects(batch) => objects::compare_large_objects(readers, batch).await,
            Item::View(view) => objects::compare_view(readers, view).await,
            Item::Settled(part) => Ok((**part).clone()),
        }
    }

    /// The source's relations whose rows are read.
    fn relations(&self) -> &[QualifiedName] {
        match self {
            Item::Table(pair) => &pair.reads,
            Item::View(view) => std::slice::from_ref(view),
            Item::Sequences(_) | Item::LargeObjects(_) | Item::Settled(_) => &[],
        }
    }

    fn unchecked(&self, error: &Error) -> Verification {
        let mut part = Verification::default();
        let note = error.chain();
        match self {
            Item::Table(pair) => {
                part.push_unchecked(&pair.object, &note);
                part.tables.push(TableResult::unread(&pair.object, TableStatus::Unchecked, note));
            }
            Item::Sequences(sequences) => sequences.iter().for_each(|s| part.push_unchecked(&s.object, &note)),
            Item::LargeObjects(batch) => part.push_unchecked(&batch.name, note),
            Item::View(view) => {
                part.push_unchecked(view.to_string(), &note);
                part.materialized_views.push(TableResult::unread(view.to_string(), TableStatus::Unchecked, note));
            }
            Item::Settled(_) => {}
        }
        part
    }
}

/// Compares all items; the parts of the result are in the order of the items.
///
/// What cannot be read because a function of an index or a view names an object without a schema is read with the `search_path`.
pub async fn run(
    ends: ComparedConnections,
    items: Vec<Item>,
    search_path: String,
    jobs: usize,
    context: &Context,
) -> Result<Verification> {
    let work = Arc::new(Comparing { ends, search_path, items, next: AtomicUsize::new(0), context: context.clone() });
    let mut workers = JoinSet::new();
    for _ in 0..jobs.min(work.items.len()) {
        workers.spawn(Arc::clone(&work).compare_items());
    }
    let mut parts = Vec::new();
    while let Some(ended) = workers.join_next().await {
        let broken = |error| {
            Error::new("worker_panicked", Kind::Internal, "a comparison task panicked or was aborted").caused_by(error)
        };
        parts.extend(ended.map_err(broken)??);
    }
    parts.sort_by_key(|(at, _)| *at);
    let mut verification = Verification::default();
    for (_, part) in parts {
        verification.absorb(part);
    }
    Ok(verification)
}

struct Comparing {
    ends: ComparedConnections,
    search_path: String,
    items: Vec<Item>,
    next: AtomicUsize,
    context: Context,
}

impl Comparing {
    async fn compare_items(self: Arc<Self>) -> Result<Vec<(usize, Verification)>> {
        let mut done = Vec::new();
        let mut open: Option<Readers> = None;
        loop {
            self.context.events.room().await;
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = self.items.get(at) else { return Ok(done) };
            let readers = match open.take() {
                Some(readers) => readers,
                None => Readers::open(&self.ends).await?,
            };
            let started = Instant::now();
            let mut part = match item.compare(&readers).await {
                Ok(part) => {
                    open = readers.release().await.is_ok().then_some(readers);
                    part
                }
                Err(error) if error.is_undefined() => {
                    drop(readers);
                    self.compare_by_path(item, &error).await?
                }
                Err(error) => item.unchecked(&error),
            };
            for table in &mut part.tables {
                table.seconds = started.elapsed().as_secs_f64();
                self.emit(table);
            }
            for view in &mut part.materialized_views {
                view.seconds = started.elapsed().as_secs_f64();
                tracing::info!("{}: {} rows after a refresh", view.object, view.target_rows);
            }
            done.push((at, part));
        }
    }

    async fn compare_by_path(&self, item: &Item, first: &Error) -> Result<Verification> {
        let mut readers = Readers::open(&self.ends).await?;
        let mut names_objects = false;
        for relation in item.relations() {
            names_objects |= unqualified::names_objects(&readers.source, &relation.sql()).await?;
        }
        // Names of two schemas would look equal under a path that has both.
        let path = if names_objects { "" } else { &self.search_path };
        readers.look_up_in(path).await?;
        Ok(match item.compare(&readers).await {
            Ok(part) => part,
            Err(second) if !second.is_undefined() => item.unchecked(&second),
            Err(_) => item.unchecked(first),
        })
    }

    fn emit(&self, table: &TableResult) {
        let (object, status, rows) = (table.object.clone(), table.status, table.target_rows);
        tracing::info!("{object} is {status}");
        self.context.events.send(Event::TableVerified { object, status, rows });
    }
}
