use metrics::{Counter, Key, Label, Level, Metadata, Recorder};

use super::names::REFUSED;

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Host,
    MissingCredentials,
    WrongCredentials,
}

impl Refused {
    const ALL: [Self; 3] = [Self::Host, Self::MissingCredentials, Self::WrongCredentials];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::MissingCredentials => "missing_credentials",
            Self::WrongCredentials => "wrong_credentials",
        }
    }
}

#[derive(Debug)]
pub(super) struct AdminMetrics {
    refused: [Counter; Refused::ALL.len()],
}

impl AdminMetrics {
    pub(super) fn new(recorder: &dyn Recorder) -> Self {
        let refused = Refused::ALL.map(|reason| {
            let label = Label::new("reason", reason.as_str());
            let key = Key::from_parts(REFUSED, vec![label]);
            let counter = recorder.register_counter(&key, &METADATA);
            counter.increment(0);
            counter
        });
        Self { refused }
    }

    pub(super) fn refused(&self, reason: Refused) {
        if let Some(counter) = self.refused.get(reason as usize) {
            counter.increment(1);
        }
    }
}
