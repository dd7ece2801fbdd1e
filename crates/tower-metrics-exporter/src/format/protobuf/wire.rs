//! The wire format of protocol buffers: fields, and messages inside of each other.

/// Appends to a page.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    page: &'a mut Vec<u8>,
}

/// A message whose length is not known yet: one byte is kept free for it before this position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open(usize);

impl<'a> Writer<'a> {
    pub(super) const fn new(page: &'a mut Vec<u8>) -> Self {
        Self { page }
    }

    pub(super) fn len(&self) -> usize {
        self.page.len()
    }

    /// As if the message had never begun.
    pub(super) fn take_back(&mut self, Open(start): Open) {
        self.page.truncate(start.saturating_sub(1));
    }

    /// The beginning of a message without a field, as in a stream of them.
    pub(super) fn delimited(&mut self) -> Open {
        self.page.push(0);
        Open(self.page.len())
    }

    #[inline]
    pub(super) fn begin(&mut self, field: u32) -> Open {
        self.tag(field, WireType::Delimited);
        self.delimited()
    }

    #[inline]
    pub(super) fn end(&mut self, Open(start): Open) {
        let length = self.page.len().saturating_sub(start);
        let place = start.saturating_sub(1);
        let short = u8::try_from(length).ok().filter(|length| *length < 0x80);
        if let (Some(length), Some(byte)) = (short, self.page.get_mut(place)) {
            *byte = length;
        } else {
            let (varint, used) = varint(length as u64);
            self.page
                .splice(place..start, varint.into_iter().take(used));
        }
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
    pub(super) fn unsigned(&mut self, field: u32, value: u64) {
        self.tag(field, WireType::Varint);
        self.varint(value);
    }

    /// `sint32` and `sint64`.
    pub(super) fn zigzag(&mut self, field: u32, value: i64) {
        #[expect(clippy::cast_sign_loss, reason = "the sign is the lowest bit now")]
        self.unsigned(field, ((value << 1) ^ (value >> 63)) as u64);
    }

    #[inline]
    pub(super) fn double(&mut self, field: u32, value: f64) {
        // One NaN for all: another stands in Prometheus for a series that is gone.
        let value = if value.is_nan() { f64::NAN } else { value };
        self.tag(field, WireType::Fixed64);
        self.page.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn string(&mut self, field: u32, value: &str) {
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

/// Seven bits a byte, the least first; and how many bytes of it are used.
pub(super) fn varint(mut value: u64) -> ([u8; 10], usize) {
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
