use std::fmt;

use subtle::{Choice, ConstantTimeEq as _};

/// The longest credentials, as they stand in a header behind their scheme.
pub(super) const MAX_LENGTH: usize = 1023;

/// Credentials in a place whose size says nothing of them: those of different lengths are compared byte by byte
/// to the end, too.
#[derive(Clone)]
pub(super) struct Secret([u8; MAX_LENGTH + 1]);

impl Secret {
    /// `None` if it is too long to be one.
    pub(super) fn new(text: &[u8]) -> Option<Self> {
        // Its end is marked, so that no two become the same.
        let mut bytes = [0; MAX_LENGTH + 1];
        let (start, rest) = bytes.split_at_mut_checked(text.len())?;
        start.copy_from_slice(text);
        *rest.first_mut()? = END;
        Some(Self(bytes))
    }

    /// Whether it is one of these, all of which are compared.
    pub(super) fn is_among(&self, secrets: &[Self]) -> bool {
        let same = secrets.iter().map(|secret| secret.0.ct_eq(&self.0));
        same.fold(Choice::from(0), |any, same| any | same).into()
    }
}

const END: u8 = 0x80;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(a: &[u8], b: &[u8]) -> bool {
        Secret::new(a).unwrap().is_among(&[Secret::new(b).unwrap()])
    }

    #[test]
    fn only_the_same_is_the_same() {
        let long = [b'a'; MAX_LENGTH];
        let texts: [&[u8]; 8] = [
            b"", b"a", b"ab", b"abc", b"abd", b"a\x80", b"a\x80\0", &long,
        ];
        for a in texts {
            for b in texts {
                assert_eq!(is_same(a, b), a == b, "{a:?} {b:?}");
            }
        }
        assert!(Secret::new(&[b'a'; MAX_LENGTH + 1]).is_none());
    }

    #[test]
    fn any_of_several_will_do_and_none_admits_nobody() {
        let secrets = [b"a", b"b", b"c"].map(|text| Secret::new(text).unwrap());
        assert!(secrets.iter().all(|secret| secret.is_among(&secrets)));
        assert!(!secrets[0].is_among(&secrets[1..]));
        assert!(!secrets[0].is_among(&[]));
    }

    #[test]
    fn it_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new(b"a").unwrap()), "Secret(…)");
    }
}
