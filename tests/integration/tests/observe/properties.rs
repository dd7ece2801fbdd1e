//! Whatever happens in whatever order: started = ended + in flight, and each exchange ends once, as
//! the completion table has it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body as _;
use proptest::prelude::*;
use test_support::{
    body::{ScriptBody, ScriptError, Step, trailers},
    drive::{poll, poll_frame},
    ends::{Ended, Ends},
};
use tower::{Layer as _, Service};
use tower_observe::{Ending, Observe, ObserveService, ResponseBody, ResponseFuture};

use crate::common::{OnDrop, duration};

/// How the service treats one request.
#[derive(Clone, Debug)]
struct Plan {
    head: bool,
    status: u16,
    panic_in_call: bool,
    /// How often the future is pending.
    pending: usize,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
enum Outcome {
    Response(ScriptBody),
    Error,
    Panic,
}

/// A service and future that follow a plan; the plan is sent along with the request.
struct Planned(Plan);

#[derive(Clone)]
struct Follow;

impl Service<Request<Plan>> for Follow {
    type Response = Response<ScriptBody>;
    type Error = ScriptError;
    type Future = Planned;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ScriptError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Plan>) -> Planned {
        let plan = request.into_body();
        assert!(!plan.panic_in_call, "planned");
        Planned(plan)
    }
}

impl Future for Planned {
    type Output = Result<Response<ScriptBody>, ScriptError>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.0.pending > 0 {
            self.0.pending -= 1;
            return Poll::Pending;
        }
        Poll::Ready(match self.0.outcome.clone() {
            Outcome::Response(body) => {
                let response = Response::builder().status(self.0.status);
                Ok(response.body(body).unwrap())
            }
            Outcome::Error => Err(ScriptError),
            Outcome::Panic => panic!("planned"),
        })
    }
}

#[derive(Clone, Debug)]
enum Op {
    Start(Plan),
    /// Polls the future or the body of one of the exchanges.
    Poll(prop::sample::Index),
    /// Drops it, in the second case while an unrelated panic unwinds.
    Drop(prop::sample::Index, bool),
    Advance(u64),
}

type Recording = <Ends as Observe>::Exchange;

enum State {
    Future(ResponseFuture<Planned, Recording>),
    Body(ResponseBody<ScriptBody, Recording>),
    Gone,
}

/// One exchange, and what the table says of it.
struct Followed {
    state: State,
    head: bool,
    status: u16,
    started: u64,
    answered: bool,
    panicked: bool,
    bytes: u64,
    owed: Option<u64>,
    satisfied_at: Option<u64>,
    expected: Option<(Ending, u64, bool)>,
}

impl Followed {
    fn expect(&mut self, ending: Ending, at: u64, trailers: bool) {
        self.expected.get_or_insert((ending, at, trailers));
    }

    fn poll(&mut self, now: u64) {
        self.state = match std::mem::replace(&mut self.state, State::Gone) {
            State::Future(mut future) => {
                match catch_unwind(AssertUnwindSafe(|| poll(&mut future))) {
                    Err(_) => {
                        self.panicked = true;
                        self.drop(State::Future(future), now);
                        State::Gone
                    }
                    Ok(Poll::Pending) => State::Future(future),
                    Ok(Poll::Ready(Err(_))) => {
                        self.expect(Ending::ServiceError, now, false);
                        State::Gone
                    }
                    Ok(Poll::Ready(Ok(response))) => {
                        self.answered = true;
                        let body = response.into_body();
                        let bodiless = self.head || matches!(self.status, 204 | 304);
                        if self.status == 101 {
                            self.expect(Ending::Upgraded, now, false);
                        } else if bodiless || body.is_end_stream() {
                            self.expect(Ending::Complete, now, false);
                        }
                        self.owed = body.size_hint().exact();
                        self.satisfied_at = (self.owed == Some(0)).then_some(now);
                        State::Body(body)
                    }
                }
            }
            State::Body(mut body) => {
                match catch_unwind(AssertUnwindSafe(|| poll_frame(&mut body))) {
                    Err(_) => {
                        self.panicked = true;
                        self.drop(State::Body(body), now);
                        return;
                    }
                    Ok(Poll::Pending) => {}
                    Ok(Poll::Ready(None)) => self.expect(Ending::Complete, now, false),
                    Ok(Poll::Ready(Some(Err(_)))) => self.expect(Ending::BodyError, now, false),
                    Ok(Poll::Ready(Some(Ok(frame)))) => match frame.into_data() {
                        Ok(data) => self.data(data.len() as u64, body.is_end_stream(), now),
                        Err(_) => self.expect(Ending::Complete, now, true),
                    },
                }
                State::Body(body)
            }
            State::Gone => State::Gone,
        };
    }

    fn data(&mut self, length: u64, last: bool, now: u64) {
        if self.expected.is_none() {
            self.bytes += length;
        }
        if last {
            self.expect(Ending::Complete, now, false);
        }
        if self.satisfied_at.is_none() && self.owed.is_some_and(|owed| self.bytes >= owed) {
            self.satisfied_at = Some(now);
        }
    }

    fn drop(&mut self, state: State, now: u64) {
        if matches!(state, State::Gone) {
            return;
        }
        drop(state);
        let (ending, at) = match (self.panicked, self.answered, self.satisfied_at) {
            (true, _, _) => (Ending::Panic, now),
            (_, false, _) => (Ending::ClientGoneBeforeHead, now),
            (_, _, Some(at)) => (Ending::Complete, at),
            (_, _, None) => (Ending::ClientGoneInBody, now),
        };
        self.expect(ending, at, false);
    }

    fn drop_now(&mut self, now: u64, unwinding: bool) {
        let state = std::mem::replace(&mut self.state, State::Gone);
        if unwinding {
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                let mut state = Some(state);
                let _dropped = OnDrop(|| self.drop(state.take().unwrap(), now));
                panic!("of nobody");
            }));
            assert!(unwound.is_err());
        } else {
            self.drop(state, now);
        }
    }

    /// What its end should be, if it has ended.
    fn end(&self, index: usize) -> Option<Ended> {
        let (ending, at, with_trailers) = self.expected?;
        Some(Ended {
            ending,
            status: self.answered.then_some(self.status),
            bytes: self.bytes,
            trailers: with_trailers.then(|| trailers("x-sum", "3")),
            started: duration(self.started),
            head: None,
            ended: duration(at),
            path: format!("/{index}"),
            method: if self.head { Method::HEAD } else { Method::GET },
        })
    }
}

struct World {
    ends: Ends,
    service: ObserveService<Follow, Ends>,
    exchanges: Vec<Followed>,
    now: u64,
}

impl World {
    fn new() -> Self {
        let ends = Ends::new();
        Self {
            service: ends.layer().layer(Follow),
            ends,
            exchanges: Vec::new(),
            now: 0,
        }
    }

    fn run(&mut self, op: Op) {
        let now = self.now;
        match op {
            Op::Start(plan) => self.start(plan),
            Op::Advance(by) => {
                self.now += by;
                self.ends.advance(by);
            }
            Op::Poll(_) | Op::Drop(..) if self.exchanges.is_empty() => {}
            Op::Poll(which) => which.get_mut(&mut self.exchanges).poll(now),
            Op::Drop(which, unwinding) => {
                which.get_mut(&mut self.exchanges).drop_now(now, unwinding);
            }
        }
    }

    fn start(&mut self, plan: Plan) {
        let method = if plan.head { Method::HEAD } else { Method::GET };
        let (head, status) = (plan.head, plan.status);
        let request = Request::builder()
            .method(method)
            .uri(format!("/{}", self.exchanges.len()))
            .body(plan)
            .unwrap();
        let called = catch_unwind(AssertUnwindSafe(|| self.service.call(request)));
        self.exchanges.push(Followed {
            head,
            status,
            started: self.now,
            answered: false,
            panicked: called.is_err(),
            bytes: 0,
            owed: None,
            satisfied_at: None,
            expected: called.is_err().then_some((Ending::Panic, self.now, false)),
            state: called.map_or(State::Gone, State::Future),
        });
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let in_flight = self
            .exchanges
            .iter()
            .filter(|exchange| exchange.expected.is_none())
            .count();
        prop_assert_eq!(self.ends.started(), self.exchanges.len());
        prop_assert_eq!(self.ends.started(), self.ends.ended() + in_flight);
        let mut ended = self.ends.all();
        ended.sort_by_key(|end| end.path[1..].parse::<usize>().unwrap());
        let expected: Vec<_> = self
            .exchanges
            .iter()
            .enumerate()
            .filter_map(|(index, exchange)| exchange.end(index))
            .collect();
        prop_assert!(ended.iter().all(|end| end.ended >= end.started));
        prop_assert_eq!(ended, expected);
        Ok(())
    }
}

fn bodies() -> impl Strategy<Value = ScriptBody> {
    let step = prop_oneof![
        6 => (0..5_usize).prop_map(|length| Step::Data(Bytes::from(vec![b'x'; length]))),
        1 => Just(Step::Trailers(trailers("x-sum", "3"))),
        1 => Just(Step::Error),
        2 => Just(Step::Pending),
        1 => Just(Step::Panic),
    ];
    let steps = prop::collection::vec(step, 0..6);
    let size = prop::option::weighted(0.4, 0..12_u64);
    (steps, any::<bool>(), size).prop_map(|(steps, hints, size)| {
        let mut body = steps.into_iter().fold(ScriptBody::new(), ScriptBody::step);
        if hints {
            body = body.hinting_the_end();
        }
        match size {
            Some(size) => body.sized(size),
            None => body,
        }
    })
}

fn plans() -> impl Strategy<Value = Plan> {
    let outcome = prop_oneof![
        8 => bodies().prop_map(Outcome::Response),
        1 => Just(Outcome::Error),
        1 => Just(Outcome::Panic),
    ];
    let status = prop_oneof![
        8 => Just(200_u16),
        1 => prop::sample::select(vec![101_u16, 204, 304, 500]),
    ];
    let (head, panic) = (prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    (head, status, panic, 0..3_usize, outcome).prop_map(
        |(head, status, panic_in_call, pending, outcome)| Plan {
            head,
            status,
            panic_in_call,
            pending,
            outcome,
        },
    )
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        2 => plans().prop_map(Op::Start),
        8 => any::<prop::sample::Index>().prop_map(Op::Poll),
        1 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(which, unwinding)| Op::Drop(which, unwinding)),
        2 => (1..4_u64).prop_map(Op::Advance),
    ];
    prop::collection::vec(op, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_exchange_ends_exactly_once_in_any_interleaving(ops in ops()) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
            world.check()?;
        }
        for index in 0..world.exchanges.len() {
            world.exchanges[index].drop_now(world.now, index % 2 == 0);
            world.check()?;
        }
        prop_assert_eq!(world.ends.started(), world.ends.ended());
    }
}
