//! The wire format of protocol buffers: fields, and messages inside of each other.

/// Appends to a page.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    page: &'a mut Vec<u8>,
}

/// A message whose length is not known yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    start: usize,
    /// So many bytes are kept free for the length before it.
    room: usize,
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(page: &'a mut Vec<u8>) -> Self {
        Self { page }
    }

    pub(crate) fn len(&self) -> usize {
        self.page.len()
    }

    /// As if the message had never begun.
    pub(crate) fn take_back(&mut self, Open { start, room }: Open) {
        self.page.truncate(start.saturating_sub(room));
    }

    /// As if what comes after so many bytes had never been written.
    #[cfg(feature = "otlp")]
    pub(crate) fn truncate(&mut self, length: usize) {
        self.page.truncate(length);
    }

    /// The beginning of a message without a field, as in a stream of them.
    pub(crate) fn delimited(&mut self) -> Open {
        self.open(&[0])
    }

    /// The beginning of a message of less than 128 bytes, most likely.
    #[inline]
    pub(crate) fn begin(&mut self, field: u32) -> Open {
        self.tag(field, WireType::Delimited);
        self.open(&[0])
    }

    /// The beginning of a message of 128 bytes to 16 KiB, most likely.
    #[inline]
    pub(crate) fn begin_long(&mut self, field: u32) -> Open {
        self.tag(field, WireType::Delimited);
        self.open(&[0, 0])
    }

    fn open(&mut self, room: &[u8]) -> Open {
        self.page.extend_from_slice(room);
        Open {
            start: self.page.len(),
            room: room.len(),
        }
    }

    #[inline]
    pub(crate) fn end(&mut self, Open { start, room }: Open) {
        let length = self.page.len().saturating_sub(start);
        let (varint, used) = varint(length as u64);
        let length = varint.get(..used).unwrap_or_default();
        let place = start.saturating_sub(room)..start;
        match self.page.get_mut(place.clone()) {
            Some(place) if room == used => place.copy_from_slice(length),
            // The message moves.
            _ => drop(self.page.splice(place, length.iter().copied())),
        }
    }

    /// A message of two strings.
    #[inline]
    pub(crate) fn strings(
        &mut self,
        field: u32,
        (one, first): (u32, &str),
        (other, second): (u32, &str),
    ) {
        /// The tags and the lengths of both.
        const HEADS: usize = 4;
        let length = HEADS + first.len() + second.len();
        if let (Ok(length @ ..0x80), Some(one), Some(other)) = (
            u8::try_from(length),
            short_tag(one, WireType::Delimited),
            short_tag(other, WireType::Delimited),
        ) {
            #[expect(clippy::cast_possible_truncation, reason = "shorter than both")]
            let (first_length, second_length) = (first.len() as u8, second.len() as u8);
            self.tag(field, WireType::Delimited);
            self.page.extend_from_slice(&[length, one, first_length]);
            self.page.extend_from_slice(first.as_bytes());
            self.page.extend_from_slice(&[other, second_length]);
            self.page.extend_from_slice(second.as_bytes());
            return;
        }
        let message = self.begin(field);
        self.string(one, first);
        self.string(other, second);
        self.end(message);
    }

    /// A message of a whole number and a float.
    #[inline]
    pub(crate) fn numbers(
        &mut self,
        field: u32,
        (one, whole): (u32, u64),
        (other, float): (u32, f64),
    ) {
        if let (Ok(whole @ ..0x80), Some(field), Some(one), Some(other)) = (
            u8::try_from(whole),
            short_tag(field, WireType::Delimited),
            short_tag(one, WireType::Varint),
            short_tag(other, WireType::Fixed64),
        ) {
            /// The tags, the whole number, and eight bytes of the float.
            const LENGTH: u8 = 11;
            self.page
                .extend_from_slice(&[field, LENGTH, one, whole, other]);
            self.page.extend_from_slice(&bits(float));
            return;
        }
        let message = self.begin(field);
        self.unsigned(one, whole);
        self.double(other, float);
        self.end(message);
    }

    #[inline]
    fn tag(&mut self, field: u32, wire: WireType) {
        self.varint(u64::from(field << 3 | wire as u32));
    }

    #[inline]
    fn varint(&mut self, value: u64) {
        if let Ok(short @ ..0x80) = u8::try_from(value) {
            return self.page.push(short);
        }
        let (varint, used) = varint(value);
        self.page
            .extend_from_slice(varint.get(..used).unwrap_or_default());
    }

    #[inline]
    pub(crate) fn unsigned(&mut self, field: u32, value: u64) {
        self.tag(field, WireType::Varint);
        self.varint(value);
    }

    /// `sint32` and `sint64`.
    pub(crate) fn zigzag(&mut self, field: u32, value: i64) {
        #[expect(clippy::cast_sign_loss, reason = "the sign is the lowest bit now")]
        self.unsigned(field, ((value << 1) ^ (value >> 63)) as u64);
    }

    #[inline]
    pub(crate) fn double(&mut self, field: u32, value: f64) {
        self.tag(field, WireType::Fixed64);
        self.page.extend_from_slice(&bits(value));
    }

    #[cfg(feature = "otlp")]
    pub(crate) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, WireType::Fixed64);
        self.page.extend_from_slice(&value.to_le_bytes());
    }

    /// `repeated fixed64`, or `double` by its bits.
    #[cfg(feature = "otlp")]
    pub(crate) fn packed_fixed64(&mut self, field: u32, values: impl Iterator<Item = u64>) {
        let message = self.begin(field);
        for value in values {
            self.page.extend_from_slice(&value.to_le_bytes());
        }
        self.end(message);
    }

    /// `repeated uint64`.
    #[cfg(feature = "otlp")]
    pub(crate) fn packed_varint(&mut self, field: u32, values: impl Iterator<Item = u64>) {
        let message = self.begin(field);
        for value in values {
            self.varint(value);
        }
        self.end(message);
    }

    #[cfg(feature = "otlp")]
    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, WireType::Delimited);
        self.varint(value.len() as u64);
        self.raw(value);
    }

    /// Fields that are written already.
    #[cfg(feature = "otlp")]
    pub(crate) fn raw(&mut self, fields: &[u8]) {
        self.page.extend_from_slice(fields);
    }

    /// Also of a NaN that means something.
    #[cfg(feature = "remote-write")]
    pub(crate) fn exact_double(&mut self, field: u32, value: f64) {
        self.tag(field, WireType::Fixed64);
        self.page.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn string(&mut self, field: u32, value: &str) {
        self.tag(field, WireType::Delimited);
        self.varint(value.len() as u64);
        self.page.extend_from_slice(value.as_bytes());
    }
}

#[derive(Clone, Copy, Debug)]
enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Delimited = 2,
}

/// The tag of a field below 16, which is one byte.
#[inline]
fn short_tag(field: u32, wire: WireType) -> Option<u8> {
    let tag = u8::try_from(field << 3 | wire as u32).ok();
    tag.filter(|tag| *tag < 0x80)
}

#[inline]
fn bits(value: f64) -> [u8; 8] {
    // One NaN for all: another stands in Prometheus for a series that is gone.
    let value = if value.is_nan() { f64::NAN } else { value };
    value.to_le_bytes()
}

/// Seven bits a byte, the least first; and how many bytes of it are used.
#[inline]
pub(crate) fn varint(mut value: u64) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let mut used = 0;
    for byte in &mut bytes {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        used += 1;
        if value == 0 {
            *byte = low;
            break;
        }
        *byte = low | 0x80;
    }
    (bytes, used)
}
