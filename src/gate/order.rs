//! Sorting by code that is compiled once.
//!
//! The standard library's stable sort is compiled anew for each kind of item,
//! and is large; collecting a map or a set sorts as well. Where few items are
//! ordered, that is more of the program than they are worth.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Sorts items; those that compare as equal keep their order.
pub fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, Ord::cmp);
}

/// Sorts items by a key, which is made anew for each comparison.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |one, other| key(one).cmp(&key(other)));
}

/// Sorts items by what this says of two of them.
pub fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    if items.len() < 2 {
        return;
    }
    let order = places(items.len(), &|one, other| compare(&items[one], &items[other]));
    put_in_order(items, order);
}

/// Collects a map; of equal keys, the last one's value stays.
pub fn map<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    for (key, value) in entries {
        map.insert(key, value);
    }
    map
}

/// Collects a set.
pub fn set<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    for item in items {
        set.insert(item);
    }
    set
}

/// Collects a JSON object likewise.
pub fn object(members: impl IntoIterator<Item = (String, Value)>) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, value) in members {
        object.insert(name, value);
    }
    object
}

/// Which item is to stand at each place.
#[expect(clippy::disallowed_methods, reason = "the one kind of items that all others are told by")]
fn places(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_by(|&one, &other| compare(one, other));
    places
}

fn put_in_order<T>(items: &mut [T], mut places: Vec<usize>) {
    for start in 0..items.len() {
        let mut at = start;
        loop {
            let source = std::mem::replace(&mut places[at], at);
            if source == start {
                break;
            }
            items.swap(at, source);
            at = source;
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the standard library's sort is the oracle")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_the_standard_library_sorts(
            items in prop::collection::vec((0..6u8, 0..200u8), 0..60),
        ) {
            let (mut ours, mut theirs) = (items.clone(), items.clone());
            sort_by_key(&mut ours, |it| std::cmp::Reverse(it.0));
            theirs.sort_by_key(|it| std::cmp::Reverse(it.0));
            prop_assert_eq!(&ours, &theirs);
            sort(&mut ours);
            theirs.sort();
            prop_assert_eq!(ours, theirs);
            prop_assert_eq!(map(items.iter().copied()), items.iter().copied().collect());
            prop_assert_eq!(set(items.iter().copied()), items.iter().copied().collect());
        }
    }
}
