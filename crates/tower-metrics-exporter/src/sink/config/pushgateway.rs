use std::collections::BTreeMap;

use super::http::{http_config, set_http};
use crate::{Pushgateway, SinkError};

http_config! {
    /// A [`Pushgateway`].
    PushgatewayConfig {
        /// The job, in whose group is pushed.
        job: String,
        /// Labels of the grouping key.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        group: BTreeMap<String, String>,
        /// Whether only families of the same names are replaced in the group; not unless set.
        #[serde(default, skip_serializing_if = "super::is_false")]
        add: bool,
        /// Whether the group is deleted at shutdown; not unless set.
        #[serde(default, skip_serializing_if = "super::is_false")]
        delete_on_exit: bool,
    }
}

impl PushgatewayConfig {
    /// What it describes.
    ///
    /// # Errors
    ///
    /// If it cannot be: the error names the key, what was given, and what would be right.
    pub fn sink(&self) -> Result<Pushgateway, SinkError> {
        if self.job.is_empty() {
            return Err(SinkError::new("job: it is empty: give it a name"));
        }
        let sink = Pushgateway::new(&self.url, &*self.job);
        let mut sink = sink.map_err(|error| error.of("url"))?;
        for (label, value) in &self.group {
            sink = sink
                .group(label, value)
                .map_err(|error| error.of("group"))?;
        }
        if self.add {
            sink = sink.add();
        }
        if self.delete_on_exit {
            sink = sink.delete_on_exit();
        }
        set_http!(self, sink);
        Ok(sink)
    }
}
