//! What a procfs tells of the machine in the `status` of a thread: the processors and the nodes that it may run on, and how
//! often it gave a processor up. What it tells of the thread's memory is what the kernel counts.
#![forbid(unsafe_code)]

use super::{Answer, Seen};
use crate::supervisor::call::Call;

/// A `status` that was never interrupted, on one node, and with these processors, where they are not the kernel's: as a mask and
/// as a list.
fn shown(status: &[u8], processors: Option<&(String, String)>) -> Vec<u8> {
    let mut text = Vec::with_capacity(status.len());
    for line in status.split_inclusive(|byte| *byte == b'\n') {
        let name = line.iter().position(|byte| *byte == b':').and_then(|end| line.get(..end));
        let shown = match (name.unwrap_or_default(), processors) {
            (b"Cpus_allowed", Some((mask, _))) => mask,
            (b"Cpus_allowed_list", Some((_, list))) => list,
            (b"Mems_allowed", _) => "1",
            (b"Mems_allowed_list" | b"voluntary_ctxt_switches" | b"nonvoluntary_ctxt_switches", _) => "0",
            _ => {
                text.extend_from_slice(line);
                continue;
            }
        };
        text.extend_from_slice(name.unwrap_or_default());
        text.extend_from_slice(format!(":\t{shown}\n").as_bytes());
    }
    text
}

impl Seen {
    /// An open may lead to a file that tells of a thread's processors. Of who is not of this run it tells what the kernel does.
    pub(super) fn opens(&self, call: &mut Call) -> Answer {
        let Some(file) = call.opened_of_process().filter(|file| file.name == b"status") else {
            return Answer::Pass;
        };
        let Some(status) = call.read_opened().filter(|_| call.tells_of_this_run(&file)) else {
            return Answer::Pass;
        };
        let processors = self.processors.as_ref();
        let processors = processors.map(|processors| processors.allowed(call, || call.thread_of(&file)));
        call.answer_with_content(&shown(&status, processors.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_machine_are_made_up_and_all_else_is_left_alone() {
        let status = "Name:\tCpus_allowed\nVmRSS:\t  12 kB\nCpus_allowed:\tff\nCpus_allowed_list:\t0-7\n\
                      Mems_allowed:\t00000000,00000003\nMems_allowed_list:\t0-1\nvoluntary_ctxt_switches:\t5\n\
                      nonvoluntary_ctxt_switches:\t6\nx";
        assert_eq!(
            String::from_utf8(shown(status.as_bytes(), Some(&("3".to_owned(), "0-1".to_owned())))).unwrap(),
            "Name:\tCpus_allowed\nVmRSS:\t  12 kB\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n\
             Mems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\n\
             nonvoluntary_ctxt_switches:\t0\nx"
        );
        let real = String::from_utf8(shown(status.as_bytes(), None)).unwrap();
        assert!(real.contains("Cpus_allowed:\tff\nCpus_allowed_list:\t0-7\nMems_allowed:\t1\n"), "{real}");
    }
}
