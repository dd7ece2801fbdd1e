//! The rows of routes, found again without an allocation and without a lock.

use std::{
    hash::BuildHasher as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

#[cfg(feature = "axum")]
use axum::extract::MatchedPath;
use metrics::SharedString;
use rapidhash::fast::RandomState;

use crate::{config::Config, recorder::RecorderId, route::RouteTable, row::Row, slot::Place};

/// The handles of one recorder. Another recorder gets a cache of its own.
pub(crate) struct Cache {
    recorder: RecorderId,
    /// Which has those that are found by name.
    other: Arc<Row>,
    /// The rows of the route table's templates, by number.
    table: Box<[OnceLock<Arc<Row>>]>,
    /// The rows of axum's paths, by where the path is.
    #[cfg(feature = "axum")]
    paths: Paths,
}

/// The rows of routes and methods, by name.
pub(crate) struct Rows {
    recorder: RecorderId,
    config: Arc<Config>,
    buckets: Box<[Place<Node>]>,
    hasher: RandomState,
    count: AtomicUsize,
}

/// A row, and the next one in the same bucket. Never removed: rows are bounded.
struct Node {
    row: Arc<Row>,
    next: Place<Self>,
}

impl Cache {
    pub(crate) fn new(recorder: RecorderId, config: &Arc<Config>) -> Self {
        let rows = Rows::new(recorder, config);
        let templates = config.routes.as_ref().map_or(0, RouteTable::len);
        Self {
            recorder,
            table: (0..templates).map(|_| OnceLock::new()).collect(),
            #[cfg(feature = "axum")]
            paths: Paths::new(rows.buckets.len()),
            other: Arc::new(Row::other(recorder, config, rows)),
        }
    }

    pub(crate) const fn recorder(&self) -> RecorderId {
        self.recorder
    }

    /// The row of everything that has none of its own.
    pub(crate) const fn other(&self) -> &Arc<Row> {
        &self.other
    }

    /// The row of the route table's template of this number, if it is there.
    #[inline]
    pub(crate) fn of_table(&self, number: usize) -> Option<&Arc<Row>> {
        self.table.get(number)?.get()
    }

    /// Keeps the row of a template of the route table.
    #[cold]
    pub(crate) fn keep(&self, number: usize, row: &Arc<Row>) {
        if let Some(place) = self.table.get(number) {
            place.get_or_init(|| Arc::clone(row));
        }
    }

    /// The row of this path of axum's, if it is known where the path is.
    #[cfg(feature = "axum")]
    #[inline]
    pub(crate) fn of_path(&self, path: &MatchedPath) -> Option<&Arc<Row>> {
        self.paths.get(path.as_str())
    }

    /// Keeps the row of a path of axum's.
    #[cfg(feature = "axum")]
    #[cold]
    pub(crate) fn keep_path(&self, path: &MatchedPath, row: &Arc<Row>) {
        self.paths.keep(path, row);
    }
}

impl Rows {
    fn new(recorder: RecorderId, config: &Arc<Config>) -> Self {
        // Twice as many buckets as rows keep the chains short; each bucket is two words.
        let buckets = config
            .max_routes
            .saturating_mul(2)
            .clamp(64, 1 << 20)
            .next_power_of_two();
        Self {
            recorder,
            config: Arc::clone(config),
            buckets: (0..buckets).map(|_| OnceLock::new()).collect(),
            hasher: RandomState::new(),
            count: AtomicUsize::new(0),
        }
    }

    /// The row of this name, if it is there.
    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Row>> {
        let mut place = self.bucket(name)?;
        while let Some(node) = place.get() {
            if **node.row.name() == *name {
                return Some(&node.row);
            }
            place = &node.next;
        }
        None
    }

    /// Makes the row of this name, unless that is over budget.
    #[cold]
    pub(crate) fn insert(&self, name: &str) -> Option<&Arc<Row>> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.config.max_routes {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let name = SharedString::from_shared(Arc::from(name));
        let row = Arc::new(Row::new(name, self.recorder, &self.config));
        let mut place = self.bucket(row.name())?;
        let mut node = Box::new(Node {
            row,
            next: OnceLock::new(),
        });
        loop {
            let name = node.row.name().clone();
            let refused = place.set(node);
            let there = place.get()?;
            let Err(back) = refused else {
                return Some(&there.row);
            };
            if *there.row.name() == name {
                // Another thread was faster.
                self.count.fetch_sub(1, Ordering::Relaxed);
                return Some(&there.row);
            }
            node = back;
            place = &there.next;
        }
    }

    fn bucket(&self, name: &str) -> Option<&Place<Node>> {
        // The number of buckets is a power of two.
        let mask = self.buckets.len() as u64 - 1;
        let index = self.hasher.hash_one(name) & mask;
        self.buckets.get(usize::try_from(index).ok()?)
    }
}

/// Rows by the address of axum's path, so that neither its text is hashed nor the row's name compared.
#[cfg(feature = "axum")]
struct Paths(Box<[PathPlace]>);

/// Where one can be kept. No place is in two lines of memory.
#[cfg(feature = "axum")]
#[derive(Default)]
#[repr(align(32))]
struct PathPlace(OnceLock<(MatchedPath, Arc<Row>)>);

#[cfg(feature = "axum")]
impl Paths {
    /// `places` is a power of two.
    fn new(places: usize) -> Self {
        Self((0..places).map(|_| PathPlace::default()).collect())
    }

    /// The two places that a path at this address can have.
    #[inline]
    fn places(&self, path: &str) -> impl Iterator<Item = &OnceLock<(MatchedPath, Arc<Row>)>> {
        let spread = (path.as_ptr().addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let at = usize::try_from(spread >> 32).unwrap_or_default() & (self.0.len() - 1);
        [at, at ^ 1]
            .into_iter()
            .filter_map(|at| Some(&self.0.get(at)?.0))
    }

    /// What is kept is held: its address is no other path's.
    #[inline]
    fn get(&self, path: &str) -> Option<&Arc<Row>> {
        let kept = self.places(path).filter_map(OnceLock::get);
        let mut kept = kept.filter(|(kept, _)| std::ptr::eq(kept.as_str(), path));
        kept.next().map(|(_, row)| row)
    }

    fn keep(&self, path: &MatchedPath, row: &Arc<Row>) {
        // A service that is nested makes a path anew for each request: those are not to crowd out others.
        if row.takes_path() {
            let pair = (path.clone(), Arc::clone(row));
            let mut places = self.places(path.as_str());
            places.try_fold(pair, |pair, place| place.set(pair).err());
        }
    }
}
