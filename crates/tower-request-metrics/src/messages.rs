use bytes::Buf;
use http::{HeaderMap, header::CONTENT_TYPE};

/// Counts gRPC messages by their length prefixes, as the frames of a body go by, and keeps nothing but the
/// trailers that grpc-web puts into the body.
///
/// A frame that is not one piece of memory cannot be read without taking it apart: counting ends there.
#[derive(Debug)]
pub(crate) struct Messages {
    /// The first bytes of the next prefix: one of flags, four of length.
    prefix: [u8; 5],
    filled: u8,
    /// Bytes to come of the present message.
    left: u32,
    state: State,
    /// What is not yet a whole byte of grpc-web-text's base64, if this is some.
    text: Option<Sextets>,
    /// grpc-web's trailers, as far as they are kept.
    #[expect(
        clippy::box_collection,
        reason = "one word in every recording, and rarely there"
    )]
    trailers: Option<Box<Vec<u8>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Message,
    Trailers,
    Lost,
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

impl Messages {
    pub(crate) const fn new() -> Self {
        Self {
            prefix: [0; 5],
            filled: 0,
            left: 0,
            state: State::Message,
            text: None,
            trailers: None,
        }
    }

    /// Those of a body with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let kind = headers.get(CONTENT_TYPE);
        let start = kind.and_then(|kind| kind.as_bytes().get(..TEXT.len()));
        let is_text = start.is_some_and(|start| start.eq_ignore_ascii_case(TEXT));
        Self {
            text: is_text.then(Sextets::default),
            ..Self::new()
        }
    }

    /// How many messages begin in this frame.
    pub(crate) fn frame<D: Buf>(&mut self, data: &D) -> u64 {
        let chunk = data.chunk();
        if chunk.len() < data.remaining() {
            self.state = State::Lost;
        }
        if self.state == State::Lost {
            return 0;
        }
        let Some(mut text) = self.text else {
            return self.bytes(chunk);
        };
        let mut messages = 0;
        for character in chunk {
            if let Some(byte) = text.take(*character) {
                messages += self.bytes(&[byte]);
            }
        }
        self.text = Some(text);
        messages
    }

    fn bytes(&mut self, mut bytes: &[u8]) -> u64 {
        let mut messages = 0;
        while !bytes.is_empty() {
            if self.left > 0 {
                let (content, rest) = bytes.split_at(bytes.len().min(self.left as usize));
                if self.state == State::Trailers {
                    let trailers = self.trailers.get_or_insert_default();
                    let room = MAX_TRAILERS.saturating_sub(trailers.len());
                    trailers.extend(content.iter().take(room));
                }
                let taken = u32::try_from(content.len()).unwrap_or(u32::MAX);
                self.left = self.left.saturating_sub(taken);
                bytes = rest;
                continue;
            }
            let (Some(place), Some((byte, rest))) = (
                self.prefix.get_mut(usize::from(self.filled)),
                bytes.split_first(),
            ) else {
                return messages;
            };
            *place = *byte;
            self.filled += 1;
            bytes = rest;
            if usize::from(self.filled) == self.prefix.len() {
                let [flags, length @ ..] = self.prefix;
                self.filled = 0;
                self.left = u32::from_be_bytes(length);
                if flags & TRAILERS == 0 {
                    self.state = State::Message;
                    messages += 1;
                } else {
                    self.state = State::Trailers;
                }
            }
        }
        messages
    }

    /// The status in grpc-web's trailers, as trailers of their own.
    pub(crate) fn web_trailers(&self) -> Option<HeaderMap> {
        let text = std::str::from_utf8(self.trailers.as_ref()?).ok()?;
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
        assert_eq!(messages.trailers.as_ref().unwrap().len(), MAX_TRAILERS);
        assert_eq!(web_status(&messages), None);
    }
}
