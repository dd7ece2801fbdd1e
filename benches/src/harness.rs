//! Runs the sides of a comparison in turn, in one process, and tells what each costs.

use std::time::Instant;

use test_support::alloc;

/// How much to run.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How many times each side is measured; the sides take turns.
    pub rounds: usize,
    /// Operations in one measurement.
    pub operations: usize,
}

/// One side of a comparison.
pub struct Side {
    name: String,
    run: Box<dyn FnMut(usize)>,
}

impl Side {
    /// A side whose `run(n)` does `n` operations.
    pub fn new(name: impl Into<String>, run: impl FnMut(usize) + 'static) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
        }
    }
}

/// What one side costs an operation.
#[derive(Clone, Debug)]
pub struct Cost {
    name: String,
    /// Nanoseconds, a value a round, ascending.
    nanos: Vec<f64>,
    allocations: f64,
}

impl Cost {
    fn median(&self) -> f64 {
        self.nanos[self.nanos.len() / 2]
    }

    fn minimum(&self) -> f64 {
        self.nanos[0]
    }
}

/// Measures the sides, interleaved, so that what else the machine does falls on all of them.
pub fn measure(mut sides: Vec<Side>, effort: Effort) -> Vec<Cost> {
    let mut costs: Vec<_> = sides
        .iter()
        .map(|side| Cost {
            name: side.name.clone(),
            nanos: Vec::new(),
            allocations: 0.0,
        })
        .collect();
    for side in &mut sides {
        (side.run)(effort.operations / 10 + 1);
    }
    let operations = effort.operations as f64;
    for _ in 0..effort.rounds {
        for (side, cost) in sides.iter_mut().zip(&mut costs) {
            let start = Instant::now();
            let counted = alloc::count(|| (side.run)(effort.operations));
            cost.nanos
                .push(start.elapsed().as_nanos() as f64 / operations);
            cost.allocations = counted.allocations as f64 / operations;
        }
    }
    for cost in &mut costs {
        cost.nanos.sort_by(f64::total_cmp);
    }
    costs
}

/// Prints each side, what it adds to the first (the floor), and its ratio to the last (the peer).
pub fn print(group: &str, operation: &str, costs: &[Cost]) {
    let (Some(floor), Some(peer)) = (costs.first(), costs.last()) else {
        return;
    };
    println!("\n{group}: nanoseconds and allocations a {operation}, one thread");
    println!(
        "  {:<52} {:>9} {:>9} {:>9} {:>10} {:>8} {:>9}",
        "", "median", "minimum", "allocs", "+ns", "+allocs", "of peer"
    );
    for cost in costs {
        let added = cost.median() - floor.median();
        let of_peer = added / (peer.median() - floor.median());
        println!(
            "  {:<52} {:>9.0} {:>9.0} {:>9.1} {:>+10.0} {:>+8.1} {:>9.2}",
            cost.name,
            cost.median(),
            cost.minimum(),
            cost.allocations,
            added,
            cost.allocations - floor.allocations,
            of_peer,
        );
    }
}
