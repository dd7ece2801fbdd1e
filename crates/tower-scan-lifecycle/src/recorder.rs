use std::{fmt, sync::Arc};

use metrics::Recorder;

/// Where scans are recorded: with the facade's recorder of the moment, or with one that was given.
#[derive(Clone, Default)]
pub(crate) struct Target(Option<Arc<dyn Recorder + Send + Sync>>);

impl Target {
    pub(crate) fn given(recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
        Self(Some(recorder))
    }

    pub(crate) fn with<T>(&self, f: impl FnOnce(&dyn Recorder) -> T) -> T {
        match &self.0 {
            Some(recorder) => f(recorder),
            None => metrics::with_recorder(f),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "the facade's recorder",
            Some(_) => "a recorder of its own",
        })
    }
}
