//! The queue between a run and its caller, which may be slow: progress that was not taken is replaced by newer progress of the same task,
//! and a worker waits for room before it begins new work.
//!
//! Tasks at work may add their own events beyond that, so the length of the queue is limited by its capacity and the events of these tasks.
//! Called by the bindings, and by the engine through `Events`.

use super::Event;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The number of waiting events from which on no new work is begun.
const CAPACITY: usize = 1024;

/// Receives events before the caller does.
pub trait Observer: std::fmt::Debug + Send + Sync {
    /// Receives one event; called by the thread that sends it.
    fn observe(&self, event: &Event);
}

/// The sending end of a run's events; clones share the queue. Without a receiver, events are dropped.
#[derive(Debug, Clone, Default)]
pub struct Events {
    queue: Option<Arc<Sender>>,
    observer: Option<Arc<dyn Observer>>,
}

impl Events {
    /// The same queue, with `observer` for its events.
    #[must_use]
    pub fn observed_by(&self, observer: Arc<dyn Observer>) -> Self {
        Events { queue: self.queue.clone(), observer: Some(observer) }
    }

    /// Sends an event to the caller. If the caller is gone, no information is lost: the ledger holds it, too.
    pub fn send(&self, event: Event) {
        if let Some(observer) = &self.observer {
            observer.observe(&event);
        }
        if let Some(sender) = &self.queue {
            sender.send(event);
        }
    }

    /// Whether the caller keeps up with the events. If it does not, no new work is begun, because it would only make more events.
    #[must_use]
    pub fn have_room(&self) -> bool {
        self.queue.as_ref().is_none_or(|sender| sender.has_room())
    }

    /// Waits until the caller has taken some events.
    pub async fn room(&self) {
        if let Some(sender) = &self.queue {
            sender.room().await;
        }
    }
}

/// A new queue: what sends into it, and what takes from it.
#[must_use]
pub fn queue() -> (Events, Queue) {
    let shared = Arc::new(Shared::default());
    let events = Events { queue: Some(Arc::new(Sender(Arc::clone(&shared)))), observer: None };
    (events, Queue(shared))
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was added, or the last sender is gone.
    added: Notify,
    /// Something was taken.
    taken: Notify,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    /// How many events were taken: the number of the first that is there.
    first: u64,
    /// The numbers of progress events that newer ones may replace, by their tasks.
    progress: HashMap<String, u64>,
    /// One end is gone: no more events are sent, or no caller takes them.
    is_closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, event: Event) {
        match &event {
            Event::TaskProgress { task, .. } => {
                let place = self.progress.get(task).and_then(|number| number.checked_sub(self.first));
                let place = place.and_then(|place| usize::try_from(place).ok());
                if let Some(waiting) = place.and_then(|place| self.events.get_mut(place)) {
                    *waiting = event;
                    return;
                }
                self.progress.insert(task.clone(), self.first + self.events.len() as u64);
            }
            // The events that follow are about another attempt.
            Event::TaskFinished { task, .. } | Event::TaskRetried { task, .. } => {
                self.progress.remove(task);
            }
            Event::HoldProgress { .. } if matches!(self.events.back(), Some(Event::HoldProgress { .. })) => {
                self.events.pop_back();
            }
            _ => {}
        }
        self.events.push_back(event);
    }

    fn take(&mut self, most: usize) -> Vec<Event> {
        let count = most.min(self.events.len());
        self.first += count as u64;
        self.events.drain(..count).collect()
    }
}

/// The sending end; the queue is closed when it is dropped.
#[derive(Debug)]
pub(super) struct Sender(Arc<Shared>);

impl Sender {
    pub(super) fn send(&self, event: Event) {
        let mut state = self.0.state();
        if state.is_closed {
            return;
        }
        state.add(event);
        drop(state);
        self.0.added.notify_one();
    }

    pub(super) fn has_room(&self) -> bool {
        let state = self.0.state();
        state.is_closed || state.events.len() < CAPACITY
    }

    pub(super) async fn room(&self) {
        loop {
            let mut taken = std::pin::pin!(self.0.taken.notified());
            // From here on this waiter is woken, even by events that are taken before it waits.
            taken.as_mut().enable();
            if self.has_room() {
                return;
            }
            taken.await;
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.state().is_closed = true;
        self.0.added.notify_one();
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct Queue(Arc<Shared>);

impl Queue {
    /// The next events, at most `most`; none once all are taken and no sender is left.
    pub async fn take(&mut self, most: usize) -> Option<Vec<Event>> {
        loop {
            let (events, is_closed) = {
                let mut state = self.0.state();
                (state.take(most), state.is_closed)
            };
            if !events.is_empty() {
                self.0.taken.notify_waiters();
                return Some(events);
            }
            if is_closed {
                return None;
            }
            self.0.added.notified().await;
        }
    }
}

impl Drop for Queue {
    /// Work does not wait for a caller that has gone away.
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_closed = true;
        state.events.clear();
        drop(state);
        self.0.taken.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::Phase;

    fn progress(task: &str, rows: u64) -> Event {
        Event::TaskProgress { task: task.into(), phase: Phase::Data, rows, bytes: 0 }
    }

    fn retried(task: &str) -> Event {
        Event::TaskRetried { task: task.into(), attempt: 1, reason: String::new() }
    }

    #[tokio::test]
    async fn newer_progress_takes_the_place_of_what_was_not_taken() {
        let (events, mut queue) = queue();
        for rows in 0..1000 {
            events.send(progress("a", rows));
            events.send(progress("b", rows));
        }
        assert_eq!(queue.take(10).await.unwrap(), [progress("a", 999), progress("b", 999)]);
        events.send(progress("a", 1000));
        events.send(retried("a"));
        events.send(progress("a", 1));
        events.send(progress("a", 2));
        drop(events);
        let left = [progress("a", 1000), retried("a"), progress("a", 2)];
        assert_eq!(queue.take(10).await.unwrap(), left, "never ahead of what came before it");
        assert_eq!(queue.take(10).await, None);
    }

    #[tokio::test]
    async fn work_waits_for_a_caller_that_is_behind() {
        let (events, mut queue) = queue();
        while events.have_room() {
            events.send(retried("a"));
        }
        let taking = async {
            tokio::task::yield_now().await;
            queue.take(1).await
        };
        let ((), taken) = tokio::join!(events.room(), taking);
        assert_eq!(taken.unwrap().len(), 1);
        assert!(events.have_room());
    }

    #[tokio::test]
    async fn work_does_not_wait_for_a_caller_that_has_gone_away() {
        let (events, queue) = queue();
        while events.have_room() {
            events.send(retried("a"));
        }
        let leaving = async {
            tokio::task::yield_now().await;
            drop(queue);
        };
        tokio::join!(events.room(), leaving);
        events.send(retried("a"));
        assert!(events.have_room());
    }
}
