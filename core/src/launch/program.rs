//! What is executed: the places where a program may lie, its arguments and its environment.
#![forbid(unsafe_code)]

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use super::LaunchError;
use crate::Policy;
use crate::command::{Command, Program};

/// Where programs are looked for when the policy's environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The texts of an exec.
pub(super) struct Texts {
    pub(super) programs: Vec<CString>,
    pub(super) args: Vec<CString>,
    pub(super) env: Vec<CString>,
}

impl Texts {
    pub(super) fn of(command: &Command, policy: &Policy) -> Result<Self, LaunchError> {
        let (name, programs) = match &command.program {
            Program::Image { name, .. } => (name.as_os_str(), Vec::new()),
            Program::Path(path) => (path.as_os_str(), places(path, policy)?),
        };
        let mut args = vec![text(name.as_bytes(), "the program's name")?];
        for arg in &command.args {
            args.push(text(arg.as_bytes(), "an argument")?);
        }
        let mut env = Vec::new();
        for (name, value) in &policy.env {
            let pair = [name.as_bytes(), b"=", value.as_bytes()].concat();
            env.push(text(&pair, "a variable of the environment")?);
        }
        Ok(Self { programs, args, env })
    }
}

fn places(program: &OsStr, policy: &Policy) -> Result<Vec<CString>, LaunchError> {
    let bytes = program.as_bytes();
    // As execvp: an empty name is no file of any folder.
    if bytes.contains(&b'/') || bytes.is_empty() {
        return Ok(vec![text(bytes, "the program's name")?]);
    }
    let path = policy.env.get(OsStr::new("PATH")).map_or(DEFAULT_PATH.as_bytes(), |path| path.as_bytes());
    path.split(|byte| *byte == b':')
        .map(|folder| if folder.is_empty() { b".".as_slice() } else { folder })
        .map(|folder| text(&[folder, b"/", bytes].concat(), "the program's name"))
        .collect()
}

fn text(bytes: &[u8], what: &'static str) -> Result<CString, LaunchError> {
    CString::new(bytes).map_err(|_| LaunchError::Zero { what })
}
