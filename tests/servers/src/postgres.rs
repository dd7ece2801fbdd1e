use std::{
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use platform_tests::Process;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::runtime::{self, Runtime};

use crate::{Suite, port::free_port};

const USER: &str = "platform";

/// To be found wherever it is not to be; what is special in a URL is in it.
const PASSWORD: &str = "s3cret@of:the/tests";
const ENCODED_PASSWORD: &str = "s3cret%40of%3Athe%2Ftests";

/// A running PostgreSQL with an empty database.
pub struct Postgres {
    process: Option<Process>,
    cluster: Cluster,
    port: u16,
}

impl Postgres {
    /// Makes a database in a folder of its own, and starts a server for it on a free port.
    ///
    /// PostgreSQL refuses to run as root: who is root runs it as the owner of nothing.
    pub fn start() -> Self {
        let cluster = Cluster::create();
        let port = free_port();
        let process = Some(cluster.serve(port));
        Self {
            process,
            cluster,
            port,
        }
    }

    /// The address of its database, with user and password.
    pub fn url(&self) -> String {
        let port = self.port;
        format!("postgres://{USER}:{ENCODED_PASSWORD}@127.0.0.1:{port}/postgres")
    }

    /// The same without the password.
    pub fn url_without_password(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    /// The password, as it is and as it stands in a URL.
    pub const fn passwords(&self) -> [&'static str; 2] {
        [PASSWORD, ENCODED_PASSWORD]
    }

    /// Locks a table of it, so that whoever reads or writes that waits.
    pub fn lock(&self, table: &str) -> Lock {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let connection = runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.url()).await?;
            for statement in [
                "BEGIN",
                &format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"),
            ] {
                sqlx::raw_sql(AssertSqlSafe(statement))
                    .execute(&mut connection)
                    .await?;
            }
            Ok::<_, sqlx::Error>(connection)
        });
        Lock {
            runtime,
            connection: connection.expect("the table can be locked"),
        }
    }

    /// Stops the server and every connection with it, as an accident would; what was written stays.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // SIGKILL would leave its shared memory behind.
            process.signal("QUIT");
            process.wait();
        }
    }

    /// Starts the server again, on the same port.
    pub fn start_again(&mut self) {
        self.stop();
        self.process = Some(self.cluster.serve(self.port));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A table that nobody else gets at.
pub struct Lock {
    runtime: Runtime,
    connection: PgConnection,
}

impl Lock {
    /// Lets everybody go on.
    pub fn release(self) {
        let closed = self.runtime.block_on(self.connection.close());
        closed.expect("the connection ends");
    }
}

/// What PostgreSQL calls the files of its databases.
struct Cluster {
    programs: PathBuf,
    data: PathBuf,
    owner: Option<Owner>,
    _folder: tempfile::TempDir,
    _copy: Option<tempfile::TempDir>,
}

/// Who owns the files and runs the server, if that is not who runs the tests.
#[derive(Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
}

/// `nobody`, everywhere.
const NOBODY: Owner = Owner {
    user: 65534,
    group: 65534,
};

impl Cluster {
    fn create() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let is_root = folder.path().metadata().expect("it is there").uid() == 0;
        let owner = is_root.then_some(NOBODY);
        let (programs, copy) = programs(owner);
        let data = folder.path().join("data");
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).expect("the password is written");
        if let Some(Owner { user, group }) = owner {
            for path in [folder.path(), &password] {
                std::os::unix::fs::chown(path, Some(user), Some(group)).expect("root may");
            }
        }
        let cluster = Self {
            programs,
            data,
            owner,
            _folder: folder,
            _copy: copy,
        };
        let made = cluster
            .command("initdb")
            .arg("--pgdata")
            .arg(&cluster.data)
            .arg(format!("--username={USER}"))
            .arg("--pwfile")
            .arg(&password)
            .args([
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ])
            .output()
            .expect("initdb starts");
        assert!(
            made.status.success(),
            "initdb: {}\n{}",
            made.status,
            String::from_utf8_lossy(&made.stderr)
        );
        cluster
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        // Its working folder must be one that it can enter.
        command.current_dir(self.data.parent().expect("it is in a folder"));
        if let Some(Owner { user, group }) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    fn serve(&self, port: u16) -> Process {
        let mut command = self.command("postgres");
        command.arg("-D").arg(&self.data);
        let port = format!("port={port}");
        for setting in [
            "listen_addresses=127.0.0.1",
            &port,
            "unix_socket_directories=",
            "fsync=off",
            "log_min_messages=fatal",
        ] {
            command.args(["-c", setting]);
        }
        let mut process = Process::start("postgres", command.stdout(Stdio::null()));
        let status = self.data.join("postmaster.pid");
        let id = process.child().id().to_string();
        process.wait_for("readiness", || {
            let status = fs::read_to_string(&status).ok()?;
            let mut lines = status.lines();
            let is_its_own = lines.next() == Some(&id);
            let ready = lines.next_back().is_some_and(|line| line.trim() == "ready");
            (is_its_own && ready).then_some(())
        });
        process
    }
}

/// Where PostgreSQL's programs are, in a copy of their own if `owner` could not reach them otherwise.
fn programs(owner: Option<Owner>) -> (PathBuf, Option<tempfile::TempDir>) {
    const PROGRAMS: &str = "usr/lib/postgresql/17/bin";
    let suite = Suite::Trixie.folder();
    let programs = suite.join(PROGRAMS);
    assert!(
        programs.join("postgres").is_file(),
        "there is no PostgreSQL in {programs:?}: run `cargo xtask tools`"
    );
    if owner.is_none_or(|owner| can_run(&programs.join("postgres"), owner)) {
        return (programs, None);
    }
    let copy = tempfile::tempdir().expect("a temporary folder");
    open_to_all(copy.path());
    let lib = suite.join("usr/lib");
    let lib = lib.to_str().expect("its path is UTF-8");
    let share = suite.join("usr/share/postgresql");
    for (from, to) in [
        (lib, "usr"),
        (share.to_str().expect("so is this"), "usr/share"),
    ] {
        let to = copy.path().join(to);
        fs::create_dir_all(&to).expect("a folder in the temporary one");
        let copied = Command::new("cp").args(["-R", from]).arg(&to).status();
        assert!(copied.expect("cp starts").success(), "cp {from}");
    }
    (copy.path().join(PROGRAMS), Some(copy))
}

fn can_run(program: &Path, Owner { user, group }: Owner) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .uid(user)
        .gid(group)
        .current_dir("/");
    let run = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder, open).expect("it is ours");
}

/// A running postgres_exporter, which tells Prometheus of one PostgreSQL.
pub struct PostgresExporter {
    _process: Process,
    url: String,
}

impl PostgresExporter {
    /// Starts one for this server, and waits until it answers.
    pub fn start(postgres: &Postgres) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(Suite::Trixie.program("prometheus-postgres-exporter"));
        command
            .arg(format!("--web.listen-address={listen}"))
            .env("DATA_SOURCE_NAME", postgres.url() + "?sslmode=disable")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut process = Process::start("postgres_exporter", &mut command);
        process.wait_for("an answer", || std::net::TcpStream::connect(&listen).ok());
        Self {
            _process: process,
            url: format!("http://{listen}"),
        }
    }

    /// `http://address`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }
}
