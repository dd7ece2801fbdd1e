use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Response;
use pin_project_lite::pin_project;

use super::{
    body::{MetricsBody, RouteBody},
    gate::{Outcome, Wait},
    refusal::Refusal,
    reply::Reply,
    runtime::Deadline,
};
use crate::Format;

/// The response future of a [`MetricsService`](crate::MetricsService).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture {
    state: State,
}

#[derive(Debug)]
enum State {
    Done(Response<MetricsBody>),
    Waiting(Box<Waiting>),
    Gone,
}

#[derive(Debug)]
struct Waiting {
    wait: Wait,
    timeout: Duration,
    deadline: Deadline,
    format: Format,
    reply: Reply,
}

impl ResponseFuture {
    pub(super) const fn done(response: Response<MetricsBody>) -> Self {
        Self {
            state: State::Done(response),
        }
    }

    pub(super) fn waiting(
        wait: Wait,
        timeout: Duration,
        deadline: Deadline,
        format: Format,
        reply: Reply,
    ) -> Self {
        Self {
            state: State::Waiting(Box::new(Waiting {
                wait,
                timeout,
                deadline,
                format,
                reply,
            })),
        }
    }
}

impl Waiting {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        if let Poll::Ready(outcome) = Pin::new(&mut self.wait).poll(cx) {
            return Poll::Ready(outcome);
        }
        ready!(self.deadline.poll(cx));
        let after = self.timeout;
        Poll::Ready(Err(Refusal::Late { after }))
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<MetricsBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.state {
            State::Waiting(waiting) => Some(ready!(waiting.poll(cx))),
            State::Done(_) | State::Gone => None,
        };
        match (std::mem::replace(&mut self.state, State::Gone), outcome) {
            (State::Waiting(waiting), Some(outcome)) => {
                Poll::Ready(Ok(waiting.reply.outcome(waiting.format, outcome)))
            }
            (State::Done(response), _) => Poll::Ready(Ok(response)),
            // Polled again after its end.
            _ => Poll::Pending,
        }
    }
}

pin_project! {
    /// The response future of a [`RouteService`](crate::RouteService).
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct RouteFuture<F> {
        #[pin]
        route: Route<F>,
    }
}

pin_project! {
    #[project = RouteProjection]
    #[derive(Debug)]
    enum Route<F> {
        Metrics { scrape: ResponseFuture },
        Inner { #[pin] future: F },
    }
}

impl<F> RouteFuture<F> {
    pub(super) const fn metrics(scrape: ResponseFuture) -> Self {
        Self {
            route: Route::Metrics { scrape },
        }
    }

    pub(super) const fn inner(future: F) -> Self {
        Self {
            route: Route::Inner { future },
        }
    }
}

impl<F, B, E> Future for RouteFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<RouteBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project().route.project() {
            RouteProjection::Metrics { scrape } => {
                let Ok(response) = ready!(Pin::new(scrape).poll(cx));
                Ok(response.map(RouteBody::metrics))
            }
            RouteProjection::Inner { future } => {
                ready!(future.poll(cx)).map(|response| response.map(RouteBody::inner))
            }
        })
    }
}
