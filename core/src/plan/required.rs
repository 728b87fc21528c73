//! Whether what a policy requires can be had: what it requires must be a control that it asks for, and this host must have it.
//! Both are known before the command runs.
#![forbid(unsafe_code)]

use super::PlanError;
use crate::outcome::{Control, ControlState, ISOLATION, TIMEOUT};
use crate::policy::Isolation;
use crate::{Policy, RunError};

/// Refuses a policy that requires what is no control, or one that it doesn't ask for. `controls` are the capabilities'. One
/// that is left out by `without` was asked for.
pub(super) fn asked(policy: &Policy, controls: &[Control]) -> Result<(), PlanError> {
    let capabilities = controls.iter().map(|control| {
        let asked = control.state != ControlState::NotAsked;
        (control.name.as_str(), asked)
    });
    let isolated = policy.isolation != Isolation::Off || policy.without.contains(ISOLATION);
    let further = [(ISOLATION, isolated), (TIMEOUT, policy.limits.timeout.is_some())];
    let all: Vec<_> = capabilities.chain(further).collect();
    for name in &policy.required {
        match all.iter().find(|(known, _)| known == name) {
            Some((_, true)) => {}
            Some((_, false)) => return Err(PlanError::NotAsked { control: name.clone() }),
            None => {
                let known = all.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ");
                return Err(PlanError::UnknownControl { name: name.clone(), known });
            }
        }
    }
    Ok(())
}

/// Refuses a run that this host can't give what the policy requires. `lacking`: the controls that can't be had, and why.
pub(crate) fn available<'a>(
    policy: &Policy,
    lacking: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), RunError> {
    match lacking.into_iter().find(|(name, _)| policy.required.contains(*name)) {
        Some((control, why)) => {
            Err(RunError::Unavailable { control: control.to_owned(), why: why.to_owned() })
        }
        None => Ok(()),
    }
}
