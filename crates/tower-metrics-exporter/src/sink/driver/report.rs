use std::fmt;

use crate::sink::SinkError;

/// What a [shutdown](super::SinksHandle::shutdown) left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinksReport {
    /// One for each sink, in the order in which they were added.
    pub sinks: Vec<SinkReport>,
}

impl SinksReport {
    /// Whether everything was sent.
    pub fn is_complete(&self) -> bool {
        self.sinks.iter().all(SinkReport::is_complete)
    }

    /// The same for those that flush several things, such as
    /// `operations.flush("sinks", |left| async move { sinks.shutdown(left).await.into_result() })`.
    ///
    /// # Errors
    ///
    /// If something was not sent.
    pub fn into_result(self) -> Result<(), SinkError> {
        let incomplete = self.sinks.iter().filter(|sink| !sink.is_complete());
        let texts: Vec<_> = incomplete.map(SinkReport::to_string).collect();
        if texts.is_empty() {
            Ok(())
        } else {
            Err(SinkError::new(texts.join("; ")))
        }
    }
}

/// What a sink left behind: of what waited when the shutdown began, and of what was read for the last time.
///
/// Shown, it is one line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkReport {
    /// The value of the label `sink`.
    pub name: String,
    /// Samples that were to be sent, and were not: lost as `shutdown`.
    pub unsent: u64,
    /// Samples that the server does not take.
    pub rejected: u64,
    /// Samples that the buffer has no room for, because others wait in it or it is too small for them alone.
    pub buffer_full: u64,
    /// Whether the deadline came first: what was recorded last may not even have been read, or the end not have been
    /// told.
    pub is_late: bool,
    /// What failed the last time, if nothing was sent since.
    pub error: Option<String>,
}

impl SinkReport {
    /// Whether everything was sent, and taken.
    pub const fn is_complete(&self) -> bool {
        self.unsent == 0
            && self.rejected == 0
            && self.buffer_full == 0
            && !self.is_late
            && self.error.is_none()
    }
}

impl fmt::Display for SinkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        if self.is_complete() {
            return f.write_str("everything was sent");
        }
        let mut parts: Vec<_> = [
            (self.unsent, "were not sent"),
            (self.rejected, "were rejected"),
            (self.buffer_full, "had no room in the buffer"),
        ]
        .into_iter()
        .filter(|(samples, _)| *samples > 0)
        .map(|(samples, what)| format!("{samples} samples {what}"))
        .collect();
        if parts.is_empty() {
            parts.push(String::from("not everything was done"));
        }
        f.write_str(&parts.join(", "))?;
        match &self.error {
            Some(error) => write!(f, ": {error}"),
            None if self.is_late => f.write_str(": the deadline came first"),
            None => Ok(()),
        }
    }
}
