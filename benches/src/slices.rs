//! What a server costs in each hundredth of a second, as it notes itself.
//!
//! What shares the machine's core slows a process down by a third, for some hundredths of a second at a time. A load of
//! some tenths of a second has something of it; of slices there are some that have nothing.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::Path,
    process,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

/// The thread that writes the log.
pub const SINK: &str = "json-log-sink";

/// The thread that notes, which is on the server's processor: while it looks, nothing else is done there.
pub const NOTING: &str = "slices";

const SLICE: Duration = Duration::from_millis(10);

static SERVED: AtomicU64 = AtomicU64::new(0);

/// Counts a request. Of one thread: without an operation that is atomic as a whole.
pub fn served() {
    SERVED.store(SERVED.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// Notes the slices of this process to a file, as long as it lives.
pub fn note(path: &Path) -> Result<()> {
    let to = File::create(path)?;
    let thread = thread::Builder::new().name(NOTING.to_owned());
    thread.spawn(move || {
        if let Err(error) = note_to(to) {
            eprintln!("slices cannot be noted: {error:#}");
            process::exit(1);
        }
    })?;
    Ok(())
}

fn note_to(mut to: File) -> Result<()> {
    while SERVED.load(Ordering::Relaxed) == 0 {
        thread::sleep(SLICE);
    }
    // These servers start none later, and end none.
    let threads = threads()?;
    loop {
        let mut sum = 0;
        for schedstat in &threads {
            let mut text = [0; 64];
            let len = schedstat.read_at(&mut text, 0)?;
            sum += nanos(str::from_utf8(&text[..len])?)?;
        }
        let served = SERVED.load(Ordering::Relaxed);
        to.write_all(format!("{sum} {served}\n").as_bytes())?;
        thread::sleep(SLICE);
    }
}

/// All but this one and that which writes the log, which does so in some slices more than in others.
fn threads() -> Result<Vec<File>> {
    let mut threads = Vec::new();
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        let name = fs::read_to_string(task.join("comm"))?;
        if ![NOTING, SINK].contains(&name.trim()) {
            threads.push(File::open(task.join("schedstat"))?);
        }
    }
    Ok(threads)
}

/// The processor time of a thread, by its `schedstat`.
pub fn nanos(schedstat: &str) -> Result<u64> {
    let first = schedstat.split(' ').next().unwrap_or_default();
    first
        .parse()
        .with_context(|| format!("{schedstat:?} is no schedstat"))
}

/// What a request cost the server, its sink apart, in each slice of one load that was noted.
///
/// Not in the first ones, in which clients connect, nor in the last, in which they leave, nor where few were served.
pub fn costs(noted: &str) -> Result<Vec<f64>> {
    let number = |text: &str| -> Result<f64> { Ok(text.parse::<u64>()? as f64) };
    let mut notes = Vec::new();
    for line in noted.lines() {
        let note = line.split_once(' ');
        let (nanos, served) = note.with_context(|| format!("{line:?} is no note of a slice"))?;
        notes.push((number(nanos)?, number(served)?));
    }
    let slices = notes
        .array_windows()
        .map(|[from, to]| (to.0 - from.0, to.1 - from.1));
    let mut loaded: Vec<_> = slices.filter(|(_, served)| *served > 0.0).collect();
    loaded.pop();
    let most = loaded.iter().map(|(_, served)| *served).fold(0.0, f64::max);
    Ok(loaded
        .iter()
        .skip(2)
        .filter(|(_, served)| *served > most / 4.0)
        .map(|(nanos, served)| nanos / served)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_cut_into_what_each_request_cost() {
        let noted = "100 0\n100 0\n900 1\n1500 3\n2100 9\n2500 13\n2501 14\n2701 15\n2701 15\n";
        // The first two slices and the last are left out, and where nothing or little was served.
        assert_eq!(costs(noted).unwrap(), [100.0, 100.0]);
        assert_eq!(costs("").unwrap(), [0.0; 0]);
        assert!(costs("1\n").is_err());
        assert!(costs("1 2 3\n").is_err());
    }

    #[test]
    fn the_first_number_of_a_schedstat_is_the_processor_time() {
        assert_eq!(nanos("123456 78 9\n").unwrap(), 123_456);
        assert!(nanos("").is_err());
    }
}
