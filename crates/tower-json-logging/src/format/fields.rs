use std::ops::Range;

use crate::format::{
    Limits,
    escape::Escaper,
    keys::{Key, Role},
};

/// Fields as they are written, each under a key of its own.
///
/// The bytes of a field are `,"key":value`: a line is made by copying.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Entries of the program's own.
    own: usize,
    /// Whether a field was left out.
    cut: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    role: Role,
    start: usize,
    /// Where the key's closing quote ends.
    key_end: usize,
    end: usize,
    /// Whether the value was cut.
    cut: bool,
}

/// A field as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) role: Role,
    pub(crate) bytes: &'a [u8],
    pub(crate) cut: bool,
}

impl Fields {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            entries: Vec::new(),
            own: 0,
            cut: false,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.own = 0;
        self.cut = false;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && !self.cut
    }

    /// How much memory is kept.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Whether a field was left out.
    pub(crate) const fn is_cut(&self) -> bool {
        self.cut
    }

    /// The fields, in the order in which their keys were first recorded.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Written<'_>> {
        self.entries.iter().map(|entry| Written {
            role: entry.role,
            bytes: self.slice(entry.start..entry.end),
            cut: entry.cut,
        })
    }

    /// The field of a role that has one key.
    pub(crate) fn of_role(&self, role: Role) -> Option<Written<'_>> {
        self.iter().find(|field| field.role == role)
    }

    /// Records a field, in place of an earlier one of the same key. `write` writes the value and tells
    /// whether it was cut.
    ///
    /// Should `write` panic, some bytes are left behind that belong to no field.
    pub(crate) fn put(
        &mut self,
        key: Key<'_>,
        limits: &Limits,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(b",\"");
        let mut name = Escaper::new(&mut self.bytes, usize::MAX);
        name.push(key.prefix);
        name.push(key.name);
        self.bytes.push(b'"');
        let key_end = self.bytes.len();
        self.bytes.push(b':');
        let cut = write(&mut self.bytes);
        let end = self.bytes.len();
        let role = key.role;
        let entry = Entry {
            role,
            start,
            key_end,
            end,
            cut,
        };
        self.replace(entry, limits);
    }

    /// Makes the bytes at the end a field, in place of an earlier one of the same key.
    fn replace(&mut self, mut entry: Entry, limits: &Limits) {
        let mut at = self.entries.len();
        if let Some(earlier) = self.position(entry.role, self.slice(entry.start..entry.key_end)) {
            at = earlier;
            let freed = self.remove(earlier);
            entry.start -= freed;
            entry.key_end -= freed;
            entry.end -= freed;
        }
        if self.has_room(entry.role, 0, limits) {
            self.insert(at, entry);
        } else {
            self.bytes.truncate(entry.start);
            self.cut = true;
        }
    }

    /// Adds the fields of `later`, in place of earlier ones of the same keys.
    pub(crate) fn overwrite(&mut self, later: &Self, limits: &Limits) {
        self.cut |= later.cut;
        for entry in &later.entries {
            let moved = self.copy(later, entry);
            self.replace(moved, limits);
        }
    }

    /// Adds those fields of `outer` whose keys are not there yet.
    pub(crate) fn merge(&mut self, outer: &Self, limits: &Limits) {
        self.cut |= outer.cut;
        for entry in &outer.entries {
            let key = outer.slice(entry.start..entry.key_end);
            if self.position(entry.role, key).is_some() {
                continue;
            }
            if self.has_room(entry.role, entry.end - entry.start, limits) {
                let moved = self.copy(outer, entry);
                self.insert(self.entries.len(), moved);
            } else {
                self.cut = true;
            }
        }
    }

    /// Copies the bytes of another's field to the end.
    fn copy(&mut self, other: &Self, entry: &Entry) -> Entry {
        let start = self.bytes.len();
        self.bytes
            .extend_from_slice(other.slice(entry.start..entry.end));
        Entry {
            start,
            key_end: start + (entry.key_end - entry.start),
            end: start + (entry.end - entry.start),
            ..*entry
        }
    }

    // What the schema has a place for is always kept: there are few of them, and each is bounded.
    fn has_room(&self, role: Role, more: usize, limits: &Limits) -> bool {
        role != Role::Own
            || (self.own < limits.max_fields() && self.bytes.len() + more <= limits.max_line())
    }

    fn insert(&mut self, at: usize, entry: Entry) {
        self.own += usize::from(entry.role == Role::Own);
        self.entries.insert(at, entry);
    }

    /// Removes a field and its bytes, and tells how many these were.
    fn remove(&mut self, at: usize) -> usize {
        let gone = self.entries.remove(at);
        self.own -= usize::from(gone.role == Role::Own);
        let freed = gone.end - gone.start;
        self.bytes.drain(gone.start..gone.end);
        for entry in &mut self.entries {
            if entry.start > gone.start {
                entry.start -= freed;
                entry.key_end -= freed;
                entry.end -= freed;
            }
        }
        freed
    }

    // Escaping is injective: keys are equal where their bytes are.
    fn position(&self, role: Role, key: &[u8]) -> Option<usize> {
        self.entries.iter().position(|entry| {
            entry.role == role
                && (role != Role::Own || self.slice(entry.start..entry.key_end) == key)
        })
    }

    fn slice(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::keys::Origin;

    fn put(fields: &mut Fields, name: &str, value: &str, limits: &Limits) {
        let key = Key::of(name, Origin::Event).unwrap();
        fields.put(key, limits, |out| {
            out.extend_from_slice(value.as_bytes());
            false
        });
    }

    fn text(fields: &Fields) -> String {
        let bytes: Vec<u8> = fields
            .iter()
            .flat_map(|field| field.bytes.to_vec())
            .collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_later_value_takes_the_place_of_an_earlier_one() {
        let (mut fields, limits) = (Fields::default(), Limits::new());
        for (name, value) in [
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("a", "\"long\""),
            ("b", "4"),
        ] {
            put(&mut fields, name, value, &limits);
        }
        assert_eq!(text(&fields), ",\"a\":\"long\",\"b\":4,\"c\":3");
        assert_eq!(fields.bytes.len(), text(&fields).len()); // nothing dead is kept
    }

    #[test]
    fn a_renamed_field_and_its_namesake_have_one_key() {
        let (mut fields, limits) = (Fields::default(), Limits::new());
        put(&mut fields, "level", "98", &limits);
        put(&mut fields, "fields.level", "99", &limits);
        assert_eq!(text(&fields), ",\"fields.level\":99");
    }

    #[test]
    fn inner_fields_win_over_outer_ones() {
        let (mut inner, mut outer, limits) = (Fields::default(), Fields::default(), Limits::new());
        put(&mut inner, "a", "1", &limits);
        put(&mut inner, "scan_id", "\"x\"", &limits);
        put(&mut outer, "a", "2", &limits);
        put(&mut outer, "scan_id", "\"y\"", &limits);
        put(&mut outer, "b", "3", &limits);
        inner.merge(&outer, &limits);
        assert_eq!(text(&inner), ",\"a\":1,\"scan_id\":\"x\",\"b\":3");
        assert!(!inner.is_cut());
    }

    #[test]
    fn fields_past_the_limit_are_left_out_and_missed() {
        let (mut fields, limits) = (Fields::default(), Limits::new().fields(2));
        for name in ["a", "b", "c"] {
            put(&mut fields, name, "1", &limits);
        }
        put(&mut fields, "scan_id", "\"x\"", &limits);
        assert_eq!(text(&fields), ",\"a\":1,\"b\":1,\"scan_id\":\"x\"");
        assert!(fields.is_cut());
    }

    #[test]
    fn memory_is_bounded_whatever_is_recorded() {
        let (mut fields, limits) = (Fields::default(), Limits::new());
        let long = format!("\"{}\"", "x".repeat(8000));
        for round in 0..100 {
            put(&mut fields, &format!("f{}", round % 7), &long, &limits);
        }
        assert!(fields.bytes.len() <= limits.max_line());
        assert!(fields.is_cut());
    }
}
