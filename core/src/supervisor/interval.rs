//! How long a thread may run before others of its kind, as guests are told: two capabilities tell it.
#![forbid(unsafe_code)]

use super::call::Call;
use crate::NotifAction;
use crate::capability::Answer;

/// A tick of a kernel that has 250 in a second. What a kernel says depends on its ticks, on its processors and on who else runs.
const INTERVAL: i64 = 4_000_000;

impl Call {
    /// The answer to `sched_rr_get_interval` of a guest (`man 2 sched_rr_get_interval`); of nobody else.
    pub(crate) fn answer_with_interval(&self) -> Answer {
        let pid = self.arg(0) as u32;
        if pid != 0 && self.numbered(pid).is_none() {
            return Answer::Pass;
        }
        match self.write(self.arg(1), &[0, INTERVAL].map(i64::to_ne_bytes).concat()) {
            Ok(()) => Answer::Done(NotifAction::ReturnValue(0)),
            Err(errno) => Answer::errno(errno),
        }
    }
}
