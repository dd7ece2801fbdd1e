use std::time::Duration;

use super::{SinkError, Sinks};

/// Variables of the environment, as something looks them up.
pub(super) struct Environment<'a>(pub(super) &'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    /// The first of these that is set, and its name. Empty is as if it were not, as OpenTelemetry has it.
    pub(super) fn first<'n>(&self, names: &[&'n str]) -> Option<(&'n str, String)> {
        let mut set = names.iter().filter_map(|name| {
            let value = (self.0)(name)?.trim().to_owned();
            (!value.is_empty()).then_some((*name, value))
        });
        set.next()
    }

    /// A number of milliseconds above zero.
    pub(super) fn millis(&self, names: &[&str]) -> Result<Option<Duration>, SinkError> {
        let Some((name, value)) = self.first(names) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(millis @ 1..) => Ok(Some(Duration::from_millis(millis))),
            _ => Err(wrong(
                name,
                &value,
                "give a whole number of milliseconds above zero, such as 15000",
            )),
        }
    }
}

/// What is set to something that it cannot be.
pub(super) fn wrong(name: &str, value: &str, right: &str) -> SinkError {
    SinkError::new(format!("{name} is `{value}`: {right}"))
}

impl Sinks {
    /// Takes the interval from OpenTelemetry's `OTEL_METRIC_EXPORT_INTERVAL`, in milliseconds, if it is set.
    ///
    /// `variable` looks a variable up: `|name| std::env::var(name).ok()`.
    ///
    /// # Errors
    ///
    /// If it is no number above zero; the error names the variable and what would be right.
    pub fn interval_from_env(
        self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SinkError> {
        let interval = Environment(&variable).millis(&["OTEL_METRIC_EXPORT_INTERVAL"])?;
        Ok(match interval {
            Some(interval) => self.interval(interval),
            None => self,
        })
    }
}
