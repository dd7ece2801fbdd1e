use bytes::Buf;
use http::{HeaderMap, header::CONTENT_TYPE};

/// Counts gRPC messages by their length prefixes, as the frames of a body go by, and keeps nothing but the
/// trailers that grpc-web puts into the body.
///
/// A frame that is not one piece of memory cannot be read without taking it apart: counting ends there.
#[derive(Debug)]
pub(crate) struct Messages {
    state: State,
    web: Option<Box<Web>>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many of the next prefix's bytes are there: one of flags, four of length.
    Prefix { filled: u8, bytes: [u8; 4] },
    /// So many bytes are to come of the present message.
    Message { left: u32 },
    /// So many bytes are to come of grpc-web's trailers.
    Trailers { left: u32 },
    /// A frame could not be read.
    Lost,
}

/// What only grpc-web has: one word in every recording, and rarely there.
#[derive(Debug, Default)]
struct Web {
    /// What is not yet a whole byte of grpc-web-text's base64, if this is some.
    text: Option<Sextets>,
    /// The trailers, as far as they are kept.
    trailers: Vec<u8>,
}

/// grpc-web's trailers are kept up to this; `grpc-status` stands first or nearly so.
const MAX_TRAILERS: usize = 1024;

const TRAILERS: u8 = 0x80;

const TEXT: &[u8] = b"application/grpc-web-text";

/// Bits of base64 that wait for more.
#[derive(Clone, Copy, Debug, Default)]
struct Sextets {
    bits: u16,
    count: u8,
}

impl Sextets {
    /// Takes one character; every piece of a body may be padded, and begins anew after it.
    fn take(&mut self, character: u8) -> Option<u8> {
        let sextet = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => {
                *self = Self::default();
                return None;
            }
        };
        // Six bits at most were waiting.
        let bits = self.bits << 6 | u16::from(sextet);
        let Some(rest) = (self.count + 6).checked_sub(8) else {
            (self.bits, self.count) = (bits, self.count + 6);
            return None;
        };
        (self.bits, self.count) = (bits & ((1 << rest) - 1), rest);
        u8::try_from(bits >> rest).ok()
    }
}

impl State {
    const START: Self = Self::Prefix {
        filled: 0,
        bytes: [0; 4],
    };
}

impl Messages {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::START,
            web: None,
        }
    }

    /// Those of a body with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let kind = headers.get(CONTENT_TYPE);
        let start = kind.and_then(|kind| kind.as_bytes().get(..TEXT.len()));
        let is_text = start.is_some_and(|start| start.eq_ignore_ascii_case(TEXT));
        let mut messages = Self::new();
        if is_text {
            messages.web().text = Some(Sextets::default());
        }
        messages
    }

    fn web(&mut self) -> &mut Web {
        self.web.get_or_insert_default()
    }

    /// How many messages begin in this frame.
    pub(crate) fn frame<D: Buf>(&mut self, data: &D) -> u64 {
        let chunk = data.chunk();
        if chunk.len() < data.remaining() {
            self.state = State::Lost;
        }
        if matches!(self.state, State::Lost) {
            return 0;
        }
        let Some(mut text) = self.web.as_ref().and_then(|web| web.text) else {
            return self.bytes(chunk);
        };
        let mut messages = 0;
        for character in chunk {
            if let Some(byte) = text.take(*character) {
                messages += self.bytes(&[byte]);
            }
        }
        self.web().text = Some(text);
        messages
    }

    fn bytes(&mut self, mut piece: &[u8]) -> u64 {
        let mut messages = 0;
        while let Some((first, rest)) = piece.split_first() {
            match self.state {
                State::Lost => break,
                State::Prefix { filled, mut bytes } => {
                    piece = rest;
                    if let Some(place) = bytes.get_mut(usize::from(filled)) {
                        // The flags, and all of the length but its last byte.
                        *place = *first;
                        let filled = filled + 1;
                        self.state = State::Prefix { filled, bytes };
                        continue;
                    }
                    let [flags, a, b, c] = bytes;
                    let left = u32::from_be_bytes([a, b, c, *first]);
                    if flags & TRAILERS == 0 {
                        messages += 1;
                        self.state = State::Message { left };
                    } else {
                        self.state = State::Trailers { left };
                    }
                }
                State::Message { left } => {
                    let (content, rest) = take(piece, left);
                    self.state = State::Message {
                        left: left - content,
                    };
                    piece = rest;
                }
                State::Trailers { left } => {
                    let (content, rest) = take(piece, left);
                    self.state = State::Trailers {
                        left: left - content,
                    };
                    let trailers = &mut self.web().trailers;
                    let room = MAX_TRAILERS.saturating_sub(trailers.len());
                    trailers.extend(piece.iter().take(room.min(content as usize)));
                    piece = rest;
                }
            }
            if let State::Message { left: 0 } | State::Trailers { left: 0 } = self.state {
                self.state = State::START;
            }
        }
        messages
    }

    /// The status in grpc-web's trailers, as trailers of their own.
    pub(crate) fn web_trailers(&self) -> Option<HeaderMap> {
        let text = std::str::from_utf8(&self.web.as_ref()?.trailers).ok()?;
        let value = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim()
                .eq_ignore_ascii_case("grpc-status")
                .then(|| value.trim())
        })?;
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", value.parse().ok()?);
        Some(headers)
    }
}

/// Splits off at most so many bytes, and tells how many.
fn take(piece: &[u8], left: u32) -> (u32, &[u8]) {
    let taken = u32::try_from(piece.len()).map_or(left, |length| length.min(left));
    (taken, piece.get(taken as usize..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use tower_observe::grpc::Code;

    use super::*;

    fn web_status(messages: &Messages) -> Option<Code> {
        Code::from_headers(&messages.web_trailers()?)
    }

    fn message(flags: u8, content: &[u8]) -> Vec<u8> {
        let mut message = vec![flags];
        message.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
        message.extend_from_slice(content);
        message
    }

    fn stream() -> Vec<u8> {
        let mut stream = message(0, b"one");
        stream.extend(message(1, b""));
        stream.extend(message(0, &[7; 300]));
        stream.extend(message(0x80, b"grpc-status: 5\r\ngrpc-message: no\r\n"));
        stream
    }

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let stream = stream();
        for size in 1..stream.len() {
            let mut messages = Messages::new();
            let count: u64 = stream
                .chunks(size)
                .map(|chunk| messages.frame(&chunk))
                .sum();
            assert_eq!(count, 3, "in pieces of {size}");
            assert_eq!(web_status(&messages), Some(Code::NotFound));
        }
    }

    #[test]
    fn base64_is_read_however_it_is_cut_and_padded() {
        // Two messages of "one" and "two!", the second padded on its own, then trailers.
        let text = b"AAAAAANvbmU=AAAAAAR0d28hgAAAAA5ncnBjLXN0YXR1czogNQ==";
        let mut headers = HeaderMap::new();
        let kind = http::HeaderValue::from_static("application/grpc-web-text+proto");
        headers.insert(CONTENT_TYPE, kind);
        for size in 1..=text.len() {
            let mut messages = Messages::of(&headers);
            let count: u64 = text.chunks(size).map(|chunk| messages.frame(&chunk)).sum();
            assert_eq!(count, 2, "in pieces of {size}");
            assert_eq!(web_status(&messages), Some(Code::NotFound));
        }
    }

    #[test]
    fn a_frame_in_several_pieces_ends_the_count() {
        let stream = stream();
        let (start, end) = stream.split_at(4);
        let mut messages = Messages::new();
        assert_eq!(messages.frame(&start.chain(end)), 0);
        assert_eq!(messages.frame(&&stream[..]), 0);
        assert_eq!(web_status(&messages), None);
    }

    #[test]
    fn enormous_trailers_are_not_kept() {
        let mut messages = Messages::new();
        messages.frame(&&message(0x80, &vec![b'a'; 1 << 20])[..]);
        assert_eq!(messages.web().trailers.len(), MAX_TRAILERS);
        assert_eq!(web_status(&messages), None);
    }
}
