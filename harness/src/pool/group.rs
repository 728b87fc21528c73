//! The lock of a group: whoever holds it runs, of all scenarios of the group, in whatever process of the user's.
#![forbid(unsafe_code)]

use super::place::{Lock, Place, PlaceError};
use crate::scenario::turn::GroupName;

/// Takes it. `None`: somebody else has it.
pub(super) fn take(group: &GroupName) -> Result<Option<Lock>, PlaceError> {
    Place::open()?.lock(&format!("group-{group}"))
}
