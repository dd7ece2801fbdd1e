//! The command line.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use scan_platform::scan::ScanType;
use scan_worker::{QueueUrl, ask, work};

const EXAMPLES: &str = "\
Examples:
  scan-worker work
      Takes scans from scan-queue.db, reads below the current directory, shows 127.0.0.1:8210/metrics
  scan-worker ask mcp mcp.json
      Asks for a scan, and prints its id
  scan-worker work --queue-url redis://localhost --metrics-listen 127.0.0.1:8211
  scan-worker work --queue-url postgres://me@localhost/scans --attempts 3

The log is one JSON object a line on standard output; RUST_LOG chooses what it says (default info).";

/// Runs scans from a queue that several workers share, and counts each once, whatever becomes of its
/// worker.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take scans from the queue, and run them
    Work(WorkArgs),
    /// Put scans into the queue
    Ask(AskArgs),
}

#[derive(Debug, Args)]
struct QueueArgs {
    /// The queue: sqlite://FILE, postgres://USER@HOST/DATABASE or redis://HOST
    #[arg(
        long,
        value_name = "URL",
        default_value = "sqlite://scan-queue.db",
        env = "QUEUE_URL",
        hide_env_values = true
    )]
    queue_url: QueueUrl,
}

#[derive(Debug, Args)]
struct WorkArgs {
    #[command(flatten)]
    queue: QueueArgs,
    /// Where /metrics and /health are; nothing outside this machine reaches the default
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8210")]
    metrics_listen: SocketAddr,
    /// The directory below which scans read; paths of scans are relative to it
    #[arg(long, value_name = "DIR", default_value = ".")]
    scan_root: PathBuf,
    /// The worker's name, unlike any other's [default: a new one each time]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How many scans run at once [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    at_once: Option<usize>,
    /// How often a scan may be begun: again if its worker died with it, or its file was not there
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// How often the worker says that it lives; one that has not for twice as long is dead
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = humantime::parse_duration)]
    heartbeat: Duration,
    /// How long scans may take to finish once the worker is told to stop; what takes longer goes into
    /// the queue again
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    drain: Duration,
}

#[derive(Debug, Args)]
struct AskArgs {
    #[command(flatten)]
    queue: QueueArgs,
    /// The scanner: mcp (MCP client configurations) or model (pickles, checkpoints, safetensors)
    #[arg(value_name = "TYPE")]
    scan_type: ScanType,
    /// Files or directories, relative to the workers' scan root
    #[arg(required = true)]
    paths: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Work(args) => {
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            let options = work::Options {
                queue_url: args.queue.queue_url,
                metrics_listen: args.metrics_listen,
                scan_root: args.scan_root,
                name: args.name.unwrap_or_else(work::new_name),
                at_once: args.at_once.unwrap_or(processors).max(1),
                attempts: args.attempts,
                heartbeat: args.heartbeat,
                drain: args.drain,
            };
            work::work(options).await
        }
        Command::Ask(args) => {
            let options = ask::Options {
                queue_url: args.queue.queue_url,
                scan_type: args.scan_type,
                paths: args.paths,
            };
            ask::ask(options).await
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
