use std::net::IpAddr;

use tower_layer::Layer;
use tower_observe::{Clock, ObserveLayer, ObserveService, RequestHead};

use crate::JsonLogging;

/// Writes one line for each request, through `tracing`. See the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct JsonLoggingLayer {
    logging: JsonLogging,
    clock: Clock,
}

impl JsonLoggingLayer {
    /// A layer with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the route's template from `route`: [`JsonLogging::route`].
    #[must_use]
    pub fn route<F>(mut self, route: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<String> + Send + Sync + 'static,
    {
        self.logging = self.logging.route(route);
        self
    }

    /// Takes the client's address from `client_ip`: [`JsonLogging::client_ip`].
    #[must_use]
    pub fn client_ip<F>(mut self, client_ip: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<IpAddr> + Send + Sync + 'static,
    {
        self.logging = self.logging.client_ip(client_ip);
        self
    }

    /// Writes no line for requests of which `skip` says so: [`JsonLogging::skip`].
    #[must_use]
    pub fn skip<F>(mut self, skip: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    {
        self.logging = self.logging.skip(skip);
        self
    }

    /// Reads the time that durations are made of from `clock`. Default: [`Clock::system`].
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

/// A layer around an observer that was made for it.
impl From<JsonLogging> for JsonLoggingLayer {
    fn from(logging: JsonLogging) -> Self {
        Self {
            logging,
            clock: Clock::system(),
        }
    }
}

impl<S> Layer<S> for JsonLoggingLayer {
    type Service = ObserveService<S, JsonLogging>;

    fn layer(&self, inner: S) -> Self::Service {
        ObserveLayer::new(self.logging.clone())
            .clock(self.clock.clone())
            .layer(inner)
    }
}
