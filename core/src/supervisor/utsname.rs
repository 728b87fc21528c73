//! The answer to uname, field by field. Decides no field: what is not set is the kernel's.
#![forbid(unsafe_code)]

use super::call::Call;
use crate::NotifAction;
use crate::capability::Answer;

/// The longest text of a field (`__NEW_UTS_LEN`).
pub(crate) const LONGEST: usize = 64;
/// The size of a field.
pub(crate) const FIELD: usize = LONGEST + 1;
/// The size of `struct new_utsname`.
pub(crate) const SIZE: usize = FIELD * 6;

/// A field of `struct new_utsname`, by place.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field {
    Nodename = 1,
    Release = 2,
    Version = 3,
    Machine = 4,
    Domainname = 5,
}

impl Field {
    /// How far into the structure it lies.
    pub(crate) const fn offset(self) -> usize {
        self as usize * FIELD
    }
}

/// `struct new_utsname`.
pub(crate) struct Utsname([u8; SIZE]);

impl Utsname {
    /// What the kernel says.
    pub(crate) fn of_the_kernel() -> Self {
        let real = rustix::system::uname();
        let mut this = Self([0; SIZE]);
        let texts = [
            real.sysname().to_bytes(),
            real.nodename().to_bytes(),
            real.release().to_bytes(),
            real.version().to_bytes(),
            real.machine().to_bytes(),
            real.domainname().to_bytes(),
        ];
        for (place, text) in texts.into_iter().enumerate() {
            this.put(place, text);
        }
        this
    }

    /// Sets a field, cut to what it takes.
    pub(crate) fn set(&mut self, field: Field, text: &str) {
        self.put(field as usize, text.as_bytes());
    }

    fn put(&mut self, place: usize, text: &[u8]) {
        if let Some(field) = self.0.chunks_exact_mut(FIELD).nth(place) {
            let len = text.len().min(LONGEST);
            field.fill(0);
            field[..len].copy_from_slice(&text[..len]);
        }
    }
}

impl Call {
    /// The answer to uname.
    #[allow(clippy::needless_pass_by_ref_mut)] // as for the other answers
    pub(crate) fn answer_with_utsname(&mut self, utsname: &Utsname) -> Answer {
        match self.write(self.arg(0), &utsname.0) {
            Ok(()) => Answer::Done(NotifAction::ReturnValue(0)),
            Err(errno) => Answer::errno(errno),
        }
    }
}

const _: () = assert!(SIZE == size_of::<libc::utsname>());
