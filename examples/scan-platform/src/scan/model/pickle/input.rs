//! A pickle's bytes, streamed: nothing is held but a buffer and the few bytes asked for.

use std::io::{self, Read};

/// Why a pickle cannot be walked to its end.
#[derive(Debug)]
pub(in crate::scan::model) enum Stop {
    /// The bytes end before a STOP opcode.
    Truncated,
    /// The bytes are no pickle.
    Malformed(String),
    /// One of the limits: its name and value.
    Limit(&'static str, u64),
    /// The bytes cannot be read.
    Io(io::Error),
}

const BUFFER: usize = 32 << 10;

/// Streams bytes, counts them, and can be bounded so that a pickle inside a byte string ends where the string does.
pub(in crate::scan::model) struct Input<'a> {
    source: &'a mut dyn Read,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    position: u64,
    bound: u64,
}

impl<'a> Input<'a> {
    pub(in crate::scan::model) fn new(source: &'a mut dyn Read) -> Self {
        Self {
            source,
            buffer: vec![0; BUFFER].into(),
            start: 0,
            end: 0,
            position: 0,
            bound: u64::MAX,
        }
    }

    /// Bytes taken so far.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Ends the input `length` bytes from here, or where it was to end before if that is sooner; gives back the old bound.
    pub(super) fn bound_to(&mut self, length: u64) -> u64 {
        let bound = self.position.saturating_add(length).min(self.bound);
        std::mem::replace(&mut self.bound, bound)
    }

    pub(super) const fn set_bound(&mut self, bound: u64) {
        self.bound = bound;
    }

    fn fill(&mut self, wanted: usize) -> Result<&[u8], Stop> {
        let wanted = wanted.min(BUFFER);
        if self.end - self.start < wanted {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            while self.end < wanted {
                let Some(free) = self.buffer.get_mut(self.end..) else {
                    break;
                };
                match self.source.read(free) {
                    Ok(0) => break,
                    Ok(read) => self.end += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(Stop::Io(error)),
                }
            }
        }
        let left = usize::try_from(self.bound.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let end = self.end.min(self.start.saturating_add(left));
        Ok(self.buffer.get(self.start..end).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        self.position = self.position.saturating_add(count as u64);
    }

    /// Up to `wanted` of the bytes that come next, without taking them.
    pub(in crate::scan::model) fn peek(&mut self, wanted: usize) -> Result<&[u8], Stop> {
        let bytes = self.fill(wanted)?;
        Ok(bytes.get(..wanted.min(bytes.len())).unwrap_or_default())
    }

    pub(super) fn byte(&mut self) -> Result<u8, Stop> {
        let byte = self.fill(1)?.first().copied().ok_or(Stop::Truncated)?;
        self.consume(1);
        Ok(byte)
    }

    /// A little-endian number of `width` bytes, 8 at most.
    pub(in crate::scan::model) fn number(&mut self, width: usize) -> Result<u64, Stop> {
        let mut value = 0_u64;
        for shift in 0..width.min(8) {
            value |= u64::from(self.byte()?) << (8 * shift);
        }
        Ok(value)
    }

    /// Takes `length` bytes and keeps the first `keep`.
    pub(in crate::scan::model) fn take(
        &mut self,
        length: u64,
        keep: usize,
    ) -> Result<Vec<u8>, Stop> {
        let mut kept = Vec::new();
        let mut left = length;
        while left > 0 {
            let bytes = self.fill(1)?;
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if count == 0 {
                return Err(Stop::Truncated);
            }
            let room = keep.saturating_sub(kept.len()).min(count);
            kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
            self.consume(count);
            left -= count as u64;
        }
        Ok(kept)
    }

    /// Takes a line with its newline and keeps its first `keep` bytes; also says how long it was without the newline.
    /// The end of the bytes ends a line too, as it does for CPython.
    pub(super) fn line(&mut self, keep: usize) -> Result<(Vec<u8>, u64), Stop> {
        let mut kept = Vec::new();
        let mut length = 0_u64;
        loop {
            let bytes = self.fill(1)?;
            if bytes.is_empty() {
                return if length == 0 {
                    Err(Stop::Truncated)
                } else {
                    Ok((kept, length))
                };
            }
            let newline = bytes.iter().position(|&byte| byte == b'\n');
            let count = newline.unwrap_or(bytes.len());
            let room = keep.saturating_sub(kept.len()).min(count);
            kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
            self.consume(count);
            length = length.saturating_add(count as u64);
            if newline.is_some() {
                self.consume(1);
                return Ok((kept, length));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_ends_the_input_and_lifting_it_goes_on() {
        let mut bytes: &[u8] = b"abc\ndef";
        let mut input = Input::new(&mut bytes);
        let old = input.bound_to(2);
        assert_eq!(input.peek(9).unwrap(), b"ab");
        assert_eq!(input.line(9).unwrap(), (b"ab".to_vec(), 2));
        assert!(matches!(input.byte(), Err(Stop::Truncated)));
        input.set_bound(old);
        assert_eq!(input.line(9).unwrap(), (b"c".to_vec(), 1));
        assert_eq!(input.take(3, 1).unwrap(), b"d");
        assert_eq!(input.position(), 7);
    }

    #[test]
    fn a_length_beyond_the_end_allocates_nothing() {
        let mut bytes: &[u8] = b"abc";
        assert!(matches!(
            Input::new(&mut bytes).take(u64::MAX, usize::MAX),
            Err(Stop::Truncated)
        ));
    }
}
