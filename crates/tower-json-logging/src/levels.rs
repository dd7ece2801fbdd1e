use std::{
    error::Error,
    fmt,
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
};

use tracing_core::{Metadata, Subscriber, callsite, subscriber::Interest};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::{Context, Filter},
};

/// A filter by level and target that can be changed while the process runs.
///
/// Clones share it: one goes to a layer, another stays to change it.
///
/// ```
/// use tower_json_logging::{JsonLayer, Levels};
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let levels = Levels::new("info,hyper=warn")?;
/// // For all layers; `JsonLayer::stdout().with_filter(levels.clone())` is for this one.
/// let subscriber = tracing_subscriber::registry()
///     .with(levels.clone())
///     .with(JsonLayer::stdout());
/// # drop(subscriber);
///
/// levels.set("debug,hyper=warn")?; // on a signal, or for an operator
///
/// let error = levels.set("inof").unwrap_err();
/// assert!(error.to_string().contains("`inof` is no level"));
/// assert_eq!(levels.to_string(), "debug,hyper=warn"); // as before
/// # Ok::<_, tower_json_logging::LevelsError>(())
/// ```
///
/// The text is a list, with commas, of levels (`off`, `error`, `warn`, `info`, `debug`, `trace`) for all
/// targets, and of `target=level` for those that begin so, of which the longest counts. Without a level
/// for all, targets that are not named are off. Spans and fields are not filtered by: that is what
/// `EnvFilter` is for.
///
/// What a statement is to do is asked of the filter once, and again after a change, as long as no other
/// filter wants to be asked for each event: it then costs the event nothing. As the filter of one layer it
/// costs each span and event a look-up, which the registry makes to find out whose they are: where all
/// layers have the same levels, give them to all: by `with`, as above, and not as one of a `Vec` of layers,
/// where a layer that takes everything is not kept from it.
#[derive(Clone)]
pub struct Levels {
    current: Arc<RwLock<Current>>,
}

struct Current {
    text: String,
    targets: Targets,
    most: LevelFilter,
}

impl Levels {
    /// A filter that begins with these levels.
    ///
    /// # Errors
    ///
    /// [`LevelsError`], if the text is not such a list.
    pub fn new(text: &str) -> Result<Self, LevelsError> {
        Ok(Self {
            current: Arc::new(RwLock::new(text.parse()?)),
        })
    }

    /// Changes the levels, of all threads.
    ///
    /// # Errors
    ///
    /// [`LevelsError`], if the text is not such a list; nothing is changed then.
    pub fn set(&self, text: &str) -> Result<(), LevelsError> {
        let new = text.parse()?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        // Asks every filter about every statement, this one too: the lock is free by now.
        callsite::rebuild_interest_cache();
        Ok(())
    }

    fn interest(&self, metadata: &Metadata<'_>) -> Interest {
        if self.takes(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn most(&self) -> LevelFilter {
        self.read(|current| current.most)
    }

    fn read<T>(&self, read: impl FnOnce(&Current) -> T) -> T {
        read(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        self.read(|current| {
            *metadata.level() <= current.most
                && current
                    .targets
                    .would_enable(metadata.target(), metadata.level())
        })
    }
}

/// Of one layer.
impl<S> Filter<S> for Levels {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.takes(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.interest(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most())
    }
}

/// Of all layers.
impl<S: Subscriber> Layer<S> for Levels {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.interest(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.takes(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most())
    }
}

/// The text that was set.
impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read(|current| f.write_str(&current.text))
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read(|current| f.debug_tuple("Levels").field(&current.text).finish())
    }
}

impl FromStr for Current {
    type Err = LevelsError;

    fn from_str(text: &str) -> Result<Self, LevelsError> {
        let mut targets = Targets::new();
        let mut most = LevelFilter::OFF;
        for item in text.split(',').map(str::trim) {
            let wrong = |what| LevelsError {
                item: item.to_owned(),
                what,
            };
            let (target, name) = match item.split_once('=') {
                Some((target, name)) => (Some(target.trim()), name.trim()),
                None => (None, item),
            };
            if item.contains(['[', ']', '{', '}']) {
                return Err(wrong(Wrong::Fields));
            }
            let level = level(name).ok_or_else(|| wrong(Wrong::Level))?;
            most = most.max(level);
            targets = match target {
                Some("") => return Err(wrong(Wrong::Target)),
                Some(target) => targets.with_target(target, level),
                None => targets.with_default(level),
            };
        }
        Ok(Self {
            text: text.to_owned(),
            targets,
            most,
        })
    }
}

/// Names only: `LevelFilter` takes numbers, too, and an empty text.
fn level(name: &str) -> Option<LevelFilter> {
    let levels = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    let level = levels
        .into_iter()
        .find(|(level, _)| name.eq_ignore_ascii_case(level));
    level.map(|(_, level)| level)
}

/// Why a text does not say [`Levels`]: which part of it, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelsError {
    item: String,
    what: Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Level,
    Target,
    Fields,
}

impl fmt::Display for LevelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { item, what } = self;
        match what {
            Wrong::Level => write!(
                f,
                "`{item}` is no level (off, error, warn, info, debug or trace), nor a target with one, \
                 such as hyper=warn"
            ),
            Wrong::Target => write!(
                f,
                "`{item}` names no target; a level for all targets stands alone, such as info"
            ),
            Wrong::Fields => write!(
                f,
                "`{item}` is about spans or fields, by which these levels do not choose; write a target \
                 with a level, such as hyper=warn"
            ),
        }
    }
}

impl Error for LevelsError {}
