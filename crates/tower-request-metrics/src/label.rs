use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use http::HeaderName;
use metrics::SharedString;
use tower_observe::{RequestHead, ResponseHead};

use crate::{Instrument, names::OTHER};

/// A label of your own, always bounded.
///
/// By default it is on [`Instrument::Requests`] and [`Instrument::RpcHandled`], and takes up to 32
/// different values, the first that come; whatever comes later is `_OTHER`, and counted by
/// [`Instrument::LabelOverflow`]. A value that is longer than 128 bytes is over budget, too. A request
/// without a value has no such label.
///
/// ```
/// use tower_request_metrics::{Instrument, Label, RequestMetrics};
///
/// let metrics = RequestMetrics::builder()
///     .label(Label::request_header("tenant", http::HeaderName::from_static("x-tenant")).allow(["a", "b"]))
///     .label(
///         Label::response("cache", |response| {
///             response.extensions().get::<Cached>().map(|_| "hit".into())
///         })
///         .on([Instrument::Requests, Instrument::Duration]),
///     )
///     .build()?;
/// # #[derive(Clone)] struct Cached;
/// # Ok::<(), tower_request_metrics::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Label {
    pub(crate) name: Cow<'static, str>,
    pub(crate) source: Source,
    pub(crate) on: Vec<Instrument>,
    allowed: Option<Vec<Cow<'static, str>>>,
    max_values: u16,
}

type OfRequest = dyn Fn(&RequestHead<'_>) -> Option<Cow<'static, str>> + Send + Sync;
type OfResponse = dyn Fn(&ResponseHead<'_>) -> Option<Cow<'static, str>> + Send + Sync;

#[derive(Clone)]
pub(crate) enum Source {
    RequestHeader(HeaderName),
    ResponseHeader(HeaderName),
    Request(Arc<OfRequest>),
    Response(Arc<OfResponse>),
}

impl Label {
    fn new(name: impl Into<Cow<'static, str>>, source: Source) -> Self {
        let on = vec![Instrument::Requests, Instrument::RpcHandled];
        Self {
            name: name.into(),
            source,
            on,
            allowed: None,
            max_values: 32,
        }
    }

    /// What this header of the request says.
    pub fn request_header(name: impl Into<Cow<'static, str>>, header: HeaderName) -> Self {
        Self::new(name, Source::RequestHeader(header))
    }

    /// What this header of the response says.
    pub fn response_header(name: impl Into<Cow<'static, str>>, header: HeaderName) -> Self {
        Self::new(name, Source::ResponseHeader(header))
    }

    /// What `value` makes of the request: of its extensions, for example.
    pub fn request<F>(name: impl Into<Cow<'static, str>>, value: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    {
        Self::new(name, Source::Request(Arc::new(value)))
    }

    /// What `value` makes of the response's head: of its extensions, for example.
    pub fn response<F>(name: impl Into<Cow<'static, str>>, value: F) -> Self
    where
        F: Fn(&ResponseHead<'_>) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    {
        Self::new(name, Source::Response(Arc::new(value)))
    }

    /// Takes these values only; any other is `_OTHER`.
    #[must_use]
    pub fn allow<V: Into<Cow<'static, str>>>(
        mut self,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.allowed = Some(values.into_iter().map(Into::into).collect());
        self
    }

    /// Takes the first `values` different values that come; any other is `_OTHER`. Default: 32.
    #[must_use]
    pub const fn max_values(mut self, values: u16) -> Self {
        self.max_values = values;
        self
    }

    /// Puts the label on these instruments. Default: requests, and handled gRPC calls. A label of the
    /// response is never on a gauge, which is raised before there is one.
    #[must_use]
    pub fn on(mut self, instruments: impl IntoIterator<Item = Instrument>) -> Self {
        self.on = instruments.into_iter().collect();
        self
    }

    pub(crate) const fn is_of_response(&self) -> bool {
        matches!(self.source, Source::ResponseHeader(_) | Source::Response(_))
    }

    pub(crate) fn values(&self) -> Values {
        let fixed = self.allowed.is_some();
        let texts = self
            .allowed
            .iter()
            .flatten()
            .map(|text| text.clone().into_owned());
        let mut known = Known::default();
        for text in texts {
            known.add(&text);
        }
        Values {
            fixed,
            max: usize::from(self.max_values),
            known: RwLock::new(known),
        }
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Label")
            .field("name", &self.name)
            .field("on", &self.on)
            .finish_non_exhaustive()
    }
}

/// The values of one label, by number.
pub(crate) struct Values {
    fixed: bool,
    max: usize,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    texts: Vec<SharedString>,
    ids: HashMap<SharedString, u16>,
}

impl Known {
    fn add(&mut self, text: &str) -> u16 {
        // A number after 0, no value, and 1, over budget.
        let id = u16::try_from(self.texts.len() + 2).unwrap_or(Values::OVER);
        let text = SharedString::from_shared(Arc::from(text));
        self.texts.push(text.clone());
        *self.ids.entry(text).or_insert(id)
    }
}

impl Values {
    /// The number of a value that is not told apart.
    pub(crate) const OVER: u16 = 1;

    const MAX_BYTES: usize = 128;

    /// The number of this value; [`OVER`](Self::OVER) if it is not allowed, or over budget.
    pub(crate) fn id(&self, text: &str) -> u16 {
        if text.len() > Self::MAX_BYTES && !self.fixed {
            return Self::OVER;
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = known.ids.get(text) {
            return *id;
        }
        if self.fixed || known.texts.len() >= self.max {
            return Self::OVER;
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = known.ids.get(text) {
            return *id;
        }
        if known.texts.len() >= self.max {
            return Self::OVER;
        }
        known.add(text)
    }

    /// Whether a value that is not told apart is one too many, rather than one that was never meant.
    pub(crate) const fn counts_overflow(&self) -> bool {
        !self.fixed
    }

    /// How many values are told apart at most.
    pub(crate) fn most(&self) -> usize {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if self.fixed {
            known.texts.len()
        } else {
            self.max
        }
    }

    pub(crate) fn text(&self, id: u16) -> SharedString {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let text = usize::from(id)
            .checked_sub(2)
            .and_then(|index| known.texts.get(index));
        text.cloned().unwrap_or(SharedString::const_str(OTHER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label() -> Label {
        Label::request("x", |_| None)
    }

    #[test]
    fn an_allow_list_is_kept() {
        let values = label().allow(["a", "b"]).values();
        let (a, c) = (values.id("a"), values.id("c"));
        assert_eq!(&*values.text(a), "a");
        assert_eq!(c, Values::OVER);
        assert_eq!(&*values.text(c), OTHER);
        assert!(!values.counts_overflow());
    }

    #[test]
    fn the_first_values_are_kept_and_the_rest_is_other() {
        let values = label().max_values(2).values();
        let (a, b, c) = (values.id("a"), values.id("b"), values.id("c"));
        assert_eq!(values.id("a"), a);
        assert_eq!(
            (&*values.text(a), &*values.text(b), &*values.text(c)),
            ("a", "b", OTHER)
        );
        assert!(values.counts_overflow());
    }

    #[test]
    fn an_enormous_value_is_over_budget() {
        assert_eq!(label().values().id(&"x".repeat(129)), Values::OVER);
    }
}
