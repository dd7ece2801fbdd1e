//! Runs the sides of a comparison in turn, in one process, and tells what each costs.

use std::{
    collections::HashMap,
    env,
    hint::black_box,
    process::{Command, Stdio},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use benches::{
    callgrind,
    report::{Report, Row},
};
use serde::{Deserialize, Serialize};
use test_support::alloc;
use tower_observe::Clock;

use crate::backend::Backend;

/// How much to run.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often each side is measured at least; the sides take turns.
    pub rounds: usize,
    /// Operations of each side in all.
    pub operations: usize,
    /// Operations in one measurement. Short ones keep what is compared close in time.
    pub batch: usize,
    /// Only run sides of this name, for a profiler to look at.
    pub only: Option<&'static str>,
    /// Only those of the comparison with this title.
    pub title: Option<&'static str>,
    /// In how many processes what decides about a budget is measured.
    pub processes: usize,
    /// Also tell all that was measured, for another process to read.
    pub tells: bool,
}

impl Effort {
    /// Whether a comparison of this title is none to look at: it may take long to prepare.
    pub fn skips(&self, title: &str) -> bool {
        self.title.is_some_and(|wanted| wanted != title)
    }

    /// As much, in measurements of so many operations.
    pub fn in_batches_of(self, operations: usize) -> Self {
        Self {
            batch: operations,
            ..self
        }
    }

    /// Whether it is of one side or comparison, and nothing else is to run.
    pub const fn is_of_one(&self) -> bool {
        self.only.is_some() || self.title.is_some()
    }
}

/// One side of a comparison.
pub struct Side {
    name: String,
    backend: Rc<dyn Backend>,
    run: Box<dyn FnMut(usize)>,
    allocates_nothing: bool,
    floor: usize,
}

impl Side {
    /// A side whose `run(n)` does `n` operations.
    pub fn new(
        name: impl Into<String>,
        backend: Rc<dyn Backend>,
        run: impl FnMut(usize) + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            backend,
            run: Box::new(run),
            allocates_nothing: false,
            floor: 1,
        }
    }

    /// Its floor is the side at this place, and not the second one.
    pub const fn above(mut self, floor: usize) -> Self {
        self.floor = floor;
        self
    }

    /// Does this before each operation.
    pub fn after(mut self, mut before: impl FnMut() + 'static) -> Self {
        let mut run = self.run;
        self.run = Box::new(move |n| {
            for _ in 0..n {
                before();
                run(1);
            }
        });
        self
    }

    /// It is a broken contract if it allocates more than the floor, unless the backend does.
    pub fn allocates_nothing(mut self) -> Self {
        self.allocates_nothing = !self.backend.allocates();
        self
    }
}

/// What one side cost.
#[derive(Deserialize, Serialize)]
struct Cost {
    name: String,
    /// Nanoseconds an operation, a value a round.
    nanos: Vec<f64>,
    /// Allocations of all rounds.
    allocations: u64,
    allocates_nothing: bool,
    /// The place of the side that it is above of.
    floor: usize,
}

/// What a comparison showed.
#[derive(Deserialize, Serialize)]
pub struct Costs {
    title: String,
    sides: Vec<Cost>,
    /// Operations of each side, in all rounds.
    operations: usize,
}

/// Measures the sides, interleaved, so that what else the machine does falls on all of them: first the
/// bare service, then the floor, then the peer, then the others.
pub fn measure(title: impl Into<String>, mut sides: Vec<Side>, effort: Effort) -> Costs {
    let title = title.into();
    if effort.skips(&title) {
        return Costs::none(title);
    }
    if let Some(only) = effort.only {
        sides.retain(|side| side.name == only);
        sides.iter_mut().for_each(|side| profile(side, effort));
        sides.clear();
    }
    let mut costs: Vec<_> = sides
        .iter()
        .map(|side| Cost {
            name: side.name.clone(),
            nanos: Vec::new(),
            allocations: 0,
            allocates_nothing: side.allocates_nothing,
            floor: side.floor,
        })
        .collect();
    let rounds = effort.rounds.max(effort.operations / effort.batch);
    for round in 0..=rounds {
        let turn = sides.iter_mut().zip(&mut costs).map(|(side, cost)| {
            let (mut nanos, mut allocations) = (0.0, 0);
            down(round % STEPS, &mut || {
                let start = Instant::now();
                let within = || side.backend.within(&mut || (side.run)(effort.batch));
                allocations = alloc::count(within).allocations;
                nanos = start.elapsed().as_nanos() as f64 / effort.batch as f64;
            });
            side.backend.upkeep();
            // The first round is there to warm up.
            if round > 0 {
                cost.nanos.push(nanos);
                cost.allocations += allocations;
            }
        });
        // There and back, so that no side always has the same neighbour.
        if round % 2 == 0 {
            turn.for_each(drop);
        } else {
            turn.rev().for_each(drop);
        }
    }
    for side in &sides {
        if let Some(recorded) = side.backend.recorded() {
            let run = (rounds + 1) * effort.batch;
            assert_eq!(recorded, run as u64, "{} did not record all", side.name);
        }
    }
    let costs = Costs {
        title,
        sides: costs,
        operations: rounds * effort.batch,
    };
    if effort.tells {
        let told = serde_json::to_string(&costs).expect("names and numbers are JSON");
        println!("{COSTS}{told}");
    }
    costs
}

/// How the line starts that tells all that was measured.
const COSTS: &str = "costs: ";

/// Measures the comparison with this title of a group in several processes, one after the other, and takes their rounds
/// together: where a process has its memory is luck, which it keeps for as long as it lives.
pub fn measure_apart(group: &str, title: &str, processes: usize) -> Result<Costs> {
    let mut all = Costs::none(title.to_owned());
    for _ in 0..processes {
        let mut command = Command::new(env::current_exe()?);
        command.args(["--group", group, "--title", title, "--tells"]);
        let output = command.stderr(Stdio::inherit()).output()?;
        ensure!(
            output.status.success(),
            "{command:?} ended with {}",
            output.status
        );
        let said = String::from_utf8(output.stdout)?;
        let told = said.lines().find_map(|line| line.strip_prefix(COSTS));
        all.append(serde_json::from_str(
            told.with_context(|| format!("{command:?} told nothing"))?,
        )?);
    }
    Ok(all)
}

/// So many steps are a page and more.
const STEPS: usize = 16;

/// Runs this so many steps down the stack. Where that lies above the heap differs from process to process, by less than a
/// page as far as the processor looks when it compares what is read with what is still being written: rounds at
/// different depths see all of it.
#[inline(never)]
fn down(steps: usize, run: &mut dyn FnMut()) {
    let room = black_box([0_u8; 256]);
    match steps.checked_sub(1) {
        Some(left) => down(left, run),
        None => run(),
    }
    black_box(room);
}

/// Runs a side once, and again in a call of its own.
fn profile(side: &mut Side, effort: Effort) {
    let Side { backend, run, .. } = side;
    backend.within(&mut || run(effort.batch));
    settle_clock();
    let counted = alloc::count(|| backend.within(&mut || profiled(run, effort.batch)));
    println!("{}: {counted:?}", side.name);
}

/// Lets the clock of the layers find out how fast the processor's counter is, which it does in its first second.
fn settle_clock() {
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(150));
        Clock::system().now();
    }
}

/// How the line starts that tells how many operations were run for a profiler.
const OPERATIONS: &str = "operations for a profiler: ";

/// What `profiled` is called in a profile.
const PROFILED: &str = "harness::profiled";

/// Runs what a profiler is to look at, as in `valgrind --tool=callgrind --toggle-collect='*harness::profiled*'`.
#[inline(never)]
pub fn profiled(run: &mut dyn FnMut(usize), operations: usize) {
    run(operations);
    println!("{OPERATIONS}{operations}");
}

impl Costs {
    /// Prints each side: what it adds to the bare service, and to the floor, and how much of what the
    /// peer adds that is.
    pub fn print(&self) {
        let [bare, _, peer, ..] = &self.sides[..] else {
            return;
        };
        let floor_of_peer = self.floor(peer);
        println!("\n{}", self.title);
        println!(
            "  {:<52} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "", "ns", "+bare", "+allocs", "of peer", "+floor", "±", "+allocs", "of peer"
        );
        for side in &self.sides {
            let floor = self.floor(side);
            let [low, added, high] = side.above(floor);
            println!(
                "  {:<52} {:>8.0} {:>+8.0} {:>+8.1} {:>8.3} {:>+8.0} {:>8.0} {:>+8.1} {:>8.3}",
                side.name,
                quartiles(side.nanos.clone())[1],
                side.above(bare)[1],
                self.allocations_above(side, bare),
                side.above(bare)[1] / peer.above(bare)[1],
                added,
                (high - low) / 2.0,
                self.allocations_above(side, floor),
                added / peer.above(floor_of_peer)[1],
            );
        }
    }

    /// The nanoseconds that the side of this name adds to the floor.
    pub fn added(&self, name: &str) -> f64 {
        let side = self.side(name);
        side.map_or(f64::NAN, |side| side.above(self.floor(side))[1])
    }

    /// The nanoseconds of the first side, which is the bare one, and those with what the side of this name adds to it.
    pub fn beside_bare(&self, name: &str) -> [f64; 2] {
        let [Some(bare), Some(side)] = [self.sides.first(), self.side(name)] else {
            return [f64::NAN; 2];
        };
        let nanos = quartiles(bare.nanos.clone())[1];
        [nanos, nanos + side.above(bare)[1]]
    }

    /// Nothing was measured.
    pub const fn none(title: String) -> Self {
        Self {
            title,
            sides: Vec::new(),
            operations: 0,
        }
    }

    /// Takes the rounds of the same comparison as well.
    fn append(&mut self, more: Self) {
        if self.sides.is_empty() {
            *self = more;
            return;
        }
        self.operations += more.operations;
        for (side, more) in self.sides.iter_mut().zip(more.sides) {
            side.nanos.extend(more.nanos);
            side.allocations += more.allocations;
        }
    }

    /// What ours adds to the floor beside what a peer adds, in this comparison or in another, and where
    /// both can be counted.
    pub fn row(
        &self,
        group: &str,
        case: &str,
        ours: &str,
        of: &Self,
        peer: &str,
    ) -> (Row, Counted) {
        let [mine, theirs] = [self.side(ours), of.side(peer)];
        let row = match (mine, theirs) {
            (Some(mine), Some(theirs)) => Row::new(group, case, self.added(ours))
                .beside(peer, of.added(peer))
                .allocations(
                    self.allocations_above(mine, self.floor(mine)),
                    of.allocations_above(theirs, of.floor(theirs)),
                ),
            _ => Row::new(group, case, f64::NAN),
        };
        let counted = Counted {
            sides: [(self, ours), (of, peer)].map(|(costs, side)| Counting {
                title: costs.title.clone(),
                side: side.to_owned(),
                floor: costs.side(side).map(|side| costs.floor(side).name.clone()),
            }),
        };
        (row, counted)
    }

    /// The nanoseconds of the side of this name, all of them.
    pub fn nanos(&self, name: &str) -> f64 {
        let side = self.side(name);
        side.map_or(f64::NAN, |side| quartiles(side.nanos.clone())[1])
    }

    fn floor(&self, side: &Cost) -> &Cost {
        &self.sides[side.floor]
    }

    fn side(&self, name: &str) -> Option<&Cost> {
        self.sides.iter().find(|side| side.name == name)
    }

    /// The sides that allocate, though they must not.
    pub fn allocating(&self) -> impl Iterator<Item = String> {
        let sides = self.sides.iter().filter(|side| {
            side.allocates_nothing && side.allocations > self.floor(side).allocations
        });
        sides.map(|side| format!("{}: {}", self.title, side.name))
    }

    fn allocations_above(&self, side: &Cost, other: &Cost) -> f64 {
        (side.allocations as f64 - other.allocations as f64) / self.operations as f64
    }
}

impl Cost {
    /// What an operation costs above `other`: the quartiles of the differences within each round.
    fn above(&self, other: &Self) -> [f64; 3] {
        let pairs = self.nanos.iter().zip(&other.nanos);
        quartiles(pairs.map(|(own, other)| own - other).collect())
    }
}

pub fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}

/// What is measured in a run.
#[derive(Default)]
pub struct Rows {
    pub report: Report,
    counted: Vec<(usize, Counted)>,
}

impl Rows {
    pub fn add(&mut self, row: Row) {
        // None of a comparison that was not run.
        if !row.ours.is_nan() {
            println!("{}", row.line());
        }
        self.report.rows.push(row);
    }

    /// With instructions, which are counted when nothing is measured any more.
    pub fn add_counted(&mut self, (row, counted): (Row, Counted)) {
        self.counted.push((self.report.rows.len(), counted));
        self.add(row);
    }

    /// Counts the instructions of the rows that were added so.
    pub fn count(&mut self) -> Result<()> {
        let mut known = HashMap::new();
        for (at, counted) in &self.counted {
            let row = &mut self.report.rows[*at];
            eprintln!("counting the instructions of {}: {}", row.group, row.case);
            row.instructions = Some(counted.instructions(&row.group, &mut known)?);
        }
        Ok(())
    }
}

/// The instructions of an operation, by the comparison's title and the side's name.
type Known = HashMap<[String; 2], f64>;

/// Two sides whose instructions can be counted, ours and the peer's.
pub struct Counted {
    pub sides: [Counting; 2],
}

/// A side, in the comparison with this title.
#[derive(Clone)]
pub struct Counting {
    pub title: String,
    pub side: String,
    /// The side whose instructions are none of this one's, if there is one.
    pub floor: Option<String>,
}

impl Counted {
    /// The instructions of an operation above the floor, ours and the peer's.
    fn instructions(&self, group: &str, known: &mut Known) -> Result<[f64; 2]> {
        let mut of = |title: &str, side: &str| {
            let name = [title, side].map(str::to_owned);
            if let Some(count) = known.get(&name) {
                return Ok(*count);
            }
            let count = instructions(group, title, side)?;
            known.insert(name, count);
            Ok::<_, anyhow::Error>(count)
        };
        let mut above = |counting: &Counting| {
            let own = of(&counting.title, &counting.side)?;
            let floor = counting.floor.as_ref();
            let floor = floor.map_or(Ok(0.0), |floor| of(&counting.title, floor))?;
            Ok::<_, anyhow::Error>(own - floor)
        };
        let [ours, theirs] = &self.sides;
        Ok([above(ours)?, above(theirs)?])
    }
}

/// The instructions of an operation of a side, which is run in a process of its own.
fn instructions(group: &str, title: &str, side: &str) -> Result<f64> {
    let arguments = [
        "--quick", "--group", group, "--title", title, "--only", side,
    ];
    let (counted, said) = callgrind::count(arguments, Some(&format!("*{PROFILED}*")))?;
    let operations = said.lines().find_map(|line| line.strip_prefix(OPERATIONS));
    let operations: f64 = operations
        .with_context(|| format!("{side:?} of {title:?} did not run"))?
        .parse()?;
    Ok(counted as f64 / operations)
}

/// Enough to see that it runs.
pub const QUICK: Effort = Effort {
    rounds: 3,
    operations: 10_000,
    batch: 500,
    only: None,
    title: None,
    processes: 1,
    tells: false,
};

/// Enough to quote.
pub const FULL: Effort = Effort {
    rounds: 41,
    operations: 400_000,
    batch: 2_000,
    only: None,
    title: None,
    processes: 5,
    tells: false,
};
