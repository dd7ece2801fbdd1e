use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{Keeps, Payload};

/// What waits to be sent, in order, bounded in bytes.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    keeps: Keeps,
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Payload>,
    bytes: usize,
    /// Points of the payload that is being sent.
    in_flight: u64,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(keeps: Keeps, limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            keeps,
            limit,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds payloads, and tells how many points are lost because older ones had to go, or because the new
    /// ones are larger than all the room there is.
    pub(super) fn push(&self, payloads: Vec<Payload>) -> u64 {
        let mut state = self.state();
        if self.keeps == Keeps::Latest {
            state.waiting.clear();
            state.bytes = 0;
        }
        let mut lost = 0;
        for payload in payloads {
            state.bytes += payload.body.len();
            state.waiting.push_back(payload);
            while state.bytes > self.limit {
                lost += state.pop().map_or(0, |oldest| oldest.points);
            }
        }
        drop(state);
        self.changed.notify_one();
        lost
    }

    /// No more is added.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_one();
    }

    /// The oldest, once there is one; `None` after the last. For one who waits.
    pub(super) async fn next(&self) -> Option<Payload> {
        loop {
            {
                let mut state = self.state();
                if let Some(payload) = state.pop() {
                    state.in_flight = payload.points;
                    return Some(payload);
                }
                if state.is_closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// What was taken is sent, or given up.
    pub(super) fn done(&self) {
        self.state().in_flight = 0;
    }

    /// Whether what was taken is replaced by what waits.
    pub(super) fn is_superseded(&self) -> bool {
        self.keeps == Keeps::Latest && !self.state().waiting.is_empty()
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// How many points were not sent.
    pub(super) fn left(&self) -> u64 {
        let state = self.state();
        let waiting = state.waiting.iter().map(|payload| payload.points);
        waiting.sum::<u64>() + state.in_flight
    }
}

impl State {
    fn pop(&mut self) -> Option<Payload> {
        let payload = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(payload.body.len());
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn payload(length: usize, points: u64) -> Payload {
        Payload {
            body: Bytes::from(vec![0; length]),
            points,
        }
    }

    #[tokio::test]
    async fn the_oldest_goes_if_there_is_no_room() {
        let queue = Queue::new(Keeps::All, 10);
        assert_eq!(queue.push(vec![payload(4, 1), payload(4, 2)]), 0);
        assert_eq!(queue.push(vec![payload(4, 3)]), 1);
        assert_eq!((queue.bytes(), queue.left()), (8, 5));
        // Larger than all the room there is.
        assert_eq!(queue.push(vec![payload(11, 7)]), 2 + 3 + 7);
        queue.push(vec![payload(10, 9)]);
        assert_eq!(queue.next().await, Some(payload(10, 9)));
        assert_eq!((queue.bytes(), queue.left()), (0, 9));
        queue.done();
        queue.close();
        assert_eq!((queue.next().await, queue.left()), (None, 0));
    }

    #[tokio::test]
    async fn where_the_latest_counts_it_replaces_what_was_before() {
        let queue = Queue::new(Keeps::Latest, 10);
        queue.push(vec![payload(4, 1)]);
        assert_eq!(queue.next().await, Some(payload(4, 1)));
        assert!(!queue.is_superseded());
        assert_eq!(queue.push(vec![payload(5, 2)]), 0);
        assert!(queue.is_superseded());
        assert_eq!(queue.push(vec![payload(6, 3)]), 0);
        assert_eq!((queue.bytes(), queue.left()), (6, 3 + 1));
    }
}
