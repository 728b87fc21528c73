//! Which files that guests hold stand in for others: devices of our own, given out in place of the kernel's.
//!
//! It knows them by identity and only while they live. It never opens one.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use crate::guest::Identity;
use crate::guest::stat::Stat;
use crate::trace::BytesText;

/// The stand-ins that live.
#[derive(Debug, Default)]
pub(super) struct StandIns {
    by_identity: HashMap<Identity, Original>,
    made: u64,
}

#[derive(Debug)]
struct Original {
    identity: Identity,
    stat: Option<Stat>,
    path: Option<BytesText>,
    nth: u64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct StandIn {
    identity: Identity,
    nth: u64,
}

impl StandIns {
    /// From now on `identity` stands in for `original`, whose path is shown in its place.
    pub(super) fn add(
        &mut self,
        identity: Identity,
        original: Identity,
        stat: Option<Stat>,
        path: Option<BytesText>,
    ) -> StandIn {
        self.made += 1;
        self.by_identity.insert(identity, Original { identity: original, stat, path, nth: self.made });
        StandIn { identity, nth: self.made }
    }

    /// It is gone. Its number may have been given to another one meanwhile, which stays.
    pub(super) fn remove(&mut self, gone: StandIn) {
        if self.by_identity.get(&gone.identity).is_some_and(|known| known.nth == gone.nth) {
            self.by_identity.remove(&gone.identity);
        }
    }

    /// What this file stands in for: mostly itself.
    pub(super) fn original(&self, identity: Identity) -> Identity {
        self.by_identity.get(&identity).map_or(identity, |original| original.identity)
    }

    /// What the file says of itself that this one stands in for.
    pub(super) fn stat(&self, identity: Identity) -> Option<Stat> {
        self.by_identity.get(&identity)?.stat.clone()
    }

    /// The path of what this file stands in for.
    pub(super) fn path(&self, identity: Identity) -> Option<BytesText> {
        self.by_identity.get(&identity)?.path.clone()
    }
}
