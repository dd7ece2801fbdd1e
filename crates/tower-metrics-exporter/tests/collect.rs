//! What the collectors read, of the process of this test and of real runtimes.

#![cfg(any(feature = "process", feature = "tokio"))]

use tower_metrics_exporter::{Collector, Samples};

fn collect(collector: &impl Collector) -> Samples {
    let mut samples = Samples::default();
    collector.collect(&mut samples);
    samples
}

#[cfg(all(feature = "process", target_os = "linux"))]
mod process {
    use std::{
        fs::{self, File},
        hint::black_box,
        io::{Read as _, Write as _},
        net::{Ipv4Addr, TcpListener, TcpStream},
        sync::mpsc,
        thread,
        time::{Duration, SystemTime},
    };

    use tower_metrics_exporter::{ProcessCollector, process_start_time};

    use super::collect;

    #[track_caller]
    fn get(name: &str) -> f64 {
        let samples = collect(&ProcessCollector::new());
        let value = samples.get(name, &[]);
        assert!(value.is_some(), "no {name} in {samples:#?}");
        value.unwrap_or(f64::NAN)
    }

    #[test]
    fn cpu_seconds_are_a_float_that_rises() {
        let start = get("process_cpu_seconds_total");
        let mut fractions = 0;
        let mut last = start;
        // Bounded by CPU time itself.
        while last < start + 0.1 {
            black_box((0..10_000u64).map(black_box).sum::<u64>());
            let now = get("process_cpu_seconds_total");
            assert!(now >= last, "{now} after {last}");
            fractions += u32::from(now.fract() > 0.0);
            last = now;
        }
        assert!(fractions > 0);
        // Whatever else the process does, it has not more than a few processors' time since it started.
        let age = SystemTime::now()
            .duration_since(process_start_time().unwrap())
            .unwrap();
        assert!(
            last < (age.as_secs_f64() + 1.0) * 1024.0,
            "{last} in {age:?}"
        );
    }

    #[test]
    fn open_descriptors_are_counted() {
        let files: Vec<File> = (0..200).map(|_| File::open("/dev/null").unwrap()).collect();
        let (open, max) = (get("process_open_fds"), get("process_max_fds"));
        assert!(open >= 200.0 && open <= max, "{open} of {max}");
        let others = fs::read_dir("/proc/self/fd").unwrap().count();
        assert!(
            open < f64::from(u32::try_from(others).unwrap()) + 100.0,
            "{open}, {others}"
        );
        drop(files);
    }

    #[test]
    fn memory_and_page_faults_follow_what_is_touched() {
        const SIZE: u32 = 64 << 20;
        let faults = get("process_minor_page_faults_total");
        let touched = black_box(vec![1u8; SIZE as usize]);
        let resident = get("process_resident_memory_bytes");
        let size = get("process_virtual_memory_bytes");
        // The kernel's own count is off by a few pages for each processor.
        assert!(resident >= f64::from(SIZE / 2), "{resident}");
        assert!(
            size >= resident && size <= get("process_virtual_memory_max_bytes"),
            "{size}"
        );
        assert!(get("process_minor_page_faults_total") > faults);
        assert!(get("process_major_page_faults_total") >= 0.0);
        assert!(touched.iter().all(|byte| *byte == 1));
    }

    #[test]
    fn threads_and_their_switches_are_counted_also_when_they_have_ended() {
        const THREADS: u32 = 8;
        const SLEEPS: u32 = 20;
        let voluntary = || get("process_voluntary_context_switches_total");
        let before = voluntary();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..SLEEPS).for_each(|_| thread::sleep(Duration::from_micros(1))));
            }
        });
        let switches = voluntary() - before;
        assert!(switches >= f64::from(THREADS * SLEEPS), "{switches}");
        assert!(get("process_involuntary_context_switches_total") >= 0.0);

        let (hold, released) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || released.recv().is_err());
            assert!(get("process_threads") >= 3.0);
            drop(hold);
        });
    }

    #[test]
    fn the_start_time_is_the_kernels_and_does_not_change() {
        let start = process_start_time().unwrap();
        let age = SystemTime::now().duration_since(start).unwrap();
        assert!(age.as_secs() < 3600, "{age:?}");
        let since_epoch = start.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let samples = collect(&ProcessCollector::new());
        let start_time = samples.get("process_start_time_seconds", &[]);
        assert_eq!(start_time, Some(since_epoch.as_secs_f64()));
        assert_eq!(process_start_time(), Some(start));
    }

    #[test]
    fn traffic_is_counted_in_bytes() {
        const SENT: u32 = 1 << 20;
        let names = ["receive", "transmit"].map(|way| format!("process_network_{way}_bytes_total"));
        let read = || names.clone().map(|name| get(&name));
        let before = read();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = thread::spawn(move || {
            let mut received = Vec::new();
            listener
                .accept()
                .unwrap()
                .0
                .read_to_end(&mut received)
                .unwrap();
            received.len()
        });
        client.write_all(&vec![0; SENT as usize]).unwrap();
        drop(client);
        assert_eq!(server.join().unwrap(), SENT as usize);
        for (after, before) in read().into_iter().zip(before) {
            assert!(after >= before + f64::from(SENT), "{after} after {before}");
        }
    }

    #[test]
    fn what_is_written_to_a_disk_is_counted() {
        // Memory file systems write to no disk, so that more than that it is there cannot be said.
        assert!(get("process_io_read_bytes_total") >= 0.0);
        assert!(get("process_io_write_bytes_total") >= 0.0);
    }
}

#[cfg(feature = "tokio")]
mod runtime {
    use std::{
        io,
        sync::{Arc, Barrier},
        time::Duration,
    };

    use tokio::runtime::{Builder, Runtime};
    use tower_metrics_exporter::TokioCollector;

    use super::{Samples, collect};

    fn runtime(workers: usize) -> io::Result<Runtime> {
        Builder::new_multi_thread().worker_threads(workers).build()
    }

    fn read(runtime: &Runtime) -> Samples {
        collect(&TokioCollector::new(runtime.handle()))
    }

    #[track_caller]
    fn until(mut is_so: impl FnMut() -> bool) {
        let tries = std::iter::repeat_with(|| {
            std::thread::yield_now();
            is_so()
        });
        let mut tries = tries.take(1_000_000);
        assert!(tries.any(|is_so| is_so), "it is never so");
    }

    #[test]
    fn workers_and_tasks_are_counted() {
        let runtime = runtime(3).unwrap();
        let barrier = Arc::new(tokio::sync::Barrier::new(6));
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                runtime.spawn(async move { barrier.wait().await.is_leader() })
            })
            .collect();
        let samples = read(&runtime);
        assert_eq!(samples.get("tokio_workers", &[]), Some(3.0));
        assert_eq!(samples.get("tokio_alive_tasks", &[]), Some(5.0));
        assert!(samples.get("tokio_global_queue_depth", &[]).is_some());
        for worker in ["0", "1", "2"] {
            for name in [
                "tokio_worker_busy_seconds_total",
                "tokio_worker_parks_total",
                "tokio_worker_parked",
            ] {
                assert!(
                    samples.get(name, &[("worker", worker)]).is_some(),
                    "{name} of {worker}"
                );
            }
        }
        assert_eq!(
            samples.get("tokio_worker_parks_total", &[("worker", "3")]),
            None
        );
        runtime.block_on(async {
            barrier.wait().await;
            for task in tasks {
                task.await.unwrap();
            }
        });
        // A task is gone a moment after who waits for it knows.
        until(|| read(&runtime).get("tokio_alive_tasks", &[]) == Some(0.0));
    }

    #[test]
    fn a_busy_worker_is_not_parked_and_its_time_is_counted_once_it_parks() {
        const WORK: Duration = Duration::from_millis(20);
        let runtime = runtime(1).unwrap();
        let worker = [("worker", "0")];
        let value = |name| read(&runtime).get(name, &worker);
        let (start, end) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let task = {
            let (start, end) = (Arc::clone(&start), Arc::clone(&end));
            runtime.spawn(async move {
                start.wait();
                // Blocks the worker: what it does counts as work.
                std::thread::sleep(WORK);
                end.wait();
            })
        };
        start.wait();
        assert_eq!(value("tokio_worker_parked"), Some(0.0));
        let parks = value("tokio_worker_parks_total");
        end.wait();
        runtime.block_on(task).unwrap();
        until(|| {
            value("tokio_worker_parks_total") > parks && value("tokio_worker_parked") == Some(1.0)
        });
        assert!(value("tokio_worker_busy_seconds_total") >= Some(WORK.as_secs_f64()));
    }

    #[test]
    fn what_waits_for_the_only_worker_is_in_the_queue() {
        let runtime = runtime(1).unwrap();
        let (start, end) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let blocks = {
            let (start, end) = (Arc::clone(&start), Arc::clone(&end));
            runtime.spawn(async move {
                start.wait();
                end.wait();
            })
        };
        start.wait();
        let waiting: Vec<_> = (0..4).map(|_| runtime.spawn(async {})).collect();
        assert_eq!(
            read(&runtime).get("tokio_global_queue_depth", &[]),
            Some(4.0)
        );
        end.wait();
        runtime.block_on(async {
            blocks.await.unwrap();
            for task in waiting {
                task.await.unwrap();
            }
        });
        assert_eq!(
            read(&runtime).get("tokio_global_queue_depth", &[]),
            Some(0.0)
        );
    }

    #[test]
    fn runtimes_are_told_apart_by_a_label() {
        let runtime = runtime(2).unwrap();
        let samples = collect(&TokioCollector::new(runtime.handle()).runtime("ingest"));
        assert_eq!(
            samples.get("tokio_workers", &[("runtime", "ingest")]),
            Some(2.0)
        );
        let labels = [("worker", "1"), ("runtime", "ingest")];
        assert!(samples.get("tokio_worker_parks_total", &labels).is_some());
    }
}
