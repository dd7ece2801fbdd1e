use std::ops::Range;

use crate::{
    context::RequestContext,
    format::{Limits, line::quoted},
    schema::{FieldKey, KeyId, Slot},
};

/// Fields as they are written, each under a key of its own.
///
/// The bytes of one of the program's own are `,"key":value`: a line is made by copying. Of what fills a
/// slot only the value is kept, as its key and its place are the schema's.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// The bits of all keys.
    mask: u64,
    /// Keys before this one are taken by the line itself.
    first_free: KeyId,
    slot_bytes: Vec<u8>,
    slots: [Option<SlotValue>; Slot::COUNT],
    /// Whether a field was left out.
    cut: bool,
}

/// One of the program's own fields.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: KeyId,
    start: usize,
    end: usize,
    /// Whether the value was cut.
    cut: bool,
}

#[derive(Clone, Copy, Debug)]
struct SlotValue {
    start: u32,
    end: u32,
    cut: bool,
}

impl SlotValue {
    fn new(bytes: Range<usize>, cut: bool) -> Self {
        // A value is bounded far below; one that were not is none.
        let short = |at| u32::try_from(at).unwrap_or_default();
        Self {
            start: short(bytes.start),
            end: short(bytes.end),
            cut,
        }
    }

    const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) cut: bool,
}

impl Fields {
    /// So many that values which were overwritten are looked for among them.
    const MANY_SLOT_BYTES: usize = 1024;

    pub(crate) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            entries: Vec::new(),
            mask: 0,
            first_free: KeyId::FIRST,
            slot_bytes: Vec::new(),
            slots: [None; Slot::COUNT],
            cut: false,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.mask = 0;
        self.first_free = KeyId::FIRST;
        self.slot_bytes.clear();
        self.slots = [None; Slot::COUNT];
        self.cut = false;
    }

    /// How many bits [`kind`](Self::kind) has.
    pub(crate) const KIND_BITS: usize = 1 + Slot::COUNT;

    /// Equal for fields that fill the same slots, with or without fields of the program's own; none if
    /// something was cut.
    pub(crate) fn kind(&self) -> Option<u64> {
        if self.slot_bytes.is_empty() && self.entries.is_empty() {
            return (!self.cut).then_some(0);
        }
        let mut slots = self.slots.iter().flatten();
        if self.cut || self.all().cut || slots.any(|slot| slot.cut) {
            return None;
        }
        let has_own = u64::from(!self.bytes.is_empty());
        let with_slot = |kind, slot: &Option<SlotValue>| kind << 1 | u64::from(slot.is_some());
        Some(self.slots.iter().fold(has_own, with_slot))
    }

    /// How much memory is kept.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
            + self.slot_bytes.capacity()
            + self.entries.capacity() * size_of::<Entry>()
    }

    /// Whether a field was left out.
    pub(crate) const fn is_cut(&self) -> bool {
        self.cut
    }

    /// All of the program's own fields, in the order in which their keys were first recorded.
    pub(crate) fn all(&self) -> Written<'_> {
        Written {
            bytes: &self.bytes,
            cut: self.entries.iter().any(|entry| entry.cut),
        }
    }

    /// As [`all`](Self::all), one by one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Written<'_>> {
        self.entries.iter().map(|entry| Written {
            bytes: self.slice(entry.start..entry.end),
            cut: entry.cut,
        })
    }

    /// The value in a slot.
    pub(crate) fn slot(&self, slot: Slot) -> Option<Written<'_>> {
        let value = (*self.slots.get(slot as usize)?)?;
        Some(Written {
            bytes: self.slot_bytes.get(value.range())?,
            cut: value.cut,
        })
    }

    /// Fills a slot, in place of an earlier value. `write` writes the value and tells whether it was cut.
    pub(crate) fn put_slot(&mut self, slot: Slot, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        // What is not the last of its kind is left where it is: its room is bounded by `forget`.
        let start = self.slot_bytes.len();
        let cut = write(&mut self.slot_bytes);
        let end = self.slot_bytes.len();
        if slot == Slot::Error {
            self.set_slot(Slot::ErrorSources, None);
        }
        self.set_slot(slot, Some(SlotValue::new(start..end, cut)));
        if end >= Self::MANY_SLOT_BYTES {
            self.forget();
        }
    }

    /// Adds the ids of a request, where nothing says so yet.
    pub(crate) fn merge_ids(&mut self, context: &RequestContext) {
        for slot in [Slot::RequestId, Slot::TraceId] {
            if let (Some(id), Some(place @ None)) =
                (context.id(slot), self.slots.get_mut(slot as usize))
            {
                let start = self.slot_bytes.len();
                quoted(&mut self.slot_bytes, id);
                *place = Some(SlotValue::new(start..self.slot_bytes.len(), false));
            }
        }
    }

    fn set_slot(&mut self, slot: Slot, value: Option<SlotValue>) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = value;
        }
    }

    /// Drops values that were overwritten, once they are most of what is kept.
    fn forget(&mut self) {
        let live = self.slots.iter().flatten().map(|value| value.range().len());
        let live = live.sum();
        if self.slot_bytes.len() / 2 < live {
            return;
        }
        let mut kept = Vec::with_capacity(live);
        for value in self.slots.iter_mut().flatten() {
            let start = kept.len();
            let bytes = self.slot_bytes.get(value.range());
            kept.extend_from_slice(bytes.unwrap_or_default());
            *value = SlotValue::new(start..kept.len(), value.cut);
        }
        self.slot_bytes = kept;
    }

    /// Records a field of a key that is not there yet. `write` writes the value and tells whether it was
    /// cut.
    ///
    /// Should `write` panic, some bytes are left behind that belong to no field.
    pub(crate) fn put_new(
        &mut self,
        key: &FieldKey,
        limits: &Limits,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) {
        let start = self.bytes.len();
        key.bytes.write(&mut self.bytes);
        let cut = write(&mut self.bytes);
        let end = self.bytes.len();
        self.push_or_cut(
            Entry {
                key: key.id,
                start,
                end,
                cut,
            },
            limits,
        );
    }

    fn push_or_cut(&mut self, entry: Entry, limits: &Limits) {
        if self.entries.len() < limits.max_fields() && self.bytes.len() <= limits.max_line() {
            self.mask |= entry.key.bit();
            self.entries.push(entry);
        } else {
            self.bytes.truncate(entry.start);
            self.cut = true;
        }
    }

    /// As [`put_new`](Self::put_new), in place of an earlier one of the same key.
    pub(crate) fn put(
        &mut self,
        key: &FieldKey,
        limits: &Limits,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) {
        let Some(at) = self.position(key.id) else {
            return self.put_new(key, limits, write);
        };
        let start = self.bytes.len();
        key.bytes.write(&mut self.bytes);
        let cut = write(&mut self.bytes);
        let freed = self.remove(at);
        let entry = Entry {
            key: key.id,
            start: start - freed,
            end: self.bytes.len(),
            cut,
        };
        if self.bytes.len() > limits.max_line() {
            self.bytes.truncate(entry.start);
            self.cut = true;
            return;
        }
        // In the order of their bytes: the line takes them all at once.
        self.mask |= key.id.bit();
        self.entries.push(entry);
    }

    /// Adds what `outer` has and this one does not.
    pub(crate) fn merge(&mut self, outer: &Self, limits: &Limits) {
        self.cut |= outer.cut;
        let has_error = self.slot(Slot::Error).is_some();
        for (slot, (place, value)) in self.slots.iter_mut().zip(&outer.slots).enumerate() {
            let (None, Some(value)) = (&place, value) else {
                continue;
            };
            if slot == Slot::ErrorSources as usize && has_error {
                continue;
            }
            let start = self.slot_bytes.len();
            let bytes = outer.slot_bytes.get(value.range());
            self.slot_bytes.extend_from_slice(bytes.unwrap_or_default());
            *place = Some(SlotValue::new(start..self.slot_bytes.len(), value.cut));
        }
        if outer.entries.is_empty() {
            return;
        }
        let shift = self.bytes.len();
        let fits = self.entries.len() + outer.entries.len() <= limits.max_fields()
            && shift + outer.bytes.len() <= limits.max_line();
        if fits && self.mask & outer.mask == 0 {
            self.bytes.extend_from_slice(&outer.bytes);
            self.entries.extend(outer.entries.iter().map(|entry| Entry {
                start: entry.start + shift,
                end: entry.end + shift,
                ..*entry
            }));
            self.mask |= outer.mask;
            return;
        }
        for entry in &outer.entries {
            if !self.has(entry.key) {
                let start = self.bytes.len();
                let bytes = outer.slice(entry.start..entry.end);
                self.bytes.extend_from_slice(bytes);
                let end = self.bytes.len();
                let moved = Entry {
                    start,
                    end,
                    ..*entry
                };
                self.push_or_cut(moved, limits);
            }
        }
    }

    /// Has it that the keys before this one are there, so that no field gets one.
    pub(crate) const fn reserve(&mut self, first_free: KeyId) {
        self.first_free = first_free;
        self.mask |= first_free.bits_before();
    }

    /// Adds what `later` has, in place of what is there under the same keys.
    pub(crate) fn overwrite(&mut self, later: &Self, limits: &Limits) {
        self.cut |= later.cut;
        for slot in Slot::ALL {
            if let Some(value) = later.slot(slot) {
                self.put_slot(slot, |out| {
                    out.extend_from_slice(value.bytes);
                    value.cut
                });
            }
        }
        for entry in &later.entries {
            if let Some(at) = self.position(entry.key) {
                self.remove(at);
            }
            let start = self.bytes.len();
            let bytes = later.slice(entry.start..entry.end);
            self.bytes.extend_from_slice(bytes);
            let end = self.bytes.len();
            let moved = Entry {
                start,
                end,
                ..*entry
            };
            self.push_or_cut(moved, limits);
        }
    }

    /// Removes a field and its bytes, and tells how many these were.
    fn remove(&mut self, at: usize) -> usize {
        let gone = self.entries.remove(at);
        let freed = gone.end - gone.start;
        self.bytes.drain(gone.start..gone.end);
        for entry in &mut self.entries {
            if entry.start > gone.start {
                entry.start -= freed;
                entry.end -= freed;
            }
        }
        freed
    }

    pub(crate) fn has(&self, key: KeyId) -> bool {
        key < self.first_free || self.position(key).is_some()
    }

    fn position(&self, key: KeyId) -> Option<usize> {
        if self.mask & key.bit() == 0 {
            return None;
        }
        self.entries.iter().position(|entry| entry.key == key)
    }

    fn slice(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }
}
