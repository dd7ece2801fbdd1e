//! Send, Sync, Unpin, Clone, Debug and Default where the parts are; nothing is asked of the parts
//! that is not needed. Most of this is shown by compiling.

use std::{cell::Cell, convert::Infallible, fmt::Debug, marker::PhantomPinned, rc::Rc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use test_support::{
    drive::{read, ready},
    ends::Ends,
    shapes::Shapes,
};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};
use tower_observe::{
    Clock, End, Ending, GrpcClassify, HttpClassify, ManualClock, Observe, ObserveLayer,
    ObserveService, RequestHead, ResponseBody, ResponseFuture,
};

type Recording = <Ends as Observe>::Exchange;

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn unpin<T: Unpin>() {}
fn is_static<T: 'static>() {}
fn clone<T: Clone>() {}
fn debug<T: Debug>() {}
fn default<T: Default>() {}

/// Fails to compile if the type has the trait: then two implementations would fit.
macro_rules! assert_not {
    ($type:ty: $($bound:tt)+) => {{
        trait Ambiguous<A> {
            fn some() {}
        }
        impl<T: ?Sized> Ambiguous<()> for T {}
        struct Has;
        impl<T: ?Sized + $($bound)+> Ambiguous<Has> for T {}
        <$type as Ambiguous<_>>::some();
    }};
}

/// An observer without any traits of its own.
struct Bare;

impl Observe for Bare {
    type Exchange = ();

    fn start(&self, _: &mut RequestHead<'_>) {}
}

#[test]
fn types_are_send_and_sync_where_their_parts_are() {
    send::<ObserveLayer<Ends>>();
    sync::<ObserveLayer<Ends>>();
    send::<ObserveService<Shapes, Ends>>();
    sync::<ObserveService<Shapes, Ends>>();
    send::<ResponseFuture<u8, Recording>>();
    sync::<ResponseFuture<u8, Recording>>();
    send::<ResponseBody<u8, Recording>>();
    sync::<ResponseBody<u8, Recording>>();
    for assert in [
        send::<End<'_>>,
        sync::<End<'_>>,
        send::<Clock>,
        sync::<Clock>,
    ] {
        assert();
    }
    send::<ManualClock>();
    sync::<ManualClock>();

    // A service, future or body that is `Send` alone is common.
    send::<ObserveService<Cell<u8>, Ends>>();
    assert_not!(ObserveService<Cell<u8>, Ends>: Sync);
    send::<ResponseFuture<Cell<u8>, Recording>>();
    assert_not!(ResponseFuture<Cell<u8>, Recording>: Sync);
    send::<ResponseBody<Cell<u8>, Recording>>();
    assert_not!(ResponseBody<Cell<u8>, Recording>: Sync);
    // So is an exchange that is `Send` alone.
    send::<ResponseFuture<u8, Option<Local<Cell<u8>>>>>();
    send::<ResponseBody<u8, Option<Local<Cell<u8>>>>>();

    assert_not!(ObserveService<Rc<u8>, Ends>: Send);
    assert_not!(ResponseFuture<Rc<u8>, Recording>: Send);
    assert_not!(ResponseBody<Rc<u8>, Recording>: Send);
    assert_not!(ResponseFuture<u8, Local<Rc<u8>>>: Send);
    assert_not!(ResponseBody<u8, Local<Rc<u8>>>: Send);
    // Services share their observer between threads.
    assert_not!(ObserveLayer<Cell<u8>>: Send);
    assert_not!(ObserveService<Shapes, Cell<u8>>: Send);
}

struct Local<T>(std::marker::PhantomData<T>);

impl<T> tower_observe::Exchange for Local<T> {
    fn end(&self, _: &End<'_>) {}
}

#[test]
fn types_are_unpin_where_the_inner_is_whatever_the_exchange_is() {
    unpin::<ObserveLayer<PhantomPinned>>();
    unpin::<ObserveService<Shapes, PhantomPinned>>();
    unpin::<ResponseFuture<u8, Local<u8>>>();
    unpin::<ResponseBody<u8, Local<u8>>>();
    unpin::<ResponseFuture<Box<PhantomPinned>, Recording>>();
    assert_not!(ResponseFuture<PhantomPinned, Recording>: Unpin);
    assert_not!(ResponseBody<PhantomPinned, Recording>: Unpin);
}

#[test]
fn types_are_static_clone_debug_and_default_where_it_makes_sense() {
    is_static::<ObserveService<Shapes, Bare>>();
    is_static::<ResponseFuture<u8, ()>>();
    is_static::<ResponseBody<u8, ()>>();

    clone::<ObserveLayer<Bare>>();
    clone::<ObserveService<Shapes, Bare>>();
    assert_not!(ObserveService<Bare, Ends>: Clone);
    assert_not!(ResponseBody<u8, ()>: Clone);

    debug::<ObserveLayer<Bare>>();
    debug::<ObserveService<u8, Bare>>();
    debug::<ResponseFuture<Bare, ()>>();
    debug::<ResponseBody<u8, Local<u8>>>();
    debug::<Clock>();

    default::<ObserveLayer<Ends>>();
    default::<ResponseBody<Full<Bytes>, Local<u8>>>();
    assert_not!(ResponseBody<Bare, ()>: Default);
    default::<HttpClassify>();
    default::<GrpcClassify>();
}

#[test]
fn a_default_body_is_the_default_of_the_inner_and_of_no_exchange() {
    let mut body = ResponseBody::<Full<Bytes>, Recording>::default();
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert_eq!(read(&mut body), Ok(0));
}

#[test]
fn a_service_that_is_neither_clone_nor_send_nor_static_can_be_observed() {
    /// An error without any traits.
    struct Opaque;

    let ends = Ends::new();
    let calls = Cell::new(0);
    let local = Rc::new(());
    let service = service_fn(|_: Request<()>| {
        calls.set(calls.get() + 1);
        let local = Rc::clone(&local);
        async move {
            drop(local);
            Err::<Response<Full<Bytes>>, _>(Opaque)
        }
    });
    let not_clone = Box::new(service) as Box<dyn LocalService<Opaque> + '_>;
    let mut observed = ends.layer().layer(not_clone);
    assert!(ready(&mut observed.call(Request::new(()))).is_err());
    assert_eq!(calls.get(), 1);
    assert_eq!(ends.only().ending, Ending::ServiceError);
}

/// A service behind a pointer, with no more than a service needs.
trait LocalService<E> {
    fn run(&mut self, request: Request<()>) -> LocalFuture<E>;
}

type LocalFuture<E> = std::pin::Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, E>>>>;

impl<E, S> LocalService<E> for S
where
    S: tower::Service<Request<()>, Response = Response<Full<Bytes>>, Error = E>,
    S::Future: 'static,
{
    fn run(&mut self, request: Request<()>) -> LocalFuture<E> {
        Box::pin(self.call(request))
    }
}

impl<E> tower::Service<Request<()>> for Box<dyn LocalService<E> + '_> {
    type Response = Response<Full<Bytes>>;
    type Error = E;
    type Future = LocalFuture<E>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), E>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        (**self).run(request)
    }
}

#[tokio::test]
async fn the_inner_service_can_be_reached_and_given_back() {
    let ends = Ends::new();
    let answer = |text: &'static str| {
        move |_: Request<()>| async move {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
        }
    };
    let mut observed = ends.layer().layer(service_fn(answer("inner")));
    let not_observed = observed.get_mut().call(Request::new(())).await.unwrap();
    let body = not_observed.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "inner");
    let _ = observed.get_ref();
    let inner = observed.into_inner();
    inner.oneshot(Request::new(())).await.unwrap();
    assert_eq!(ends.started(), 0);
    assert_eq!(ends.layer().observer().started(), 0);
}
