use std::{
    error::Error,
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use super::secret::{MAX_LENGTH, Secret};

/// How old what was read of a file may be.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a request waits for a file that changed.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who may ask an [`AdminService`](crate::AdminService): bearer tokens and passwords.
///
/// Any of them will do, so that old and new ones hold together while they are replaced. They are compared in
/// constant time. Files are read again when they have changed, which is looked for once a second at most, when
/// somebody asks, and at each [`reload`](Self::reload). What was changed while it was read, or so shortly before that
/// the times of files do not tell the next change from it, is read once more. A file that cannot be read, or has nothing in it, changes
/// nothing: the log says so, and what was good stays good.
///
/// Clones are the same.
#[derive(Clone, Debug)]
pub struct Credentials {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sources: Vec<Arc<Source>>,
    looked: Mutex<Option<Instant>>,
    is_looking: AtomicBool,
}

#[derive(Debug)]
struct Source {
    scheme: Scheme,
    /// `None` if they do not come from a file.
    path: Option<PathBuf>,
    state: Mutex<State>,
    /// Held while it is read, so that what is read later is known later.
    reading: Mutex<()>,
}

#[derive(Debug)]
struct State {
    secrets: Arc<[Secret]>,
    /// What the file was when it was read, if that is what it still is.
    stamp: Option<Stamp>,
    /// The last time that it was looked at.
    has_failed: bool,
}

impl State {
    const fn new(secrets: Arc<[Secret]>) -> Self {
        Self {
            secrets,
            stamp: None,
            has_failed: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Bearer,
    Basic,
}

/// What a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    Missing,
    Wrong,
}

impl Credentials {
    /// Who sends `Authorization: Bearer` and this token.
    ///
    /// # Errors
    ///
    /// If it is empty, longer than 1,023 bytes, or has other characters than a header takes without spaces.
    pub fn bearer(token: impl AsRef<str>) -> Result<Self, CredentialsError> {
        Self::inline(Scheme::Bearer, token.as_ref())
    }

    /// Who sends `Authorization: Basic` with this name and password.
    ///
    /// # Errors
    ///
    /// If the name is empty or has a colon, or both are longer than 766 bytes.
    pub fn basic(name: &str, password: &str) -> Result<Self, CredentialsError> {
        if name.contains(':') {
            return Err(Why::Name.at(None, 1));
        }
        Self::inline(Scheme::Basic, &format!("{name}:{password}"))
    }

    /// As [`bearer`](Self::bearer), for each line of this file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, has no token, or one that is not possible.
    pub fn bearer_file(path: impl Into<PathBuf>) -> Result<Self, CredentialsError> {
        Self::file(Scheme::Bearer, path.into())
    }

    /// As [`basic`](Self::basic), for each line `NAME:PASSWORD` of this file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, has no line, or one that is not possible.
    pub fn basic_file(path: impl Into<PathBuf>) -> Result<Self, CredentialsError> {
        Self::file(Scheme::Basic, path.into())
    }

    /// Both these and those.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let sources = self.shared.sources.iter().chain(&other.shared.sources);
        Self::of(sources.cloned().collect())
    }

    /// Reads all files again, whether or not they seem to have changed.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used: of that, what was good before still is. The others are read.
    pub fn reload(&self) -> Result<(), CredentialsError> {
        let mut outcome = Ok(());
        // All of them, whatever becomes of the first.
        for source in &self.shared.sources {
            let read = source.read(true);
            outcome = outcome.and(read);
        }
        outcome
    }

    fn inline(scheme: Scheme, text: &str) -> Result<Self, CredentialsError> {
        let secrets = parse(scheme, text).map_err(|(why, line)| why.at(None, line))?;
        Ok(Self::of(vec![Arc::new(Source {
            scheme,
            path: None,
            state: Mutex::new(State::new(secrets)),
            reading: Mutex::default(),
        })]))
    }

    fn file(scheme: Scheme, path: PathBuf) -> Result<Self, CredentialsError> {
        let source = Source {
            scheme,
            path: Some(path),
            state: Mutex::new(State::new(Arc::default())),
            reading: Mutex::default(),
        };
        source.read(true)?;
        Ok(Self::of(vec![Arc::new(source)]))
    }

    fn of(sources: Vec<Arc<Source>>) -> Self {
        Self {
            shared: Arc::new(Shared {
                sources,
                looked: Mutex::default(),
                is_looking: AtomicBool::new(false),
            }),
        }
    }

    /// The challenges for who has none.
    pub(super) fn challenges(&self) -> impl Iterator<Item = HeaderValue> + use<'_> {
        let has = |scheme| move |source: &Arc<Source>| source.scheme == scheme;
        let sources = &self.shared.sources;
        let bearer = sources.iter().any(has(Scheme::Bearer));
        let basic = sources.iter().any(has(Scheme::Basic));
        let bearer = bearer.then_some("Bearer realm=\"admin\"");
        let basic = basic.then_some("Basic realm=\"admin\", charset=\"UTF-8\"");
        let challenges = bearer.into_iter().chain(basic);
        challenges.map(HeaderValue::from_static)
    }

    pub(super) async fn check(&self, headers: &HeaderMap) -> Verdict {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Verdict::Missing;
        };
        // Of two, nobody knows which others have gone by.
        if values.next().is_some() {
            return Verdict::Wrong;
        }
        self.look().await;
        if self.admit(value.as_bytes()) {
            Verdict::Admitted
        } else {
            Verdict::Wrong
        }
    }

    fn admit(&self, value: &[u8]) -> bool {
        let mut parts = value.splitn(2, |byte| *byte == b' ');
        let scheme = parts.next().unwrap_or_default();
        let given = parts.next().unwrap_or_default().trim_ascii();
        let scheme = [Scheme::Bearer, Scheme::Basic]
            .into_iter()
            .find(|known| scheme.eq_ignore_ascii_case(known.as_str().as_bytes()));
        let (Some(scheme), Some(given)) = (scheme, Secret::new(given)) else {
            return false;
        };
        let sources = self.shared.sources.iter();
        sources
            .filter(|source| source.scheme == scheme)
            .map(|source| given.is_among(&source.secrets()))
            // All of them, as within each.
            .fold(false, |any, is| any | is)
    }

    /// Reads the files that have changed, off the workers: a file may be far away.
    async fn look(&self) {
        let Some(looking) = Looking::start(&self.shared) else {
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let looking = runtime.spawn_blocking(move || looking.look());
        drop(timeout(PATIENCE, looking).await);
    }
}

/// Somebody looks at the files. One does at a time, however long it takes.
struct Looking(Arc<Shared>);

impl Looking {
    fn start(shared: &Arc<Shared>) -> Option<Self> {
        if shared.sources.iter().all(|source| source.path.is_none()) {
            return None;
        }
        let now = Instant::now();
        let mut looked = lock(&shared.looked);
        let is_due =
            looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK_EVERY);
        if !is_due || shared.is_looking.swap(true, Ordering::AcqRel) {
            return None;
        }
        *looked = Some(now);
        drop(looked);
        Some(Self(Arc::clone(shared)))
    }

    fn look(&self) {
        for source in &self.0.sources {
            let read = source.read(false);
            let had_failed = {
                let mut state = lock(&source.state);
                std::mem::replace(&mut state.has_failed, read.is_err())
            };
            if let Err(error) = read {
                if !had_failed {
                    let error = &error as &dyn Error;
                    tracing::error!(error, "the credentials from before stay good");
                }
            }
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.is_looking.store(false, Ordering::Release);
    }
}

impl Source {
    fn secrets(&self) -> Arc<[Secret]> {
        Arc::clone(&lock(&self.state).secrets)
    }

    /// Reads the file, if there is one, and it has changed or has to be read.
    fn read(&self, anyway: bool) -> Result<(), CredentialsError> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let _reading = lock(&self.reading);
        let text = self.changed(path, anyway).map_err(|error| {
            // It may be another the next time, with nothing changed.
            lock(&self.state).stamp = None;
            Why::Io(error).at(Some(path), 0)
        })?;
        if let Some(text) = text {
            let secrets = parse(self.scheme, &text);
            let secrets = secrets.map_err(|(why, line)| why.at(Some(path), line))?;
            lock(&self.state).secrets = secrets;
        }
        Ok(())
    }

    /// The text of the file, if it has changed or has to be read.
    fn changed(&self, path: &Path, anyway: bool) -> io::Result<Option<String>> {
        let before = lock(&self.state).stamp;
        if !anyway && before.is_some() && before == Some(Stamp::of(&fs::metadata(path)?)) {
            return Ok(None);
        }
        let mut text = String::new();
        lock(&self.state).stamp = None;
        // What changes while it is read is half of one and half of the other: not what anybody wrote.
        for _ in 0..ATTEMPTS {
            let mut file = fs::File::open(path)?;
            let stamp = Stamp::of(&file.metadata()?);
            text.clear();
            file.read_to_string(&mut text)?;
            if stamp == Stamp::of(&file.metadata()?) {
                // Kept even if the text is no good: what is wrong is said once.
                lock(&self.state).stamp = stamp.is_settled().then_some(stamp);
                return Ok(Some(text));
            }
        }
        // At the first reading there is no other.
        Ok(anyway.then_some(text))
    }
}

fn parse(scheme: Scheme, text: &str) -> Result<Arc<[Secret]>, (Why, usize)> {
    let mut secrets = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let secret = match scheme {
            Scheme::Bearer if !line.bytes().all(|byte| byte.is_ascii_graphic()) => {
                return Err((Why::Token, number));
            }
            Scheme::Bearer => Secret::new(line.as_bytes()),
            Scheme::Basic if line.find(':').is_none_or(|at| at == 0) => {
                return Err((Why::Name, number));
            }
            Scheme::Basic => Secret::new(STANDARD.encode(line).as_bytes()),
        };
        secrets.push(secret.ok_or((Why::Long, number))?);
    }
    if secrets.is_empty() {
        return Err((Why::Empty, 0));
    }
    Ok(secrets.into())
}

impl Scheme {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Basic => "Basic",
        }
    }
}

/// What tells that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// The device, the node, and when that changed: of a file that was replaced by one of the same length
    /// and time, they tell.
    node: Option<(u64, u64, i64, i64)>,
}

/// How coarse the times of files may be.
const COARSE: Duration = Duration::from_secs(2);

/// How far ahead another machine's clock may be.
const AHEAD: Duration = Duration::from_secs(10 * 60);

/// How often a file is read that changes meanwhile.
const ATTEMPTS: usize = 3;

impl Stamp {
    /// Whether a change from now on would be seen in it: one at the same time, as far as times of files go, would
    /// not.
    fn is_settled(&self) -> bool {
        let age = self.modified.map(|modified| modified.elapsed());
        match age {
            Some(Ok(age)) => age >= COARSE,
            // Of a file server whose clock is ahead. What is further in the future is so for long.
            Some(Err(ahead)) => ahead.duration() >= AHEAD,
            // What has no time has no other one later.
            None => true,
        }
    }

    fn of(metadata: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let node = {
            use std::os::unix::fs::MetadataExt as _;
            Some((
                metadata.dev(),
                metadata.ino(),
                metadata.ctime(),
                metadata.ctime_nsec(),
            ))
        };
        #[cfg(not(unix))]
        let node = None;
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            node,
        }
    }
}

/// Credentials cannot be used. The text never has them.
#[derive(Debug)]
pub struct CredentialsError {
    why: Why,
    path: Option<PathBuf>,
    line: usize,
}

#[derive(Debug)]
enum Why {
    Io(io::Error),
    Empty,
    Token,
    Name,
    Long,
}

impl Why {
    fn at(self, path: Option<&Path>, line: usize) -> CredentialsError {
        CredentialsError {
            why: self,
            path: path.map(Path::to_owned),
            line,
        }
    }
}

impl CredentialsError {
    /// The file cannot be read.
    pub const fn is_io(&self) -> bool {
        matches!(self.why, Why::Io(_))
    }
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the credentials")?;
        if let Some(path) = &self.path {
            write!(f, " in {}", path.display())?;
            if self.line > 0 {
                write!(f, ", line {},", self.line)?;
            }
        }
        match &self.why {
            Why::Io(_) => f.write_str(" cannot be read"),
            Why::Empty => f.write_str(" are empty; give one a line"),
            Why::Token => f.write_str(
                " are no bearer token; give visible ASCII characters without spaces, as those of \
                 `openssl rand -base64 32`",
            ),
            Why::Name => {
                f.write_str(" have no name; give NAME:PASSWORD, with no colon in the name")
            }
            Why::Long => write!(
                f,
                " are too long; {MAX_LENGTH} bytes in a header are the most"
            ),
        }
    }
}

impl Error for CredentialsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.why {
            Why::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// Nothing that can panic is done under a lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times of files may tell no more than seconds: what is changed so soon that they stay the same is seen
    /// only by who reads it again.
    #[test]
    fn what_was_just_written_is_read_again_and_what_is_older_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "first").unwrap();
        let credentials = Credentials::bearer_file(&path).unwrap();
        let source = &credentials.shared.sources[0];
        let looked = || {
            let before = source.secrets();
            source.read(false).unwrap();
            !Arc::ptr_eq(&before, &source.secrets())
        };
        assert!(looked());
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        let file = fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(hour_ago).unwrap();
        assert!(looked());
        assert!(!looked());
        // A file server's clock is ahead.
        file.set_modified(SystemTime::now() + Duration::from_secs(60))
            .unwrap();
        assert!(looked());
        assert!(looked());
        file.set_modified(SystemTime::now() + Duration::from_secs(3600))
            .unwrap();
        assert!(looked());
        assert!(!looked());
    }
}
