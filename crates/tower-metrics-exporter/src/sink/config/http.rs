//! What the configurations of sinks over HTTP have in common.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// A name, and the file with its password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BasicConfig {
    /// The name.
    pub user: String,
    /// The file with the password, which is read anew each time.
    pub password_file: PathBuf,
}

/// Headers by their names. `Debug` does not show what they say.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[non_exhaustive]
pub struct HeadersConfig(pub BTreeMap<String, String>);

impl fmt::Debug for HeadersConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.keys().map(|name| (name, format_args!("…"))))
            .finish()
    }
}

/// A configuration with the settings that every sink over HTTP has, and its own before them.
macro_rules! http_config {
    (
        $(#[$attribute:meta])*
        $name:ident {
            $($(#[$of_field:meta])* $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $name {
            /// The address, of http or https.
            pub url: String,
            $($(#[$of_field])* pub $field: $type,)*
            /// The file with the token of `Authorization: Bearer`, which is read anew each time.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub bearer_file: Option<std::path::PathBuf>,
            /// A name and a password, for `Authorization: Basic`; not with `bearer_file`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub basic: Option<$crate::sink::config::BasicConfig>,
            /// More headers.
            #[serde(default, skip_serializing_if = "crate::sink::config::http::is_empty")]
            pub headers: $crate::sink::config::HeadersConfig,
            /// How long an attempt may take: 10 seconds unless set.
            #[serde(
                default,
                with = "crate::sink::config::time",
                skip_serializing_if = "Option::is_none"
            )]
            pub timeout: Option<std::time::Duration>,
            /// How many bytes may wait to be sent: 32 MiB unless set.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub buffer: Option<usize>,
        }
    };
}

/// Sets, of a sink over HTTP, what every one has.
macro_rules! set_http {
    ($config:ident, $sink:ident) => {
        match (&$config.bearer_file, &$config.basic) {
            (Some(_), Some(_)) => {
                return Err($crate::SinkError::new(
                    "basic: bearer_file is there, too: give one of them",
                ));
            }
            (Some(file), None) => $sink = $sink.bearer_file(file),
            (None, Some(basic)) => $sink = $sink.basic_file(&*basic.user, &*basic.password_file),
            (None, None) => {}
        }
        for (name, value) in &$config.headers.0 {
            $sink = $sink
                .header(name, value)
                .map_err(|error| error.of("headers"))?;
        }
        if let Some(timeout) = $config.timeout {
            $sink = $sink.timeout(timeout);
        }
        if let Some(buffer) = $config.buffer {
            $sink = $sink.buffer(buffer);
        }
    };
}
pub(super) use {http_config, set_http};

pub(super) fn is_empty(headers: &HeadersConfig) -> bool {
    headers.0.is_empty()
}
