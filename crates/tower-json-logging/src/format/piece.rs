/// A piece of a line that is written often. A short one is copied as a block of one size: that takes no
/// call, which would cost more than the copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    block: [u8; Self::BLOCK],
    all: Box<[u8]>,
}

impl Piece {
    const BLOCK: usize = 32;

    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let mut block = [0; Self::BLOCK];
        for (to, from) in block.iter_mut().zip(&bytes) {
            *to = *from;
        }
        Self {
            block,
            all: bytes.into_boxed_slice(),
        }
    }

    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.all
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if self.all.len() <= Self::BLOCK {
            let end = out.len() + self.all.len();
            out.extend_from_slice(&self.block);
            out.truncate(end);
        } else {
            out.extend_from_slice(&self.all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_every_length_are_written_whole() {
        for len in 0..70 {
            let bytes: Vec<u8> = (0..len).collect();
            let mut out = b"before".to_vec();
            Piece::new(bytes.clone()).write(&mut out);
            assert_eq!(out, [b"before", &*bytes].concat());
        }
    }
}
