//! Which template a path matches, and no more than that: to note what stands for each parameter is most of what a
//! router does, and nobody asks here.

use std::{collections::BTreeMap, iter, mem};

/// A radix tree of templates that `matchit` has accepted: they are well-formed, and do not conflict.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// What a path that comes here goes on with.
    prefix: Vec<u8>,
    /// The number of the template that ends behind it.
    template: Option<usize>,
    /// What goes on literally, by the first byte.
    children: BTreeMap<u8, Self>,
    wild: Option<Box<Wild>>,
}

/// What stands for anything.
#[derive(Debug)]
enum Wild {
    /// `{name}`: up to the next `/`, or to the end.
    Segment(Tree),
    /// `{*name}`: all that follows, in the template of this number.
    Rest(usize),
}

/// A piece of a template.
enum Piece {
    Byte(u8),
    Segment,
    Rest,
}

impl Tree {
    /// Adds a template.
    pub(crate) fn insert(&mut self, template: &str, number: usize) {
        let mut literal = Vec::new();
        let mut at = self;
        for piece in pieces(template.as_bytes()) {
            match piece {
                Piece::Byte(byte) => literal.push(byte),
                Piece::Segment => {
                    let segment = || Box::new(Wild::Segment(Self::default()));
                    let wild = at
                        .behind(&mem::take(&mut literal))
                        .wild
                        .get_or_insert_with(segment);
                    let Wild::Segment(next) = &mut **wild else {
                        // They conflict, and so the template is none of these.
                        return;
                    };
                    at = next;
                }
                Piece::Rest => {
                    at.behind(&literal).wild = Some(Box::new(Wild::Rest(number)));
                    return;
                }
            }
        }
        at.behind(&literal).template = Some(number);
    }

    /// The place behind these bytes, made if it is not there.
    fn behind(&mut self, bytes: &[u8]) -> &mut Self {
        let is_new = self.template.is_none() && self.children.is_empty() && self.wild.is_none();
        if is_new {
            self.prefix = bytes.to_vec();
            return self;
        }
        let pairs = self.prefix.iter().zip(bytes);
        let same = pairs.take_while(|(own, other)| own == other).count();
        let rest = self.prefix.split_off(same);
        if let Some(first) = rest.first().copied() {
            let prefix = mem::take(&mut self.prefix);
            let child = Self {
                prefix: rest,
                ..mem::take(self)
            };
            self.prefix = prefix;
            self.children.insert(first, child);
        }
        match bytes.split_at(same).1 {
            [] => self,
            rest @ [first, ..] => self.children.entry(*first).or_default().behind(rest),
        }
    }

    /// The number of the template that this path matches. What is literal comes before what stands for anything, as
    /// it does in `matchit`.
    pub(crate) fn find(&self, path: &[u8]) -> Option<usize> {
        let (mut at, mut path) = (self, path);
        loop {
            path = path.strip_prefix(&*at.prefix)?;
            let Some(first) = path.first() else {
                return at.template;
            };
            let child = at.children.get(first);
            let Some(wild) = &at.wild else {
                at = child?;
                continue;
            };
            if let Some(found) = child.and_then(|child| child.find(path)) {
                return Some(found);
            }
            match &**wild {
                Wild::Rest(number) => return Some(*number),
                Wild::Segment(next) => {
                    let end = path.iter().position(|byte| *byte == b'/');
                    (at, path) = (next, path.split_at(end.unwrap_or(path.len())).1);
                }
            }
        }
    }
}

/// What a well-formed template consists of. A brace that is doubled is one.
fn pieces(template: &[u8]) -> impl Iterator<Item = Piece> {
    let mut rest = template;
    iter::from_fn(move || {
        let (piece, left) = match rest {
            [] => return None,
            [b'{', b'{', left @ ..] => (Piece::Byte(b'{'), left),
            [b'}', b'}', left @ ..] => (Piece::Byte(b'}'), left),
            [b'{', name @ ..] => {
                let end = name.iter().position(|byte| *byte == b'}')?;
                let (name, left) = name.split_at(end + 1);
                let piece = if name.starts_with(b"*") {
                    Piece::Rest
                } else {
                    Piece::Segment
                };
                (piece, left)
            }
            [byte, left @ ..] => (Piece::Byte(*byte), left),
        };
        rest = left;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn a_path_matches_what_matchit_says(
            templates in proptest::collection::vec("(/(a|b|ab|abc|\\{x\\}|\\{y\\}|\\{\\*z\\}|\\{\\{a\\}\\}|)){1,4}", 1..12),
            paths in proptest::collection::vec("(/(a|b|ab|abc|abcd|x|\\{a\\}|)){0,5}", 1..40),
        ) {
            let mut router = matchit::Router::new();
            let mut tree = Tree::default();
            for (number, template) in templates.iter().enumerate() {
                if router.insert(template.clone(), number).is_ok() {
                    tree.insert(template, number);
                }
            }
            for path in paths.iter().chain(&templates) {
                let expected = router.at(path).ok().map(|found| *found.value);
                prop_assert_eq!(tree.find(path.as_bytes()), expected, "{} in {:?}", path, templates);
            }
        }
    }
}
