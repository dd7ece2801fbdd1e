use std::{borrow::Cow, fmt, sync::Arc};

/// How much of a request's path is logged.
///
/// Paths may carry secrets (an invitation's code, a token as Conda's channels have it), which nothing can
/// tell from an id. So the default logs none: the [route](crate::Fact::Route) says where the request went.
#[derive(Clone, Default)]
pub struct PathPolicy(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    Omit,
    Raw,
    With(Arc<Edit>),
}

type Edit = dyn Fn(&str) -> String + Send + Sync;

impl PathPolicy {
    /// None of it: the default.
    pub const fn omit() -> Self {
        Self(Kind::Omit)
    }

    /// All of it, as it was sent: for services whose paths carry no secrets.
    pub const fn raw() -> Self {
        Self(Kind::Raw)
    }

    /// What `edit` makes of it.
    ///
    /// ```
    /// use tower_json_logging::{JsonLogging, PathPolicy};
    ///
    /// let two_segments = PathPolicy::edit(|path| {
    ///     path.split_inclusive('/').take(3).collect()
    /// });
    /// let logging = JsonLogging::new().path(two_segments);
    /// # drop(logging);
    /// ```
    pub fn edit(edit: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Kind::With(Arc::new(edit)))
    }

    pub(crate) const fn omits(&self) -> bool {
        matches!(self.0, Kind::Omit)
    }

    pub(crate) fn apply<'a>(&self, path: &'a str) -> Option<Cow<'a, str>> {
        match &self.0 {
            Kind::Omit => None,
            Kind::Raw => Some(Cow::Borrowed(path)),
            Kind::With(edit) => Some(Cow::Owned(edit(path))),
        }
    }
}

impl fmt::Debug for PathPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Omit => "omit",
            Kind::Raw => "raw",
            Kind::With(_) => "edit",
        })
    }
}
