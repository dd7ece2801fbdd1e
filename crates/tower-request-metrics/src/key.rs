/// The label values of one series except the route, as small numbers: what is looked up for every
/// request, so it is two words and no text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key([u64; 2]);

/// How many labels of their own users may add.
pub(crate) const CUSTOM_LABELS: usize = 4;

/// A place in a [`Key`]. `0` in a field says that there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Method,
    Scheme,
    Version,
    Detail,
    RpcCode,
    Status,
    ErrorType,
    /// Up to [`CUSTOM_LABELS`] of them.
    Custom(usize),
}

impl Field {
    /// The word, the lowest bit, and how many bits.
    #[expect(clippy::cast_possible_truncation, reason = "less than `CUSTOM_LABELS`")]
    const fn place(self) -> (usize, u32, u32) {
        match self {
            Self::Method => (0, 0, 8),
            Self::Scheme => (0, 8, 4),
            Self::Version => (0, 12, 4),
            Self::Detail => (0, 16, 8),
            Self::RpcCode => (0, 24, 8),
            Self::Status => (0, 32, 16),
            Self::ErrorType => (0, 48, 16),
            Self::Custom(index) => (1, (index % CUSTOM_LABELS) as u32 * 16, 16),
        }
    }

    /// The greatest value.
    pub(crate) const fn max(self) -> u16 {
        let (_, _, bits) = self.place();
        u16::MAX >> (16 - bits)
    }
}

impl Key {
    /// Without any value.
    pub(crate) const EMPTY: Self = Self([0; 2]);

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the field's bits are what is wanted"
    )]
    pub(crate) const fn get(self, field: Field) -> u16 {
        let (word, shift, _) = field.place();
        let [first, second] = self.0;
        let word = if word == 0 { first } else { second };
        (word >> shift) as u16 & field.max()
    }

    #[inline]
    pub(crate) const fn set(&mut self, field: Field, value: u16) {
        let (word, shift, _) = field.place();
        let [first, second] = &mut self.0;
        let word = if word == 0 { first } else { second };
        *word = *word & !((field.max() as u64) << shift) | ((value & field.max()) as u64) << shift;
    }

    /// A key with `value` in one field.
    #[inline]
    pub(crate) const fn with(mut self, field: Field, value: u16) -> Self {
        self.set(field, value);
        self
    }

    /// Only what `mask` has: the fields that an instrument's labels need.
    #[inline]
    pub(crate) const fn masked(self, mask: Self) -> Self {
        let ([a, b], [x, y]) = (self.0, mask.0);
        Self([a & x, b & y])
    }

    /// What either has.
    pub(crate) const fn union(self, other: Self) -> Self {
        let ([a, b], [x, y]) = (self.0, other.0);
        Self([a | x, b | y])
    }

    /// Spreads keys over buckets. What is hashed are small numbers of the program's own making.
    #[inline]
    pub(crate) const fn spread(self, seed: u64) -> u64 {
        let [a, b] = self.0;
        (a ^ b.rotate_left(29) ^ seed.rotate_right(8)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_disturb_each_other() {
        let fields = [
            Field::Method,
            Field::Scheme,
            Field::Version,
            Field::Detail,
            Field::RpcCode,
            Field::Status,
            Field::ErrorType,
            Field::Custom(0),
            Field::Custom(CUSTOM_LABELS - 1),
        ];
        let mut key = Key::default();
        for (value, field) in (1..).zip(fields) {
            key.set(field, u16::MAX);
            key.set(field, value);
        }
        for (value, field) in (1..).zip(fields) {
            assert_eq!(key.get(field), value);
            let only = Key::default().with(field, field.max());
            assert_eq!(key.masked(only), Key::default().with(field, value));
        }
    }
}
