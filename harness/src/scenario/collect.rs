//! Everything that is wrong with the keys of a document, not only what is wrong first.
//!
//! What is wrong with one key says nothing of its neighbours, where all of them may be left out. So a wrong one is taken out, and
//! the rest read again. What follows from what is missing is never told.
#![forbid(unsafe_code)]

use serde::de::DeserializeOwned;

use super::deserialize::typed;
use super::document::MAX_FAULTS;
use super::fault::Fault;
use super::place::Span;
use super::tree::{Entry, Kind, Node};

/// The maps in which every key may be left out; and of a list beneath one, every item.
const MAPS: &[&[&str]] = &[
    &[],
    &["policy"],
    &["policy", "fs"],
    &["policy", "syscalls"],
    &["policy", "limits"],
    &["policy", "env"],
    &["deterministic"],
    &["env"],
    &["files"],
    &["expect"],
    &["expect", "changes"],
    &["expect", "files"],
    &["expect", "verdicts"],
];

/// Reads a document as a typed value, or says what is wrong with each of its keys, after what is known to be wrong.
pub(super) fn typed_whole<T: DeserializeOwned>(document: &Node, known: Vec<Fault>) -> Result<T, Vec<Fault>> {
    let mut faults = known;
    if faults.is_empty() {
        match typed(document) {
            Ok(value) => return Ok(value),
            Err(fault) => faults.push(fault),
        }
    }
    let mut left = document.clone();
    let take_out_of = |left: &mut Node, fault: &Fault| {
        fault.span.is_some_and(|span| MAPS.iter().rev().any(|map| take_out(left, map, span)))
    };
    // What stands together goes together: of what is gone nothing is left to take out.
    let mut taken = faults.iter().filter(|fault| take_out_of(&mut left, fault)).count() > 0;
    while taken && faults.len() < MAX_FAULTS {
        match typed::<T>(&left) {
            Ok(_) => break,
            Err(fault) => {
                taken = take_out_of(&mut left, &fault);
                faults.push(fault);
            }
        }
    }
    faults.sort_by_key(|fault| fault.span);
    Err(faults)
}

/// Takes the key of this map out in which something stands, or only the item, where that is one of several in a list; whether there
/// is one.
fn take_out(node: &mut Node, map: &[&str], span: Span) -> bool {
    let Kind::Map(entries) = &mut node.kind else { return false };
    match map.split_first() {
        Some((first, rest)) => entries
            .iter_mut()
            .find(|entry| entry.key == *first)
            .is_some_and(|entry| take_out(&mut entry.value, rest, span)),
        None => {
            let around = entries.iter_mut().find(|entry| within(span, entry.value.span));
            if let Some(Entry { value: Node { kind: Kind::List(items), .. }, .. }) = around
                && items.len() > 1
                && let Some(place) = items.iter().position(|item| within(span, item.span))
            {
                items.remove(place);
                return true;
            }
            let before = entries.len();
            entries.retain(|entry| !within(span, entry.key_span) && !within(span, entry.value.span));
            entries.len() < before
        }
    }
}

fn within(span: Span, around: Span) -> bool {
    span.file == around.file && around.start <= span.start && span.end <= around.end
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::tree::parse;
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        _number: u8,
        _exit: u8,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Outer {
        _text: String,
        expect: Inner,
    }

    fn wrong(yaml: &str) -> Vec<String> {
        let faults =
            typed_whole::<Outer>(&parse(yaml).unwrap().documents[0], Vec::new()).map(|outer| outer.expect);
        faults.map_or_else(|faults| faults.into_iter().map(|fault| fault.title).collect(), |_| Vec::new())
    }

    #[test]
    fn each_key_is_told_of_once() {
        assert_eq!(wrong("_text: a\nexpect: { _number: 1 }").len(), 0);
        assert_eq!(wrong("_txt: a\n_text: []\nexpect: { _nmber: 1, _number: x, _exit: 300 }").len(), 5);
        // The map itself is what is wrong: its keys can't be.
        assert_eq!(wrong("expect: [_nmber]\n_txt: a").len(), 2);
        let many: String = (0..40).map(|nth| format!("k{nth}: 0\n")).collect();
        assert_eq!(wrong(&many).len(), MAX_FAULTS);
    }
}
