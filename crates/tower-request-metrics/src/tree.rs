//! Which template a path matches, and no more than that: to note what stands for each parameter is most of what a
//! router does, and nobody asks here.

use std::iter;

/// A radix tree of templates that `matchit` has accepted: they are well-formed, and do not conflict.
///
/// It is laid flat, a node in a line of memory: of many routes, few are in a cache.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The root, and behind each node those below it.
    nodes: Vec<Node>,
    /// The numbers of the children of all nodes, [`NONE`] where there is none.
    children: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Node {
    /// What a path that comes here goes on with.
    prefix: [u8; PREFIX],
    prefix_length: u8,
    /// Where its children begin: that of the byte `low`, and those of the bytes behind it.
    children: u32,
    low: u8,
    width: u16,
    wild: Wild,
    /// The number of the template that ends behind the prefix, or [`NONE`].
    template: u32,
}

/// As much as fits into the line. What is longer are nodes one below the other.
const PREFIX: usize = 44;

/// No node, which the root is to nobody, and no template.
const NONE: u32 = u32::MAX;

/// What stands for anything.
#[derive(Clone, Copy, Debug)]
enum Wild {
    Nothing,
    /// `{name}`: up to the next `/`, or to the end. What follows is this node.
    Segment(u32),
    /// `{name}` with nothing behind it, in the template of this number.
    Last(u32),
    /// `{*name}`: all that follows, in the template of this number.
    Rest(u32),
}

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Byte(u8),
    Segment,
    Rest,
}

/// A template's pieces and number.
type Template = (Vec<Piece>, u32);

impl Tree {
    /// The templates have the numbers from 0.
    pub(crate) fn new<T: AsRef<str>>(templates: &[T]) -> Self {
        let templates = (0..NONE).zip(templates);
        let templates = templates.map(|(number, template)| {
            let pieces = pieces(template.as_ref().as_bytes());
            (pieces.collect(), number)
        });
        let mut templates: Vec<Template> = templates.collect();
        templates.sort_unstable();
        let mut tree = Self {
            nodes: Vec::new(),
            children: Vec::new(),
        };
        tree.add(&templates, 0);
        tree
    }

    /// Adds the node for what these templates, which are sorted, have behind so many pieces, in which they are the
    /// same. Gives its number.
    fn add(&mut self, templates: &[Template], from: usize) -> u32 {
        let mut node = Node::new();
        let number = number_of(&self.nodes);
        self.nodes.push(node);
        let mut to = from;
        if let (Some((first, _)), Some((last, _))) = (templates.first(), templates.last()) {
            // Of what is sorted, all have what the first and the last have.
            let pairs = first.iter().zip(last).skip(from);
            for (place, pair) in node.prefix.iter_mut().zip(pairs) {
                let (Piece::Byte(byte), true) = (*pair.0, pair.0 == pair.1) else {
                    break;
                };
                *place = byte;
                node.prefix_length += 1;
                to += 1;
            }
        }
        let mut children = Vec::new();
        for group in templates.chunk_by(|one, other| one.0.get(to) == other.0.get(to)) {
            let Some((pieces, template)) = group.first() else {
                continue;
            };
            match pieces.get(to) {
                None => node.template = *template,
                Some(Piece::Byte(byte)) => children.push((*byte, self.add(group, to + 1))),
                Some(Piece::Segment) if group.len() == 1 && pieces.len() == to + 1 => {
                    node.wild = Wild::Last(*template);
                }
                Some(Piece::Segment) => node.wild = Wild::Segment(self.add(group, to + 1)),
                Some(Piece::Rest) => node.wild = Wild::Rest(*template),
            }
        }
        node.children = number_of(&self.children);
        if let (Some((low, _)), Some((high, _))) = (children.first(), children.last()) {
            (node.low, node.width) = (*low, u16::from(high - low) + 1);
            let mut children = children.iter().peekable();
            let places = (*low..=*high).map(|byte| {
                let child = children.next_if(|(first, _)| *first == byte);
                child.map_or(NONE, |(_, child)| *child)
            });
            self.children.extend(places);
        }
        if let Some(place) = self.nodes.get_mut(number as usize) {
            *place = node;
        }
        number
    }

    /// The number of the template that this path matches. What is literal comes before what stands for anything, as
    /// it does in `matchit`.
    pub(crate) fn find(&self, path: &[u8]) -> Option<usize> {
        self.find_below(0, path)
    }

    fn find_below(&self, number: u32, path: &[u8]) -> Option<usize> {
        let (mut number, mut path) = (number, path);
        loop {
            let node = self.nodes.get(number as usize)?;
            path = node.behind(path)?;
            let Some((first, rest)) = path.split_first() else {
                return known(node.template);
            };
            let child = self.child(node, *first);
            if let Wild::Nothing = node.wild {
                (number, path) = (child?, rest);
                continue;
            }
            if let Some(found) = child.and_then(|child| self.find_below(child, rest)) {
                return Some(found);
            }
            let end = || path.iter().position(|byte| *byte == b'/');
            match node.wild {
                Wild::Nothing => return None,
                Wild::Rest(template) => return known(template),
                Wild::Last(template) => return known(template).filter(|_| end().is_none()),
                Wild::Segment(next) => {
                    let (_, behind) = path.split_at(end().unwrap_or(path.len()));
                    (number, path) = (next, behind);
                }
            }
        }
    }

    #[inline]
    fn child(&self, node: &Node, first: u8) -> Option<u32> {
        let at = first.wrapping_sub(node.low);
        if u16::from(at) >= node.width {
            return None;
        }
        let child = *self
            .children
            .get(node.children as usize + usize::from(at))?;
        (child != NONE).then_some(child)
    }
}

impl Node {
    const fn new() -> Self {
        Self {
            prefix: [0; PREFIX],
            prefix_length: 0,
            children: 0,
            low: 0,
            width: 0,
            wild: Wild::Nothing,
            template: NONE,
        }
    }

    /// What the path has behind the prefix, if it starts with that.
    fn behind<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        if self.prefix_length == 0 {
            return Some(path);
        }
        path.strip_prefix(self.prefix.get(..usize::from(self.prefix_length))?)
    }
}

fn known(template: u32) -> Option<usize> {
    (template != NONE).then_some(template as usize)
}

/// The number that the next one gets.
fn number_of<T>(all: &[T]) -> u32 {
    u32::try_from(all.len()).unwrap_or(NONE)
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
            templates in proptest::collection::vec("(/(a|b|ab|abc|[abc]{40,50}|a\\{x\\}|\\{x\\}b|\\{x\\}|\\{y\\}|\\{\\*z\\}|\\{\\{a\\}\\}|)){1,4}", 1..12),
            paths in proptest::collection::vec("(/(a|b|ab|abc|abcd|x|xb|axb|\\{a\\}|)){0,5}", 1..40),
        ) {
            let mut router = matchit::Router::new();
            let mut accepted = Vec::new();
            for template in &templates {
                if router.insert(template.clone(), accepted.len()).is_ok() {
                    accepted.push(&**template);
                }
            }
            let tree = Tree::new(&accepted);
            for path in paths.iter().chain(&templates) {
                let expected = router.at(path).ok().map(|found| *found.value);
                prop_assert_eq!(tree.find(path.as_bytes()), expected, "{} in {:?}", path, templates);
            }
        }
    }
}
