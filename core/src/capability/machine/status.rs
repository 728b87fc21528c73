//! What a procfs tells of the machine in the `status` of a thread: the processors and the nodes that it may run on, and how
//! often it gave a processor up. What it tells of the thread's memory is what the kernel counts.
#![forbid(unsafe_code)]

use super::{Answer, Seen};
use crate::supervisor::call::Call;

/// A `status` with these processors, as a mask and as a list.
fn with_processors(status: &[u8], mask: &str, list: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(status.len());
    for line in status.split_inclusive(|byte| *byte == b'\n') {
        let name = line.iter().position(|byte| *byte == b':').and_then(|end| line.get(..end));
        let shown = match name.unwrap_or_default() {
            b"Cpus_allowed" => mask,
            b"Cpus_allowed_list" => list,
            b"Mems_allowed" => "1",
            b"Mems_allowed_list" | b"voluntary_ctxt_switches" | b"nonvoluntary_ctxt_switches" => "0",
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
    /// An open may lead to a file that tells of a thread's processors.
    pub(super) fn opens(&self, call: &mut Call) -> Answer {
        let Some(processors) = &self.processors else { return Answer::Pass };
        let Some(file) = call.opened_of_process().filter(|file| file.name == b"status") else {
            return Answer::Pass;
        };
        let path = file.path.clone();
        let status = match call.errand(move || std::fs::read(path)) {
            Ok(Ok(status)) => status,
            // The thread is gone: the kernel's own answer to that.
            Ok(Err(_)) => return Answer::Pass,
            Err(errno) => return Answer::errno(errno),
        };
        let (mask, list) = processors.allowed(call, call.thread_of(&file));
        call.answer_with_content(&with_processors(&status, &mask, &list))
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
            String::from_utf8(with_processors(status.as_bytes(), "3", "0-1")).unwrap(),
            "Name:\tCpus_allowed\nVmRSS:\t  12 kB\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n\
             Mems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\n\
             nonvoluntary_ctxt_switches:\t0\nx"
        );
    }
}
