//! What is known of a request by flags and small numbers.

/// What there is of a request, its method, its version and its scheme.
///
/// In one word: to forget it, or to compare it, is to forget and to compare all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits(u32);

impl Bits {
    pub(super) const COUNT: u32 = 20;

    pub(super) const METHOD: u32 = 0;
    pub(super) const VERSION: u32 = 4;
    pub(super) const SCHEME: u32 = 7;
    pub(super) const ROUTE: u32 = 1 << 9;
    /// The route is short, and nothing of it has to be escaped.
    pub(super) const ROUTE_IS_PLAIN: u32 = 1 << 10;
    pub(super) const USER_AGENT: u32 = 1 << 11;
    pub(super) const USER_AGENT_IS_PLAIN: u32 = 1 << 12;
    pub(super) const BYTES_IN: u32 = 1 << 13;
    pub(super) const CLIENT_IP: u32 = 1 << 14;
    pub(super) const PATH: u32 = 1 << 15;
    pub(super) const QUERY: u32 = 1 << 16;
    pub(super) const REQUEST_HEADERS: u32 = 1 << 17;
    pub(super) const OTHER_METHOD: u32 = 1 << 18;
    /// A text is longer than is kept for the next one.
    pub(super) const LONG: u32 = 1 << 19;

    /// There is memory that came with the request, or more than is kept.
    pub(super) const HOLDS_MEMORY: u32 =
        Self::PATH | Self::QUERY | Self::REQUEST_HEADERS | Self::OTHER_METHOD | Self::LONG;

    /// How those that say the same may differ.
    const OF_ONE_KIND: u32 = Self::ROUTE_IS_PLAIN | Self::USER_AGENT_IS_PLAIN | Self::LONG;

    /// What is equal for requests that have the same facts, whatever is in them.
    pub(super) const fn kind(self) -> u32 {
        self.0 & !Self::OF_ONE_KIND
    }

    pub(super) const fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }

    pub(super) const fn set(&mut self, bits: u32) {
        self.0 |= bits;
    }

    pub(super) const fn set_if(&mut self, bits: u32, is_so: bool) {
        self.0 |= if is_so { bits } else { 0 };
    }

    pub(super) const fn forget(&mut self, bits: u32) {
        self.0 &= !bits;
    }

    pub(super) const fn set_number(&mut self, at: u32, number: u8) {
        self.0 |= (number as u32) << at;
    }

    pub(super) const fn number(self, at: u32, bits: u32) -> usize {
        ((self.0 >> at) & ((1 << bits) - 1)) as usize
    }
}
