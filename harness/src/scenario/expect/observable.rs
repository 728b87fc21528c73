//! Whether a pattern looks at what its calls have. It knows of no run: what becomes of a call is for the lints to say.
#![forbid(unsafe_code)]

use assize_core::Syscall;
use assize_core::syscall::encode;
use assize_core::syscall::flags::{self, FlagSet};
use assize_core::syscall::signature::{self, Kind};

use super::VerdictPattern;
use super::form::FormError;

/// What none of the calls has could never match: an error now, not a riddle later, and no promise that holds of nothing.
pub(super) fn check(pattern: &VerdictPattern) -> Result<(), FormError> {
    let calls: Vec<Syscall> = match &pattern.call {
        Some(calls) => calls.calls().to_vec(),
        None => Syscall::all().collect(),
    };
    if let (Some(_), Some(call)) = (&pattern.call, calls.iter().find(|call| !call.is_filtered())) {
        return Err(FormError::shape(
            call.name(),
            "a call that can be seen: the kernel asks no filter about it",
        ));
    }
    let lacks = |what, help| {
        let calls = pattern.call.as_ref().map(ToString::to_string).unwrap_or_default();
        Err(FormError::Lacking { calls, what, help })
    };
    if pattern.path.is_some() && !calls.iter().any(|call| signature::path_args(*call).next().is_some()) {
        return lacks(
            "path",
            "which file a descriptor leads to is not seen: say `path` of the call that opens it",
        );
    }
    if pattern.to.is_some() && !calls.iter().any(|call| signature::has_address(*call)) {
        return lacks("address", "`connect`, `bind`, `sendto` and `sendmsg` have one");
    }
    for flag in pattern.flags.iter().flat_map(|flags| flags.set.iter().chain(&flags.unset)) {
        let names = || calls.iter().flat_map(|call| flag_sets(*call)).flat_map(FlagSet::names);
        if names().next().is_none() {
            return lacks("flags", "what else it is asked for with stands under `args`");
        }
        if !names().any(|name| name == flag) {
            return Err(FormError::unknown("the flag", flag, names()));
        }
    }
    for arg in pattern.args.keys() {
        // The address of a message is shown beside the message itself.
        let addressed = calls.iter().any(|call| signature::has_address(*call)).then_some("addr");
        let mut names: Vec<&str> = Vec::new();
        for name in calls.iter().flat_map(|call| encode::names(*call)).chain(addressed) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if !names.contains(&arg.as_str()) {
            return Err(FormError::unknown("the argument", arg, names));
        }
    }
    Ok(())
}

/// The flags that a call can have.
pub(super) fn flag_sets(call: Syscall) -> impl Iterator<Item = &'static FlagSet> {
    signature::params(call)
        .iter()
        .flat_map(|param| match param.kind {
            Kind::Flags(set) | Kind::Flags64(set) => [Some(set), None],
            Kind::OpenHow { .. } => [Some(&flags::OPEN), Some(&flags::RESOLVE)],
            _ => [None, None],
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::super::form;
    use super::*;

    fn read(text: &str) -> Result<VerdictPattern, String> {
        form::read(text)
    }

    #[test]
    fn a_call_has_what_is_looked_at() {
        for lacking in [
            "{ call: read, path: /etc/passwd }",
            "{ call: fchmod, path: /etc/passwd }",
            "{ call: openat, to: \"10.0.0.1:80\" }",
            "{ call: accept, to: \"10.0.0.1:80\" }",
            "{ call: brk, flags: O_RDONLY }",
            "{ call: openat, args: { count: 3 } }",
        ] {
            assert!(read(lacking).is_err(), "{lacking}");
        }
        for has in [
            "{ call: openat, path: /etc/passwd }",
            // One of its spellings is enough.
            "{ call: family(chmod), path: /etc/passwd }",
            "{ call: family(send), to: \"10.0.0.1:80\" }",
            "{ path: /etc/passwd, verdict: deny }",
            "{ to: \"10.0.0.1:80\", verdict: deny }",
        ] {
            assert!(read(has).is_ok(), "{has}");
        }
    }

    #[test]
    fn the_calls_that_help_names_have_an_address() {
        let error = read("{ call: openat, to: \"10.0.0.1:80\" }").unwrap_err();
        let with = Syscall::all().filter(|call| signature::has_address(*call));
        for call in with {
            assert!(error.contains(&format!("`{call}`")), "{call}: {error}");
        }
    }
}
