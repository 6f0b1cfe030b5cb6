//! Interned pairs of name and value, and the packed lists made of them.
//!
//! Labels repeat: of eight labels of an alert, five are those of thousands of others. A pair that is seen twice becomes a
//! symbol with a count of its users; a pair seen once stays inline in its list, with the symbol of its name. Knows nothing
//! of alerts.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// How many first sightings are remembered. A power of two; 256 KiB.
const SIGHTINGS: usize = 1 << 16;

/// The interner: every symbol in a list counts as one use.
pub(super) struct Pairs {
    entries: Vec<Entry>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    sightings: Box<[u32]>,
}

struct Entry {
    /// Name, then value.
    text: Box<str>,
    name_len: u32,
    uses: u32,
}

impl Entry {
    fn name(&self) -> &str {
        &self.text[..self.name_len as usize]
    }

    fn value(&self) -> &str {
        &self.text[self.name_len as usize..]
    }
}

/// A packed list of pairs in the order given; see [`Pairs::pack`].
///
/// Each item is a varint `symbol << 1 | inline`; an inline item carries the symbol of its name (a pair with an empty
/// value), then a varint length and the bytes of its value.
pub(super) type Packed = Box<[u8]>;

impl Pairs {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            sightings: vec![0; SIGHTINGS].into_boxed_slice(),
        }
    }

    /// Packs pairs into a list, which must be given back by [`Pairs::release`].
    pub(super) fn pack<'a>(&mut self, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Packed {
        let mut out = Vec::with_capacity(128);
        for (name, value) in pairs {
            match self.symbol(name, value) {
                Some(symbol) => put_varint(&mut out, u64::from(symbol) << 1),
                None => {
                    let name = self.intern(name, "");
                    put_varint(&mut out, u64::from(name) << 1 | 1);
                    put_varint(&mut out, value.len() as u64);
                    out.extend_from_slice(value.as_bytes());
                }
            }
        }
        out.into_boxed_slice()
    }

    /// Ends the uses that a list has made.
    pub(super) fn release(&mut self, list: &[u8]) {
        let mut rest = list;
        while let Some(item) = Item::next(&mut rest) {
            self.unuse(item.symbol);
        }
    }

    /// The pairs of a list.
    pub(super) fn iter<'a>(&'a self, list: &'a [u8]) -> Iter<'a> {
        Iter { pairs: self, rest: list }
    }

    /// The value of the first pair of that name.
    pub(super) fn get<'a>(&'a self, list: &'a [u8], name: &str) -> Option<&'a str> {
        let mut rest = list;
        while let Some(item) = Item::next(&mut rest) {
            let entry = &self.entries[item.symbol as usize];
            if entry.name() == name {
                return Some(item.value.unwrap_or_else(|| entry.value()));
            }
        }
        None
    }

    /// What to look for in lists to find this pair without reading texts. Good until a list is packed or released.
    pub(super) fn probe<'a>(&self, name: &str, value: &'a str) -> Probe<'a> {
        let find = |value| self.find(self.hasher.hash_one((name, value)), name, value);
        Probe { pair: find(value), name: find(""), value }
    }

    /// Whether a list holds exactly these pairs in this order.
    pub(super) fn equal<'b>(
        &self,
        list: &[u8],
        mut other: impl Iterator<Item = (&'b str, &'b str)>,
    ) -> bool {
        self.iter(list).all(|pair| other.next() == Some(pair)) && other.next().is_none()
    }

    /// How many distinct pairs are interned.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.index.len()
    }

    /// The symbol of a pair that is worth one: known already, or seen for the second time.
    fn symbol(&mut self, name: &str, value: &str) -> Option<u32> {
        let hash = self.hasher.hash_one((name, value));
        if let Some(symbol) = self.find(hash, name, value) {
            self.entries[symbol as usize].uses += 1;
            return Some(symbol);
        }
        let (mark, place) = sighting(hash);
        if value.len() > 2 && self.sightings[place] != mark {
            self.sightings[place] = mark;
            return None;
        }
        Some(self.insert(hash, name, value))
    }

    fn intern(&mut self, name: &str, value: &str) -> u32 {
        let hash = self.hasher.hash_one((name, value));
        match self.find(hash, name, value) {
            Some(symbol) => {
                self.entries[symbol as usize].uses += 1;
                symbol
            }
            None => self.insert(hash, name, value),
        }
    }

    fn find(&self, hash: u64, name: &str, value: &str) -> Option<u32> {
        self.index
            .find(hash, |&symbol| {
                let entry = &self.entries[symbol as usize];
                entry.name() == name && entry.value() == value
            })
            .copied()
    }

    fn insert(&mut self, hash: u64, name: &str, value: &str) -> u32 {
        let mut text = String::with_capacity(name.len() + value.len());
        text.push_str(name);
        text.push_str(value);
        let name_len = u32::try_from(name.len()).expect("bodies are bounded far below 4 GiB");
        let entry = Entry { text: text.into_boxed_str(), name_len, uses: 1 };
        let symbol = match self.free.pop() {
            Some(symbol) => {
                self.entries[symbol as usize] = entry;
                symbol
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 pairs fit in memory")
            }
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.index.insert_unique(hash, symbol, |&other| {
            let entry = &entries[other as usize];
            hasher.hash_one((entry.name(), entry.value()))
        });
        symbol
    }

    fn unuse(&mut self, symbol: u32) {
        let entry = &mut self.entries[symbol as usize];
        entry.uses -= 1;
        if entry.uses > 0 {
            return;
        }
        let hash = self.hasher.hash_one((entry.name(), entry.value()));
        if let Ok(found) = self.index.find_entry(hash, |&other| other == symbol) {
            found.remove();
        }
        self.entries[symbol as usize].text = Box::default();
        self.entries[symbol as usize].name_len = 0;
        self.free.push(symbol);
    }
}

/// Names and values of a packed list, in its order.
#[derive(Clone)]
pub struct Iter<'a> {
    pairs: &'a Pairs,
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let item = Item::next(&mut self.rest)?;
        let entry = &self.pairs.entries[item.symbol as usize];
        Some((entry.name(), item.value.unwrap_or_else(|| entry.value())))
    }
}

/// A pair as lists may hold it: as a symbol, or inline behind the symbol of its name.
pub(super) struct Probe<'a> {
    pair: Option<u32>,
    name: Option<u32>,
    value: &'a str,
}

impl Probe<'_> {
    /// Whether the list holds the pair.
    pub(super) fn is_in(&self, list: &[u8]) -> bool {
        let mut rest = list;
        while let Some(item) = Item::next(&mut rest) {
            let found = match item.value {
                None => self.pair == Some(item.symbol),
                Some(value) => self.name == Some(item.symbol) && self.value == value,
            };
            if found {
                return true;
            }
        }
        false
    }
}

struct Item<'a> {
    symbol: u32,
    value: Option<&'a str>,
}

impl<'a> Item<'a> {
    fn next(rest: &mut &'a [u8]) -> Option<Self> {
        if rest.is_empty() {
            return None;
        }
        let head = take_varint(rest);
        let symbol = u32::try_from(head >> 1).unwrap_or(u32::MAX);
        if head & 1 == 0 {
            return Some(Self { symbol, value: None });
        }
        let length = usize::try_from(take_varint(rest)).unwrap_or(usize::MAX);
        let (value, after) = rest.split_at(length.min(rest.len()));
        *rest = after;
        debug_assert!(std::str::from_utf8(value).is_ok());
        Some(Self { symbol, value: Some(std::str::from_utf8(value).unwrap_or_default()) })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half of a hash is what is wanted")]
fn sighting(hash: u64) -> (u32, usize) {
    ((hash >> 32) as u32 | 1, hash as usize & (SIGHTINGS - 1))
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

fn take_varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    while let Some((&byte, after)) = rest.split_first() {
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lists_come_back_as_given_and_leave_nothing(
            lists in prop::collection::vec(prop::collection::vec(("[a-c]{1,2}", "[x-z]{0,4}"), 0..6), 1..20)
        ) {
            let mut pairs = Pairs::new();
            let packed: Vec<_> = lists
                .iter()
                .map(|list| pairs.pack(list.iter().map(|(n, v)| (n.as_str(), v.as_str()))))
                .collect();
            for (list, packed) in lists.iter().zip(&packed) {
                let back: Vec<_> =
                    pairs.iter(packed).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                prop_assert_eq!(list, &back);
                for (name, _) in list {
                    let first = list.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
                    prop_assert_eq!(pairs.get(packed, name), first);
                }
                prop_assert_eq!(pairs.get(packed, "absent"), None);
            }
            for packed in &packed {
                pairs.release(packed);
            }
            prop_assert_eq!(pairs.len(), 0);
        }
    }

    #[test]
    fn a_probe_finds_its_pair_as_a_symbol_and_inline() {
        let mut pairs = Pairs::new();
        let first = pairs.pack([("pod", "first"), ("team", "db")].into_iter());
        let second = pairs.pack([("pod", "second"), ("team", "db")].into_iter());
        let is_in =
            |name, value| [&first, &second].map(|list| pairs.probe(name, value).is_in(list));
        assert_eq!(is_in("pod", "first"), [true, false]);
        assert_eq!(is_in("pod", "second"), [false, true]);
        assert_eq!(is_in("team", "db"), [true, true]);
        assert_eq!(is_in("team", "first"), [false, false]);
        assert_eq!(is_in("nobody", "db"), [false, false]);
    }

    #[test]
    fn a_pair_becomes_a_symbol_at_its_second_sighting() {
        let mut pairs = Pairs::new();
        let first = pairs.pack([("severity", "critical")].into_iter());
        let second = pairs.pack([("severity", "critical")].into_iter());
        let third = pairs.pack([("severity", "critical")].into_iter());
        assert!(first.len() > second.len());
        assert_eq!(second, third);
        assert!(pairs.equal(&first, [("severity", "critical")].into_iter()));
        assert!(!pairs.equal(&first, [("severity", "warning")].into_iter()));
        assert!(!pairs.equal(&first, [].into_iter()));
    }
}
