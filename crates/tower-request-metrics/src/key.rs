/// The label values of one series except the route, as small numbers: what is looked up for every
/// request, so it is two words and no text. Two fields, which stay in registers, where an array would be
/// written to memory by halves and be waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    fixed: u64,
    custom: u64,
}

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
    /// Whether it is a label of the user's own, the lowest bit in its word, and how many bits.
    #[expect(clippy::cast_possible_truncation, reason = "less than `CUSTOM_LABELS`")]
    const fn place(self) -> (bool, u32, u32) {
        match self {
            Self::Method => (false, 0, 8),
            Self::Scheme => (false, 8, 4),
            Self::Version => (false, 12, 4),
            Self::Detail => (false, 16, 8),
            Self::RpcCode => (false, 24, 8),
            Self::Status => (false, 32, 16),
            Self::ErrorType => (false, 48, 16),
            Self::Custom(index) => (true, (index % CUSTOM_LABELS) as u32 * 16, 16),
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
    pub(crate) const EMPTY: Self = Self {
        fixed: 0,
        custom: 0,
    };

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the field's bits are what is wanted"
    )]
    pub(crate) const fn get(self, field: Field) -> u16 {
        let (is_custom, shift, _) = field.place();
        let word = if is_custom { self.custom } else { self.fixed };
        (word >> shift) as u16 & field.max()
    }

    #[inline]
    pub(crate) const fn set(&mut self, field: Field, value: u16) {
        let (is_custom, shift, _) = field.place();
        let word = if is_custom {
            &mut self.custom
        } else {
            &mut self.fixed
        };
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
        Self {
            fixed: self.fixed & mask.fixed,
            custom: self.custom & mask.custom,
        }
    }

    /// What either has.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self {
            fixed: self.fixed | other.fixed,
            custom: self.custom | other.custom,
        }
    }

    /// Spreads keys over buckets. What is hashed are small numbers of the program's own making.
    #[inline]
    pub(crate) const fn spread(self, seed: u64) -> u64 {
        (self.fixed ^ self.custom.rotate_left(29) ^ seed.rotate_right(8))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
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
