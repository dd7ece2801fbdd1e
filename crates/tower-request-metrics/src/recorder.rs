use std::{fmt, sync::Arc};

use metrics::Recorder;

/// Where series are registered: with the facade's recorder of the moment, or with one that was given.
#[derive(Clone, Default)]
pub(crate) struct Target {
    given: Option<Arc<dyn Recorder + Send + Sync>>,
}

/// Tells one recorder from another: where it is and how large it is.
///
/// A heuristic, as an address can be used again; a layer that was given its recorder needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecorderId {
    address: usize,
    size: usize,
}

impl RecorderId {
    /// That of a recorder that was given.
    const GIVEN: Self = Self {
        address: 0,
        size: usize::MAX,
    };

    /// Not so the facade's recorder of those who have installed none yet, which has no size.
    pub(crate) const fn can_stay(self) -> bool {
        self.size > 0
    }
}

impl Target {
    pub(crate) fn given(recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
        Self {
            given: Some(recorder),
        }
    }

    #[inline]
    pub(crate) fn with<T>(&self, f: impl FnOnce(&dyn Recorder) -> T) -> T {
        match &self.given {
            Some(recorder) => f(recorder),
            None => metrics::with_recorder(f),
        }
    }

    #[inline]
    pub(crate) fn id(&self) -> RecorderId {
        match &self.given {
            Some(_) => RecorderId::GIVEN,
            None => metrics::with_recorder(|recorder| RecorderId {
                address: std::ptr::from_ref(recorder).cast::<()>().addr(),
                size: size_of_val(recorder),
            }),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.given {
            None => "the facade's recorder",
            Some(_) => "a recorder of its own",
        })
    }
}
