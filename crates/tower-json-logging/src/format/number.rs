//! Decimal digits.

/// `00` to `99`.
#[expect(clippy::indexing_slicing, reason = "done by the compiler")]
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    pairs
};

/// The last `N` decimal digits of `number`.
pub(crate) fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    let mut pairs = digits.rchunks_exact_mut(2);
    for to in &mut pairs {
        if let Some(pair) = PAIRS.get((number % 100) as usize) {
            to.copy_from_slice(pair);
        }
        number /= 100;
    }
    if let [first] = pairs.into_remainder() {
        *first += (number % 10) as u8;
    }
    digits
}

/// The digits of a number that has at most four, and how many it has.
#[inline]
pub(crate) fn short(number: u64) -> Option<([u8; 4], usize)> {
    if number > 9999 {
        return None;
    }
    let len = [9, 99, 999].map(|most| usize::from(number > most));
    let len = 1 + len.iter().sum::<usize>();
    let digits = u32::from_be_bytes(digits(number)) << (8 * (4 - len));
    Some((digits.to_be_bytes(), len))
}

/// Writes a number. Short ones take no call.
pub(crate) fn number(out: &mut Vec<u8>, number: impl Into<u64>) {
    let number = number.into();
    if let Some((digits, len)) = short(number) {
        let end = out.len() + len;
        out.extend_from_slice(&digits);
        out.truncate(end);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_written_whole() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        for number in powers.flat_map(|power| [power - 1, power, power + 7]) {
            let mut out = Vec::new();
            super::number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }

    #[test]
    fn digits_are_the_last_ones() {
        assert_eq!(&digits::<1>(123), b"3");
        assert_eq!(&digits::<2>(7), b"07");
        assert_eq!(&digits::<3>(12_345), b"345");
        assert_eq!(&digits::<6>(120_034), b"120034");
        assert_eq!(&digits::<9>(7_000_089), b"007000089");
    }
}
