//! The list itself: pairs in their order, found by name.

use std::{fmt, slice};

use crate::{Value, index::Index};

/// What a list promises about its names: `nvl_nvflag`. Bits without a meaning are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flags(pub u32);

impl Flags {
    /// Nothing: any name may be there several times.
    pub const NONE: Self = Self(0);
    /// `NV_UNIQUE_NAME`: a name is there once. Nearly every list of ZFS has this.
    pub const UNIQUE_NAME: Self = Self(1);
    /// `NV_UNIQUE_NAME_TYPE`: a name is there once for each type of value.
    pub const UNIQUE_NAME_TYPE: Self = Self(2);

    const fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// A value and its name, which has no NUL and no more than [`NvList::NAME_MAX`] bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pair {
    pub(crate) name: Box<str>,
    pub(crate) value: Value,
}

/// An ordered list of named values.
///
/// Names hold no NUL and at most [`NvList::NAME_MAX`] bytes; what is longer is cut, as C would cut it.
///
/// A list that was decoded may hold a name twice although its flags say otherwise: libnvpair leaves such pairs where
/// they are and finds the last of them, and so does this.
#[derive(Clone)]
pub struct NvList {
    pairs: Vec<Pair>,
    flags: Flags,
    /// There once the list is too long to be looked through, see [`INDEXED_FROM`]. Boxed, as few lists have it.
    index: Option<Box<Index>>,
}

/// The number of pairs from which a list has an index.
const INDEXED_FROM: usize = 32;

impl NvList {
    /// The longest name, in bytes: libnvpair counts it, and a NUL, in a signed 16-bit number.
    pub const NAME_MAX: usize = 32_766;

    /// An empty list in which each name is unique.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_flags(Flags::UNIQUE_NAME)
    }

    /// An empty list with these flags.
    #[must_use]
    pub const fn with_flags(flags: Flags) -> Self {
        Self {
            pairs: Vec::new(),
            flags,
            index: None,
        }
    }

    /// A list of these pairs, whether or not names are there several times.
    pub(crate) fn from_pairs(flags: Flags, pairs: Vec<Pair>) -> Self {
        let mut list = Self {
            pairs,
            flags,
            index: None,
        };
        list.reindex();
        list
    }

    /// What the list promises about its names.
    #[must_use]
    pub const fn flags(&self) -> Flags {
        self.flags
    }

    /// How many pairs there are, those of lists within not counted.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is no pair.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The pairs in their order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.pairs.iter())
    }

    /// Adds a pair at the end. If the list's flags say that names are unique, what had the name before is removed, so
    /// the new pair does not take its place but is the last, as with libnvpair.
    pub fn insert(&mut self, name: impl AsRef<str>, value: impl Into<Value>) -> &mut Self {
        let name = cut(name.as_ref());
        let value = value.into();
        if self.flags.contains(Flags::UNIQUE_NAME) {
            self.remove(name);
        } else if self.flags.contains(Flags::UNIQUE_NAME_TYPE) {
            let data_type = value.data_type();
            self.retain(|pair| &*pair.name != name || pair.value.data_type() != data_type);
        }
        self.push(Pair {
            name: name.into(),
            value,
        });
        self
    }

    /// Adds a pair at the end, whether or not there is one of that name.
    fn push(&mut self, pair: Pair) {
        let position = self.pairs.len();
        self.pairs.push(pair);
        match self.index.as_mut().filter(|index| !index.is_full()) {
            Some(index) => index.put(&self.pairs, position),
            None => self.reindex(),
        }
    }

    /// Removes every pair of that name, and says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        if self.position(name).is_none() {
            return false;
        }
        self.retain(|pair| &*pair.name != name);
        true
    }

    fn retain(&mut self, keep: impl Fn(&Pair) -> bool) {
        let before = self.pairs.len();
        self.pairs.retain(keep);
        if self.pairs.len() != before {
            self.reindex();
        }
    }

    fn reindex(&mut self) {
        let long = self.pairs.len() >= INDEXED_FROM;
        self.index = long.then(|| Box::new(Index::new(&self.pairs)));
    }

    /// Where the last pair of that name stands.
    fn position(&self, name: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&self.pairs, name),
            None => self.pairs.iter().rposition(|pair| &*pair.name == name),
        }
    }

    /// The value of that name; where several pairs have the name, that of the last.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.position(name)
            .and_then(|position| self.pairs.get(position))
            .map(|pair| &pair.value)
    }

    /// The value of that name, to be changed where it stands.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.position(name)
            .and_then(|position| self.pairs.get_mut(position))
            .map(|pair| &mut pair.value)
    }

    /// Whether there is a value of that name, of any type.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }
}

/// What of a string can be a name: up to the first NUL, and no more than fits.
fn cut(name: &str) -> &str {
    let name = name.split('\0').next().unwrap_or_default();
    let mut end = name.len().min(NvList::NAME_MAX);
    while !name.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    name.get(..end).unwrap_or_default()
}

impl Default for NvList {
    fn default() -> Self {
        Self::new()
    }
}

/// Two lists are equal if they have the same flags and the same pairs in the same order.
impl PartialEq for NvList {
    fn eq(&self, other: &Self) -> bool {
        self.flags == other.flags && self.pairs == other.pairs
    }
}

impl fmt::Debug for NvList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<N: AsRef<str>, V: Into<Value>> Extend<(N, V)> for NvList {
    fn extend<T: IntoIterator<Item = (N, V)>>(&mut self, pairs: T) {
        for (name, value) in pairs {
            self.insert(name, value);
        }
    }
}

impl<N: AsRef<str>, V: Into<Value>> FromIterator<(N, V)> for NvList {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(pairs: T) -> Self {
        let mut list = Self::new();
        list.extend(pairs);
        list
    }
}

/// The pairs of a list in their order.
#[derive(Clone, Debug)]
pub struct Iter<'a>(slice::Iter<'a, Pair>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a Value);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|pair| (&*pair.name, &pair.value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(|pair| (&*pair.name, &pair.value))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a NvList {
    type Item = (&'a str, &'a Value);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &NvList) -> Vec<&str> {
        list.iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn inserting_a_name_again_moves_it_to_the_end() {
        let mut list = NvList::new();
        list.insert("a", 1_u64).insert("b", 2_u64).insert("a", "three");
        assert_eq!(names(&list), ["b", "a"]);
        assert_eq!(list.str("a"), Some("three"));
        assert_eq!(list.u64("a"), None);
    }

    #[test]
    fn flags_decide_what_is_unique() {
        let mut list = NvList::with_flags(Flags::UNIQUE_NAME_TYPE);
        list.insert("a", 1_u64).insert("a", "two").insert("a", 3_u64);
        assert_eq!(list.len(), 2);
        let mut list = NvList::with_flags(Flags::NONE);
        list.insert("a", 1_u64).insert("a", 2_u64);
        assert_eq!((list.len(), list.u64("a")), (2, Some(2)));
        assert!(list.remove("a"));
        assert!(list.is_empty());
    }

    #[test]
    fn a_long_list_is_found_in_as_a_short_one_is() {
        let mut list = NvList::new();
        for number in 0..1000_u64 {
            list.insert(format!("{}", number % 700), number);
        }
        assert_eq!(list.len(), 700);
        assert_eq!(list.u64("0"), Some(700));
        assert_eq!(list.u64("299"), Some(999));
        assert_eq!(list.u64("300"), Some(300));
        assert_eq!(list.u64("700"), None);
        assert!(list.remove("300") && !list.remove("300"));
        assert_eq!((list.u64("301"), list.u64("299")), (Some(301), Some(999)));
        while list.len() > 1 {
            let first = names(&list)[0].to_owned();
            list.remove(&first);
        }
        assert_eq!(list.u64("299"), Some(999));
    }

    #[test]
    fn a_name_ends_at_a_nul_and_never_within_a_character() {
        let mut list = NvList::new();
        list.insert("a\0b", true).insert("é".repeat(20_000), true);
        assert!(list.contains("a"));
        assert_eq!(names(&list)[1].len(), NvList::NAME_MAX);
    }
}
