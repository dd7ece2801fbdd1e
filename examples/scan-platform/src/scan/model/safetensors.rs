//! safetensors: a length, a JSON header, then the tensors it describes, without holes.
//!
//! The format exists so that loading runs nothing; what can still be wrong is a header that does not describe the file,
//! which loaders not written in Rust have read beyond their buffers for.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::pickle::Stop;
use crate::scan::finding::Severity;
use crate::scan::report::Report;
use crate::scan::source::Context;
use crate::scan::text::clip;

const RULE: &str = "safetensors-layout";

/// More metadata than this is no description any more.
const MAX_METADATA: usize = 1 << 20;

/// Whether `head` is a length followed by the start of a JSON object, which no other format begins with.
pub(super) fn is_safetensors(head: &[u8]) -> bool {
    head.get(8) == Some(&b'{')
}

pub(super) fn scan(
    mut source: impl Read,
    size: u64,
    place: &str,
    context: Context<'_>,
    report: &mut Report,
) -> Result<(), Stop> {
    let mut length = [0; 8];
    source.read_exact(&mut length).map_err(Stop::Io)?;
    let length = u64::from_le_bytes(length);
    let after = size.saturating_sub(8);
    if length > after {
        return Err(Stop::Malformed(format!(
            "its header is said to have {length} bytes, but only {after} follow"
        )));
    }
    let limit = context.limits.max_header_bytes;
    if length > limit {
        return Err(Stop::Limit("max_header_bytes", limit));
    }
    // Read as a stream: the length is the file's word and sizes no buffer.
    let header: Header = serde_json::from_reader(source.take(length)).map_err(|error| {
        if error.is_io() {
            Stop::Io(error.into())
        } else {
            Stop::Malformed(format!("its header: {}", clip(&error.to_string(), 200)))
        }
    })?;
    check(header, after.saturating_sub(length), place, report);
    Ok(())
}

fn check(header: Header, data: u64, place: &str, report: &mut Report) {
    let Header {
        mut tensors,
        metadata,
        repeated,
    } = header;
    if metadata > MAX_METADATA {
        let message =
            format!("{metadata} bytes of metadata: more than describing the tensors takes");
        report.add(
            Severity::Low,
            RULE,
            format!("{place}:__metadata__"),
            message,
        );
    }
    for name in repeated {
        let message = "described twice: loaders disagree about which description holds";
        report.add(
            Severity::High,
            RULE,
            format!("{place}:{}", clip(&name, 120)),
            message,
        );
    }
    for Tensor {
        name,
        dtype,
        shape,
        data_offsets: (begin, end),
    } in &tensors
    {
        let mut add = |severity, message: String| {
            report.add(
                severity,
                RULE,
                format!("{place}:{}", clip(name, 120)),
                message,
            );
        };
        if begin > end || *end > data {
            add(
                Severity::High,
                format!("bytes {begin} to {end} are not within the {data} bytes of data"),
            );
            continue;
        }
        let Some(bits) = bits(dtype) else {
            add(
                Severity::Medium,
                format!("unknown dtype {:?}", clip(dtype, 20)),
            );
            continue;
        };
        let wanted = shape
            .iter()
            .try_fold(bits, |bits, &side| bits.checked_mul(side))
            .map(|bits| bits.div_ceil(8));
        let given = end - begin;
        if wanted != Some(given) {
            let wanted = wanted.map_or("more than 2^64".to_owned(), |wanted| wanted.to_string());
            add(
                Severity::High,
                format!("its shape and dtype take {wanted} bytes, its range has {given}"),
            );
        }
    }
    tensors.retain(|tensor| {
        tensor.data_offsets.0 <= tensor.data_offsets.1 && tensor.data_offsets.1 <= data
    });
    tensors.sort_by(|a, b| (a.data_offsets, &a.name).cmp(&(b.data_offsets, &b.name)));
    let mut expected = 0;
    for Tensor {
        name,
        data_offsets: (begin, end),
        ..
    } in &tensors
    {
        let location = || format!("{place}:{}", clip(name, 120));
        if *begin < expected {
            let message = format!(
                "bytes {begin} to {} belong to another tensor as well",
                expected.min(*end)
            );
            report.add(Severity::High, RULE, location(), message);
        } else if *begin > expected {
            report.add(
                Severity::Medium,
                RULE,
                location(),
                format!("bytes {expected} to {begin} belong to no tensor"),
            );
        }
        expected = expected.max(*end);
    }
    if expected < data {
        report.add(
            Severity::Medium,
            RULE,
            place,
            format!("bytes {expected} to {data} of data belong to no tensor"),
        );
    }
}

/// Bits of one element.
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => 8,
        "I16" | "U16" | "F16" | "BF16" => 16,
        "I32" | "U32" | "F32" => 32,
        "I64" | "U64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

#[derive(Debug, Default)]
struct Header {
    tensors: Vec<Tensor>,
    metadata: usize,
    repeated: Vec<String>,
}

#[derive(Debug)]
struct Tensor {
    name: String,
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

#[derive(Deserialize)]
struct Description {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// Keeps repeated names, which a map would swallow.
struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that describes tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                header.metadata = map.next_value::<Metadata>()?.0;
                continue;
            }
            if !names.insert(name.clone()) {
                map.next_value::<IgnoredAny>()?;
                header.repeated.push(name);
                continue;
            }
            let Description {
                dtype,
                shape,
                data_offsets,
            } = map.next_value()?;
            header.tensors.push(Tensor {
                name,
                dtype,
                shape,
                data_offsets,
            });
        }
        Ok(header)
    }
}

/// Bytes of all names and values.
struct Metadata(usize);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl<'de> Visitor<'de> for Sizes {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut bytes = 0_usize;
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
                }
                Ok(Metadata(bytes))
            }
        }
        deserializer.deserialize_map(Sizes)
    }
}
