use std::{fmt, sync::Arc};

use tower_layer::Layer;

use crate::{Clock, ObserveService};

/// Puts an [observer](crate::Observe) around a service.
///
/// One layer with a tuple of observers costs less than a layer for each: there is one future and one
/// body around the service's, and the observers see the same end.
///
/// ```
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};
/// use tower_observe::{End, Ending, ObserveLayer, RequestHead};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (ends, ended) = std::sync::mpsc::channel();
/// let observer = move |_: &mut RequestHead<'_>| {
///     let ends = ends.clone();
///     move |end: &End<'_>| ends.send((end.ending(), end.bytes())).unwrap()
/// };
///
/// let mut service = ObserveLayer::new(observer).layer(service_fn(|_: Request<()>| async {
///     Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::from("hello")))
/// }));
///
/// let response = service.ready().await.unwrap().call(Request::new(())).await.unwrap();
/// drop(response); // the body was never read
/// assert_eq!(ended.recv(), Ok((Ending::ClientGoneInBody, 0)));
/// # }
/// ```
pub struct ObserveLayer<O> {
    observer: Arc<O>,
    clock: Clock,
}

impl<O> ObserveLayer<O> {
    /// A layer with this observer and the system's clock.
    pub fn new(observer: O) -> Self {
        let clock = Clock::system();
        // The first reading is the dearest: not one of a request.
        clock.now();
        Self {
            observer: Arc::new(observer),
            clock,
        }
    }

    /// Reads time from `clock`. Default: [`Clock::system`].
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The observer.
    pub fn observer(&self) -> &O {
        &self.observer
    }
}

// By hand, here and for the service: the observer need not be `Clone` or `Debug`.
impl<O> Clone for ObserveLayer<O> {
    fn clone(&self) -> Self {
        Self {
            observer: Arc::clone(&self.observer),
            clock: self.clock.clone(),
        }
    }
}

impl<O: Default> Default for ObserveLayer<O> {
    fn default() -> Self {
        Self::new(O::default())
    }
}

impl<O> fmt::Debug for ObserveLayer<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserveLayer")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl<S, O> Layer<S> for ObserveLayer<O> {
    type Service = ObserveService<S, O>;

    fn layer(&self, inner: S) -> Self::Service {
        ObserveService::new(inner, Arc::clone(&self.observer), self.clock.clone())
    }
}
