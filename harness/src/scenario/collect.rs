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
use super::tree::{Kind, Node};

/// The maps in which every key may be left out.
const MAPS: &[&[&str]] = &[&[], &["policy"], &["policy", "fs"], &["expect"], &["expect", "verdicts"]];

/// Reads a document as a typed value, or says what is wrong with each of its keys.
pub(super) fn typed_whole<T: DeserializeOwned>(document: &Node) -> Result<T, Vec<Fault>> {
    let first = match typed(document) {
        Ok(value) => return Ok(value),
        Err(fault) => fault,
    };
    let mut left = document.clone();
    let mut faults: Vec<Fault> = vec![first];
    while let Some(span) = faults.last().and_then(|fault| fault.span)
        && faults.len() < MAX_FAULTS
        && MAPS.iter().rev().any(|map| take_out(&mut left, map, span))
    {
        match typed::<T>(&left) {
            Ok(_) => break,
            Err(fault) => faults.push(fault),
        }
    }
    Err(faults)
}

/// Takes the key of this map out in which something stands; whether there is one.
fn take_out(node: &mut Node, map: &[&str], span: Span) -> bool {
    let Kind::Map(entries) = &mut node.kind else { return false };
    match map.split_first() {
        Some((first, rest)) => entries
            .iter_mut()
            .find(|entry| entry.key == *first)
            .is_some_and(|entry| take_out(&mut entry.value, rest, span)),
        None => {
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
        let faults = typed_whole::<Outer>(&parse(yaml).unwrap().documents[0]).map(|outer| outer.expect);
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
