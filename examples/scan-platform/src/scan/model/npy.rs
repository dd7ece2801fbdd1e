//! NumPy's `.npy`: a header, then raw numbers, or one pickle if the array holds objects.

use super::pickle::{self, HEAD, Input, Looks, Stop, looks};
use crate::scan::finding::Severity;
use crate::scan::report::Report;
use crate::scan::source::Context;

const MAGIC: &[u8] = b"\x93NUMPY";

/// Longest header read; NumPy itself refuses more than 10,000 bytes unless told otherwise.
const MAX_HEADER: u64 = 1 << 20;

pub(super) fn is_npy(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// Reads the header from `input` and walks the pickle after it, if there is one.
pub(super) fn scan(
    input: &mut Input<'_>,
    place: &str,
    context: Context<'_>,
    report: &mut Report,
) -> Result<(), Stop> {
    input.take(MAGIC.len() as u64, 0)?;
    let version = input.number(2)? & 0xff;
    let length = match version {
        1 => input.number(2)?,
        2 | 3 => input.number(4)?,
        other => {
            return Err(Stop::Malformed(format!(
                "version {other} does not exist; 1, 2 and 3 do"
            )));
        }
    };
    if length > MAX_HEADER {
        return Err(Stop::Malformed(format!(
            "its header is said to have {length} bytes; {MAX_HEADER} are the most"
        )));
    }
    let header = input.take(length, usize::MAX)?;
    let header = String::from_utf8_lossy(&header);
    if !header.trim_start().starts_with('{') || !header.contains("descr") {
        return Err(Stop::Malformed(
            "its header is no dictionary with a 'descr'".to_owned(),
        ));
    }
    let objects = holds_objects(&header);
    // NumPy evaluates the header as a Python literal, so 'O' has many spellings; a pickle is looked for in any case.
    let certain = looks(input.peek(HEAD)?) == Looks::Certain;
    if !objects && !certain {
        return Ok(());
    }
    report.add(
        Severity::Low,
        "pickled-array",
        place,
        "an array of objects is a pickle: numpy.load needs allow_pickle=True for it, which trusts the file",
    );
    match pickle::walk(input, place, context, report) {
        Err(Stop::Truncated | Stop::Malformed(_)) if !objects => Ok(()),
        end => end.map(drop),
    }
}

/// Whether the dtype in `header` is or contains the object type: `'|O'`, `'O'`, `'O8'`, or a field with one of those.
fn holds_objects(header: &str) -> bool {
    header.split(['\'', '"']).skip(1).step_by(2).any(|text| {
        let code = text.trim_start_matches(['|', '<', '>', '=']);
        code.strip_prefix('O')
            .is_some_and(|size| size.bytes().all(|byte| byte.is_ascii_digit()))
            || text.contains('\\')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_arrays_are_told_by_their_dtype() {
        assert!(holds_objects(
            "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
        ));
        assert!(holds_objects(
            "{'descr': [('a', '<f4'), ('b', 'O')], 'shape': ()}"
        ));
        assert!(holds_objects(r"{'descr': '|\x4f', 'shape': ()}"));
        assert!(!holds_objects(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"
        ));
        assert!(!holds_objects(
            "{'descr': [('Offset', '<f4')], 'shape': ()}"
        ));
    }
}
