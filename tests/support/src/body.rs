//! A response body that follows a script, and tells no more about itself than the script says.

use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};

/// What one poll of a [`ScriptBody`] gives.
#[derive(Clone, Debug)]
pub enum Step {
    /// A data frame.
    Data(Bytes),
    /// A trailers frame.
    Trailers(HeaderMap),
    /// An error.
    Error,
    /// `Pending`, once; the task is woken at once.
    Pending,
    /// `Pending`, for ever; the task is never woken.
    Stall,
    /// A panic.
    Panic,
}

/// A body that can lie by omission: it ends when its script does, and by default neither hints at
/// that end nor knows its size.
#[derive(Clone, Debug, Default)]
pub struct ScriptBody {
    steps: VecDeque<Step>,
    hints_end: bool,
    exact: Option<u64>,
}

impl ScriptBody {
    /// A body without frames, which does not say so before it is polled.
    pub fn new() -> Self {
        Self::default()
    }

    /// A body with these data frames.
    pub fn of<'a>(frames: impl IntoIterator<Item = &'a str>) -> Self {
        frames.into_iter().fold(Self::new(), Self::data)
    }

    /// Goes on with `step`.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }

    /// Goes on with a data frame.
    #[must_use]
    pub fn data(self, data: &str) -> Self {
        self.step(Step::Data(Bytes::copy_from_slice(data.as_bytes())))
    }

    /// Goes on with trailers of one field.
    #[must_use]
    pub fn trailers(self, name: &'static str, value: &'static str) -> Self {
        self.step(Step::Trailers(trailers(name, value)))
    }

    /// Goes on with an error.
    #[must_use]
    pub fn error(self) -> Self {
        self.step(Step::Error)
    }

    /// Goes on with one `Pending`.
    #[must_use]
    pub fn pending(self) -> Self {
        self.step(Step::Pending)
    }

    /// Gives nothing more, ever.
    #[must_use]
    pub fn stall(self) -> Self {
        self.step(Step::Stall)
    }

    /// Goes on with a panic.
    #[must_use]
    pub fn panic(self) -> Self {
        self.step(Step::Panic)
    }

    /// Says that it has ended as soon as nothing is left of the script. Default: never says so.
    #[must_use]
    pub fn hinting_the_end(mut self) -> Self {
        self.hints_end = true;
        self
    }

    /// Gives `exact` as its size, less what was read. Default: no size hint.
    #[must_use]
    pub fn sized(mut self, exact: u64) -> Self {
        self.exact = Some(exact);
        self
    }
}

/// Trailers of one field.
pub fn trailers(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    )])
}

impl Body for ScriptBody {
    type Data = Bytes;
    type Error = ScriptError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ScriptError>>> {
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => {
                self.exact = self
                    .exact
                    .map(|left| left.saturating_sub(data.len() as u64));
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Step::Error) => Poll::Ready(Some(Err(ScriptError))),
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Stall) => {
                self.steps.push_front(Step::Stall);
                Poll::Pending
            }
            Some(Step::Panic) => panic!("the script says panic"),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.hints_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.exact
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The error of a [`ScriptBody`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptError;

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the script says error")
    }
}

impl Error for ScriptError {}
