use std::time::SystemTime;

use super::{Collector, Samples};

/// What the operating system tells of this process, under the names that Prometheus' own libraries use.
///
/// | series | kind | |
/// |---|---|---|
/// | `process_cpu_seconds_total` | counter | user and system time, to the microsecond |
/// | `process_open_fds`, `process_max_fds` | gauge | file descriptors, and how many there may be |
/// | `process_virtual_memory_bytes`, `process_virtual_memory_max_bytes` | gauge | address space; 2<sup>64</sup> if not limited |
/// | `process_resident_memory_bytes` | gauge | |
/// | `process_start_time_seconds` | gauge | since the Unix epoch |
/// | `process_threads` | gauge | |
/// | `process_major_page_faults_total`, `process_minor_page_faults_total` | counter | with and without reading from disk |
/// | `process_voluntary_context_switches_total`, `process_involuntary_context_switches_total` | counter | of all threads, ended ones among them |
/// | `process_io_read_bytes_total`, `process_io_write_bytes_total` | counter | from and to disks |
/// | `process_network_receive_bytes_total`, `process_network_transmit_bytes_total` | counter | IPv4, of the network namespace: of all of a container's, or all of a machine's processes |
///
/// On Linux. What cannot be read there is left out; elsewhere there is nothing, and the log says so once.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ProcessCollector;

impl ProcessCollector {
    /// Of this process.
    pub const fn new() -> Self {
        Self
    }
}

impl Collector for ProcessCollector {
    fn name(&self) -> &'static str {
        "process"
    }

    #[cfg(target_os = "linux")]
    fn collect(&self, samples: &mut Samples) {
        linux::collect(samples);
    }

    #[cfg(not(target_os = "linux"))]
    fn collect(&self, _: &mut Samples) {
        static SAID: std::sync::Once = std::sync::Once::new();
        SAID.call_once(|| tracing::warn!("the process's metrics can be read on Linux only"));
    }
}

/// When this process was started, if the operating system tells; on Linux only. The same as
/// `process_start_time_seconds`, and as Prometheus' libraries send in the header
/// `Process-Start-Time-Unix`.
pub fn process_start_time() -> Option<SystemTime> {
    #[cfg(target_os = "linux")]
    return linux::start_time();
    #[cfg(not(target_os = "linux"))]
    return None;
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs,
        sync::OnceLock,
        time::{Duration, SystemTime},
    };

    use nix::{
        sys::{
            resource::{Resource, Usage, UsageWho, getrlimit, getrusage},
            time::TimeVal,
        },
        unistd::{SysconfVar, sysconf},
    };

    use crate::{collect::Samples, format::Number};

    pub(super) fn collect(samples: &mut Samples) {
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            add_usage(samples, &usage);
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            add_status(samples, &status);
        }
        if let Ok(io) = fs::read_to_string("/proc/self/io") {
            add_io(samples, &io);
        }
        if let Ok(netstat) = fs::read_to_string("/proc/self/net/netstat") {
            add_network(samples, &netstat);
        }
        if let Some(open) = open_fds() {
            samples
                .gauge("process_open_fds", "Number of open file descriptors.")
                .value(open);
        }
        if let Ok((max, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let help = "Maximum number of open file descriptors.";
            samples.gauge("process_max_fds", help).value(float(max));
        }
        if let Ok((max, _)) = getrlimit(Resource::RLIMIT_AS) {
            let help = "Maximum amount of virtual memory available in bytes.";
            let mut family = samples.gauge("process_virtual_memory_max_bytes", help);
            family.unit("bytes").value(float(max));
        }
        if let Some(start) = since_epoch() {
            let help = "Start time of the process since unix epoch in seconds.";
            samples
                .gauge("process_start_time_seconds", help)
                .unit("seconds")
                .value(start);
        }
    }

    fn add_usage(samples: &mut Samples, usage: &Usage) {
        let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
        samples
            .counter(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
            )
            .unit("seconds")
            .value(cpu);
        for (name, help, count) in [
            (
                "process_major_page_faults_total",
                "Page faults for which something was read from disk.",
                usage.major_page_faults(),
            ),
            (
                "process_minor_page_faults_total",
                "Page faults for which nothing was read from disk.",
                usage.minor_page_faults(),
            ),
            (
                "process_voluntary_context_switches_total",
                "How often a thread waited for something.",
                usage.voluntary_context_switches(),
            ),
            (
                "process_involuntary_context_switches_total",
                "How often a thread was made to wait for others.",
                usage.involuntary_context_switches(),
            ),
        ] {
            samples.counter(name, help).value(float(count));
        }
    }

    fn add_status(samples: &mut Samples, status: &str) {
        const KIB: f64 = 1024.0;
        let field = |name| number(status, name);
        if let Some(size) = field("VmSize:") {
            let help = "Virtual memory size in bytes.";
            let mut family = samples.gauge("process_virtual_memory_bytes", help);
            family.unit("bytes").value(size * KIB);
        }
        if let Some(size) = field("VmRSS:") {
            let help = "Resident memory size in bytes.";
            let mut family = samples.gauge("process_resident_memory_bytes", help);
            family.unit("bytes").value(size * KIB);
        }
        if let Some(threads) = field("Threads:") {
            samples
                .gauge("process_threads", "Number of threads.")
                .value(threads);
        }
    }

    fn add_io(samples: &mut Samples, io: &str) {
        for (field, name, help) in [
            (
                "read_bytes:",
                "process_io_read_bytes_total",
                "Bytes read from disks.",
            ),
            (
                "write_bytes:",
                "process_io_write_bytes_total",
                "Bytes written to disks.",
            ),
        ] {
            if let Some(bytes) = number(io, field) {
                samples.counter(name, help).unit("bytes").value(bytes);
            }
        }
    }

    fn add_network(samples: &mut Samples, netstat: &str) {
        let mut lines = netstat
            .lines()
            .filter_map(|line| line.strip_prefix("IpExt: "));
        let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
            return;
        };
        for (field, name, help) in [
            (
                "InOctets",
                "process_network_receive_bytes_total",
                "Number of bytes received by the process over the network.",
            ),
            (
                "OutOctets",
                "process_network_transmit_bytes_total",
                "Number of bytes sent by the process over the network.",
            ),
        ] {
            let mut fields = names.split(' ').zip(values.split(' '));
            let value = fields.find(|(name, _)| *name == field);
            if let Some(Ok(bytes)) = value.map(|(_, value)| value.parse::<f64>()) {
                samples.counter(name, help).unit("bytes").value(bytes);
            }
        }
    }

    /// The number after the field's name in a file of a field a line.
    fn number(text: &str, field: &str) -> Option<f64> {
        let value = text.lines().find_map(|line| line.strip_prefix(field))?;
        value.split_whitespace().next()?.parse().ok()
    }

    fn open_fds() -> Option<f64> {
        const FDS: &str = "/proc/self/fd";
        // Since Linux 6.2 the directory's size is their number.
        let size = fs::metadata(FDS).ok()?.len();
        if size > 0 {
            return Some(float(size));
        }
        // But for the one by which the directory is read.
        let open = fs::read_dir(FDS).ok()?.count().saturating_sub(1);
        Some(float(open))
    }

    fn seconds(time: TimeVal) -> f64 {
        const MICROS: f64 = 1e6;
        float(time.tv_sec()) + float(time.tv_usec()) / MICROS
    }

    /// The kernel's numbers are of different types on different machines, and not negative.
    fn float(number: impl TryInto<u64>) -> f64 {
        Number::Whole(number.try_into().unwrap_or_default()).as_f64()
    }

    pub(super) fn start_time() -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(since_epoch()?)
    }

    /// Read once: it does not change, but the kernel's time of boot does a little, with the clock.
    fn since_epoch() -> Option<Duration> {
        static START: OnceLock<Option<Duration>> = OnceLock::new();
        *START.get_or_init(|| {
            let boot = number(&fs::read_to_string("/proc/stat").ok()?, "btime ")?;
            let stat = fs::read_to_string("/proc/self/stat").ok()?;
            // The program's name, in parentheses, may have spaces and parentheses in it.
            let (_, fields) = stat.rsplit_once(") ")?;
            let ticks: f64 = fields.split(' ').nth(START_TIME)?.parse().ok()?;
            let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
            let per_second = float(per_second);
            Duration::try_from_secs_f64(boot + ticks / per_second).ok()
        })
    }

    /// Of the fields after the program's name; the 22nd of all.
    const START_TIME: usize = 19;
}
