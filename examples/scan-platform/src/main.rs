//! The command line.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use scan_platform::{
    auth::Role,
    doctor, keys, oneshot, operations,
    platform::Setup,
    push,
    scan::{Policy, ScanType},
    serve,
    store::DatabaseUrl,
};

const EXAMPLES: &str = "\
Examples:
  scan-platform
      Serves on 127.0.0.1:8200, scans below the current directory, keeps scans in scan-platform.db
  curl -d '{\"path\":\"mcp.json\"}' -H 'content-type: application/json' localhost:8200/api/v1/mcp/scans
      Scans an MCP client configuration
  curl localhost:8200/metrics
      What Prometheus scrapes
  scan-platform --grpc-listen 127.0.0.1:8201
      The same scans over gRPC, too
  grpcurl -plaintext -d '{\"type\":\"SCAN_TYPE_MCP\",\"path\":\"mcp.json\"}' \
      localhost:8201 sentrascan.v1.Scans/Scan
  scan-platform --admin-listen 127.0.0.1:8202
      Probes and metrics on a port of their own: curl 'localhost:8202/readyz?verbose'
  scan-platform scan model ./checkpoint.pt
      Scans a model file from the shell

The log is one JSON object a line on standard output, or in --log-file; RUST_LOG chooses what it says (default info).";

/// A small security-scan platform: finds what MCP configurations and model files would do to whoever
/// loads them, without loading them.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the HTTP interface, and gRPC if asked to (what happens without a subcommand)
    Serve(Box<ServeArgs>),
    /// Scan one file or directory; exits with 0 if it passed, 1 if the policy blocks, 2 if it failed
    Scan(ScanArgs),
    /// Check scan root, database, scanners and exporter; exits with 0 if all work, else 1
    Doctor(PlaceArgs),
    /// Make, list and revoke API keys, which --require-api-key asks for
    Keys(KeysArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Where to listen; nothing outside this machine reaches the default
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8200")]
    listen: SocketAddr,
    /// Where to listen for gRPC, too, for example 127.0.0.1:8201; reflection tells clients what there is
    #[arg(long, value_name = "ADDR")]
    grpc_listen: Option<SocketAddr>,
    /// What this instance is called among those that share the database, the same after a restart
    /// [default: the machine's name and the port]
    #[arg(long, value_name = "NAME", env = "INSTANCE")]
    instance: Option<String>,
    /// Ask every request for an API key, except for health and metrics; `scan-platform keys` makes them
    #[arg(long)]
    require_api_key: bool,
    /// How many scans may wait in the background at once
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_queued: u32,
    /// How long requests and scans may take to finish once the process is told to stop; scans in the
    /// background that take longer wait for the next start
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    drain: Duration,
    /// How long an instance may say nothing before others end its scans
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    instance_timeout: Duration,
    /// Append the log to this file instead, which is opened again on SIGHUP, as after logrotate
    #[arg(long, value_name = "FILE", env = "LOG_FILE")]
    log_file: Option<PathBuf>,
    #[command(flatten)]
    admin: AdminArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    push: PushArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Metrics")]
struct PushArgs {
    /// Where metrics go, several times if need be: prometheus (which scrapes /metrics, always there), or otlp,
    /// remote-write, statsd or pushgateway, each with =ADDRESS if it is not in the usual place; otlp heeds
    /// OTEL_EXPORTER_OTLP_*
    #[arg(long, value_name = "KIND[=ADDRESS]")]
    exporter: Vec<push::Backend>,
    /// How often they are sent [default: OTEL_METRIC_EXPORT_INTERVAL, or 15s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    export_interval: Option<Duration>,
}

impl From<PushArgs> for push::Options {
    fn from(args: PushArgs) -> Self {
        Self {
            backends: args.exporter,
            interval: args.export_interval,
        }
    }
}

/// For those who run it.
#[derive(Debug, Args)]
#[command(next_help_heading = "For those who run it")]
struct AdminArgs {
    /// Where to listen for /metrics, /livez, /readyz and /startupz, too, for example 127.0.0.1:8202
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
    /// Ask for a bearer token from this file, one a line, before metrics, and let who has one change what the log
    /// says: PUT /loglevel; it is read again when it changes
    #[arg(
        long,
        value_name = "FILE",
        env = "ADMIN_TOKEN_FILE",
        requires = "admin_listen"
    )]
    admin_token_file: Option<PathBuf>,
    /// A name that the admin listener goes by, beside localhost and addresses; may be given again
    #[arg(long, value_name = "NAME", requires = "admin_listen")]
    admin_host: Vec<String>,
    /// Have /metrics only where --admin-listen is
    #[arg(long, requires = "admin_listen")]
    no_public_metrics: bool,
}

#[derive(Debug, Args)]
struct PlaceArgs {
    /// The directory below which scans read; paths in requests are relative to it
    #[arg(long, value_name = "DIR", default_value = ".")]
    scan_root: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
struct DatabaseArgs {
    /// Where scans are kept: sqlite://FILE, sqlite::memory: to keep nothing, or
    /// postgres://USER@HOST/DATABASE, which several platforms may share
    #[arg(
        long,
        value_name = "URL",
        default_value = "sqlite://scan-platform.db",
        env = "DATABASE_URL",
        hide_env_values = true
    )]
    database_url: DatabaseUrl,
    /// Take the database's password from this file, instead of from the URL
    #[arg(long, value_name = "FILE", env = "DATABASE_PASSWORD_FILE")]
    database_password_file: Option<PathBuf>,
}

impl PlaceArgs {
    fn split(self) -> (PathBuf, DatabaseUrl) {
        (self.scan_root, self.database.url())
    }
}

impl DatabaseArgs {
    fn url(self) -> DatabaseUrl {
        self.database_url.password_file(self.database_password_file)
    }
}

#[derive(Debug, Args)]
struct KeysArgs {
    #[command(subcommand)]
    task: KeysTask,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Subcommand)]
enum KeysTask {
    /// Make a key and print it, this once
    Add {
        /// Whose it is: a person, a program
        name: String,
        /// What it is good for: viewer (to read scans) or scanner (to ask for them, too)
        #[arg(long, default_value = "scanner")]
        role: Role,
        /// How long it is good, for example 90d [default: for ever]
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
    },
    /// Show what is known of the keys
    List,
    /// Revoke a key, at once
    Revoke {
        /// Its id, from the list
        id: String,
    },
}

impl From<KeysTask> for keys::Task {
    fn from(task: KeysTask) -> Self {
        match task {
            KeysTask::Add {
                name,
                role,
                expires,
            } => Self::Add {
                name,
                role,
                expires_in: expires,
            },
            KeysTask::List => Self::List,
            KeysTask::Revoke { id } => Self::Revoke { id },
        }
    }
}

#[derive(Debug, Args)]
struct ScanArgs {
    /// The scanner: mcp (MCP client configurations) or model (pickles, checkpoints, safetensors)
    #[arg(value_name = "TYPE")]
    scan_type: ScanType,
    /// The file or directory; links that lead out of its directory are not followed
    path: PathBuf,
    /// Print the scan as JSON, as the HTTP interface would
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    push: PushArgs,
}

/// A scan with more findings than this is blocked.
#[derive(Debug, Args)]
#[command(next_help_heading = "Policy: a scan with more findings than these is blocked")]
struct PolicyArgs {
    /// Critical findings that still pass
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_critical: u64,
    /// High findings that still pass
    #[arg(long, value_name = "N", default_value_t = 10)]
    max_high: u64,
    /// Medium findings that still pass
    #[arg(long, value_name = "N", default_value_t = 50)]
    max_medium: u64,
    /// Low findings that still pass
    #[arg(long, value_name = "N", default_value_t = 100)]
    max_low: u64,
}

impl From<PolicyArgs> for Policy {
    fn from(args: PolicyArgs) -> Self {
        Self {
            critical: Some(args.max_critical),
            high: Some(args.max_high),
            medium: Some(args.max_medium),
            low: Some(args.max_low),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, serve } = Cli::parse();
    let result = match command.unwrap_or_else(|| Command::Serve(Box::new(serve))) {
        Command::Serve(args) => {
            let ServeArgs {
                listen,
                grpc_listen,
                instance,
                require_api_key,
                max_queued,
                drain,
                instance_timeout,
                log_file,
                admin,
                place,
                policy,
                push,
            } = *args;
            let (scan_root, database_url) = place.split();
            let options = serve::Options {
                listen,
                grpc_listen,
                admin: operations::Options {
                    listen: admin.admin_listen,
                    token_file: admin.admin_token_file,
                    hosts: admin.admin_host,
                },
                public_metrics: !admin.no_public_metrics,
                log_file,
                scan_root,
                database_url,
                instance,
                setup: Setup {
                    policy: policy.into(),
                    require_api_key,
                    max_queued,
                },
                drain,
                instance_timeout,
                push: push.into(),
            };
            serve::serve(options).await.map(|()| ExitCode::SUCCESS)
        }
        Command::Scan(ScanArgs {
            scan_type,
            path,
            json,
            policy,
            push,
        }) => {
            let options = oneshot::Options {
                scan_type,
                path,
                json,
                policy: policy.into(),
                push: push.into(),
            };
            oneshot::scan(options).await
        }
        Command::Keys(KeysArgs { task, database }) => {
            keys::keys(&database.url(), task.into()).await
        }
        Command::Doctor(place) => {
            let (scan_root, database_url) = place.split();
            doctor::doctor(doctor::Options {
                scan_root,
                database_url,
            })
            .await
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
