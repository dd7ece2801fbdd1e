use std::fmt;

/// A closed set of label values: every one is known, and stands at zero from the start.
macro_rules! closed_set {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[$doc:meta])+ $variant:ident = $text:literal,)+ }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])+ #[doc = concat!("\n\nThe label's value: `", $text, "`.")] $variant,)+
        }

        impl $name {
            /// All there are.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// The label's value.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

closed_set! {
    /// How a scan ended. A scan that blocks what it scanned is `Completed`: the verdict is not the status.
    Status {
        /// It ran to its end and reported.
        Completed = "completed",
        /// It gave an error, panicked, or was lost with its worker.
        Failed = "failed",
        /// Its deadline passed.
        TimedOut = "timed_out",
        /// It was dropped, or told to stop.
        Cancelled = "cancelled",
    }
}

closed_set! {
    /// Why a scan did not complete. It decides the [`Status`]: [`status`](Self::status).
    FailureReason {
        /// It gave an error.
        Error = "error",
        /// It panicked.
        Panic = "panic",
        /// Its deadline passed.
        Timeout = "timeout",
        /// It was dropped, or told to stop.
        Cancelled = "cancelled",
        /// The process that ran it is gone.
        WorkerLost = "worker_lost",
        /// What was to do the scanning is not there.
        EngineUnavailable = "engine_unavailable",
        /// Anything else.
        Other = "other",
    }
}

impl FailureReason {
    /// The status of a scan that ended so: `timed_out`, `cancelled`, else `failed`.
    pub const fn status(self) -> Status {
        match self {
            Self::Timeout => Status::TimedOut,
            Self::Cancelled => Status::Cancelled,
            _ => Status::Failed,
        }
    }
}

closed_set! {
    /// Why what was asked for never became a scan.
    RejectReason {
        /// The request makes no sense.
        Invalid = "invalid",
        /// Who asks may not.
        Forbidden = "forbidden",
        /// Such scans are switched off.
        Disabled = "disabled",
        /// Too many wait already.
        QueueFull = "queue_full",
        /// Who asks does so too often.
        RateLimited = "rate_limited",
        /// It was thrown away while it waited.
        Dropped = "dropped",
    }
}

closed_set! {
    /// Which part of a policy blocks.
    BlockReason {
        /// Too many findings of one severity.
        Severity = "severity",
        /// A finding of a kind that is never let through.
        IssueType = "issue_type",
        /// A rule of the user's own.
        CustomRule = "custom_rule",
        /// What the software is made of.
        Sbom = "sbom",
    }
}

closed_set! {
    /// How the run of one engine within a scan ended.
    EngineStatus {
        /// It ran to its end.
        Completed = "completed",
        /// It gave an error, or its run was dropped.
        Failed = "failed",
        /// It took too long.
        TimedOut = "timed_out",
        /// It was not run: not installed, or not meant for this target.
        Skipped = "skipped",
    }
}

closed_set! {
    /// What became of an API key that came, or should have come, with a request.
    KeyUse {
        /// It is valid and may do what was asked.
        Accepted = "accepted",
        /// There was none.
        Missing = "missing",
        /// It is not known.
        Invalid = "invalid",
        /// It was valid once, and was taken back.
        Revoked = "revoked",
        /// It was valid once, until its time was over.
        Expired = "expired",
        /// It is valid, and may not do what was asked.
        Forbidden = "forbidden",
    }
}

closed_set! {
    /// How bad a finding is.
    Severity {
        /// To be acted on at once.
        Critical = "critical",
        /// Serious.
        High = "high",
        /// To be planned for.
        Medium = "medium",
        /// Minor.
        Low = "low",
        /// Worth knowing.
        Info = "info",
        /// Not told, or in words that are not known.
        Unknown = "unknown",
    }
}

macro_rules! indexed {
    ($($name:ident)+) => {
        $(impl $name {
            /// Its place in [`ALL`](Self::ALL).
            pub(crate) const fn index(self) -> usize {
                self as usize
            }
        })+
    };
}

indexed! { BlockReason EngineStatus FailureReason KeyUse RejectReason Severity }
