use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::http::{http_config, set_http};
use crate::{Otlp, SinkError};

/// How OTLP is spoken, by OpenTelemetry's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// Protobuf over HTTP, to `v1/metrics` below the address.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    /// Over gRPC.
    #[serde(rename = "grpc")]
    Grpc,
}

/// How requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OtlpCompression {
    /// Not at all.
    #[default]
    None,
    /// By gzip, with the feature `gzip`.
    #[cfg(feature = "gzip")]
    Gzip,
}

http_config! {
    /// An [`Otlp`].
    OtlpConfig {
        /// `http/protobuf` unless set.
        #[serde(default)]
        protocol: OtlpProtocol,
        /// `none` unless set.
        #[serde(default)]
        compression: OtlpCompression,
        /// Attributes of the resource, such as `service.name`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        resource: BTreeMap<String, String>,
        /// How many data points a request has at most: 2,000 unless set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_points: Option<usize>,
        /// How many bytes a request has at most, before it is compressed: 4 MiB unless set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_bytes: Option<usize>,
    }
}

impl OtlpConfig {
    /// What it describes.
    ///
    /// # Errors
    ///
    /// If it cannot be: the error names the key, what was given, and what would be right.
    pub fn sink(&self) -> Result<Otlp, SinkError> {
        let sink = match self.protocol {
            OtlpProtocol::HttpProtobuf => Otlp::http(&self.url),
            OtlpProtocol::Grpc => Otlp::grpc(&self.url),
        };
        let mut sink = sink.map_err(|error| error.of("url"))?;
        match self.compression {
            OtlpCompression::None => {}
            #[cfg(feature = "gzip")]
            OtlpCompression::Gzip => sink = sink.gzip(),
        }
        for (name, value) in &self.resource {
            sink = sink.resource(name, value);
        }
        if let Some(points) = self.max_points {
            sink = sink.max_points(points);
        }
        if let Some(bytes) = self.max_bytes {
            sink = sink.max_bytes(bytes);
        }
        set_http!(self, sink);
        Ok(sink)
    }
}
