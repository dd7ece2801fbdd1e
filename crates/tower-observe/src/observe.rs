use std::sync::Arc;

use bytes::Buf;

use crate::{End, RequestHead, ResponseHead};

/// An observer: told of every request, before the inner service is called.
///
/// What it returns is the observer's part of that one exchange, and is told of its course and of its
/// one end. The observer itself is shared by all requests and threads that a layer serves.
///
/// Observers compose: a tuple of observers is an observer, so is an `Option` (for one that may be
/// switched off: an optional *layer* would change the response's type), an `Arc`, and a closure; `()`
/// observes nothing.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::sync::Arc;
/// use tower_observe::{End, Exchange, Observe, RequestHead};
///
/// /// Counts response bytes of requests to one host.
/// struct BytesOf { host: &'static str, bytes: Arc<AtomicU64> }
///
/// struct Counting(Arc<AtomicU64>);
///
/// impl Observe for BytesOf {
///     type Exchange = Option<Counting>;
///
///     fn start(&self, request: &mut RequestHead<'_>) -> Self::Exchange {
///         let host = request.headers().get("host")?;
///         (host == self.host).then(|| Counting(Arc::clone(&self.bytes)))
///     }
/// }
///
/// impl Exchange for Counting {
///     fn end(&self, end: &End<'_>) {
///         self.0.fetch_add(end.bytes(), Ordering::Relaxed);
///     }
/// }
/// ```
///
/// # What an observer may not do
///
/// Fail, block, or panic: the observed request would pay for it. It may be called while a panic
/// unwinds, so it treats a poisoned lock as usable.
pub trait Observe {
    /// This observer's part of one exchange.
    type Exchange: Exchange;

    /// Called once a request, before the inner service's `call`.
    fn start(&self, request: &mut RequestHead<'_>) -> Self::Exchange;
}

/// An observer's part of one exchange.
///
/// The methods are called in this order: [`head`](Self::head) at most once, [`data`](Self::data)
/// any number of times, [`end`](Self::end) exactly once, whatever happens; then the value is dropped.
/// A leaked future or body (`mem::forget`) is the one way not to end.
pub trait Exchange {
    /// Whether [`scope`](Self::scope) does anything but call what it is given. Asked anew each time.
    ///
    /// Where it says `false`, the inner service is called directly: request, future and response need not be moved
    /// into a closure.
    fn scopes(&self) -> bool {
        true
    }

    /// The inner service answered with this head.
    fn head(&mut self, response: &mut ResponseHead<'_>) {
        let _ = response;
    }

    /// Whether [`data`](Self::data) is to be called. Asked before each poll of the body.
    ///
    /// An exchange that takes data learns of an end that comes with a frame in a [`scope`](Self::scope) of its own:
    /// say so only as long as there is something to take.
    fn takes_data(&self) -> bool {
        false
    }

    /// The inner body gave this data frame, which now goes to the transport.
    ///
    /// Only called where [`takes_data`](Self::takes_data) says so.
    fn data<D: Buf>(&mut self, data: &D) {
        let _ = data;
    }

    /// The exchange ended. Called exactly once, inside [`scope`](Self::scope) if that [does](Self::scopes) something.
    fn end(&self, end: &End<'_>) {
        let _ = end;
    }

    /// Wraps every `call` and `poll` of the inner service, every poll of its body, the destruction of
    /// an inner future or body before the exchange's end, and the delivery of [`end`](Self::end). What a
    /// poll of the body ends is told in the scope of that poll, unless [`data`](Self::data) comes first.
    ///
    /// An observer that has something to enter (a `tracing` span) does so around `f`, and must call
    /// `f` exactly once. The exchanges of a tuple nest, the first outermost.
    ///
    /// Where [`scopes`](Self::scopes) says `false`, it may be left out.
    fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }
}

impl<F, X> Observe for F
where
    F: Fn(&mut RequestHead<'_>) -> X,
    X: Exchange,
{
    type Exchange = X;

    #[inline]
    fn start(&self, request: &mut RequestHead<'_>) -> X {
        self(request)
    }
}

impl<F> Exchange for F
where
    F: Fn(&End<'_>),
{
    #[inline]
    fn scopes(&self) -> bool {
        false
    }

    fn end(&self, end: &End<'_>) {
        self(end);
    }
}

impl Observe for () {
    type Exchange = ();

    fn start(&self, _: &mut RequestHead<'_>) {}
}

impl Exchange for () {
    #[inline]
    fn scopes(&self) -> bool {
        false
    }
}

impl<O: Observe> Observe for Arc<O> {
    type Exchange = O::Exchange;

    #[inline]
    fn start(&self, request: &mut RequestHead<'_>) -> O::Exchange {
        O::start(self, request)
    }
}

impl<O: Observe> Observe for Option<O> {
    type Exchange = Option<O::Exchange>;

    #[inline]
    fn start(&self, request: &mut RequestHead<'_>) -> Self::Exchange {
        self.as_ref().map(|observer| observer.start(request))
    }
}

impl<X: Exchange> Exchange for Option<X> {
    #[inline]
    fn scopes(&self) -> bool {
        self.as_ref().is_some_and(X::scopes)
    }

    fn head(&mut self, response: &mut ResponseHead<'_>) {
        if let Some(exchange) = self {
            exchange.head(response);
        }
    }

    fn takes_data(&self) -> bool {
        self.as_ref().is_some_and(X::takes_data)
    }

    fn data<D: Buf>(&mut self, data: &D) {
        if let Some(exchange) = self {
            exchange.data(data);
        }
    }

    fn end(&self, end: &End<'_>) {
        if let Some(exchange) = self {
            exchange.end(end);
        }
    }

    fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
        match self {
            Some(exchange) => exchange.scope(f),
            None => f(),
        }
    }
}

macro_rules! tuple {
    ($($name:ident $at:tt),+) => {
        impl<$($name: Observe),+> Observe for ($($name,)+) {
            type Exchange = ($($name::Exchange,)+);

            #[inline]
            fn start(&self, request: &mut RequestHead<'_>) -> Self::Exchange {
                // A view of its own for each: who keeps one, for all that the compiler knows, does not keep the others
                // from being resolved.
                ($(self.$at.start(&mut request.again()),)+)
            }
        }

        impl<$($name: Exchange),+> Exchange for ($($name,)+) {
            #[inline]
            fn scopes(&self) -> bool {
                $(self.$at.scopes())||+
            }

            fn head(&mut self, response: &mut ResponseHead<'_>) {
                $(self.$at.head(response);)+
            }

            fn takes_data(&self) -> bool {
                $(self.$at.takes_data())||+
            }

            fn data<D: Buf>(&mut self, data: &D) {
                $(if self.$at.takes_data() {
                    self.$at.data(data);
                })+
            }

            fn end(&self, end: &End<'_>) {
                $(self.$at.end(end);)+
            }

            fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
                tuple!(@scope self, f, $($at),+)
            }
        }
    };
    (@scope $self:ident, $f:ident, $at:tt) => { $self.$at.scope($f) };
    (@scope $self:ident, $f:ident, $at:tt, $($rest:tt),+) => {
        $self.$at.scope(|| tuple!(@scope $self, $f, $($rest),+))
    };
}

tuple!(O0 0);
tuple!(O0 0, O1 1);
tuple!(O0 0, O1 1, O2 2);
tuple!(O0 0, O1 1, O2 2, O3 3);
