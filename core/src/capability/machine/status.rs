//! What a procfs tells of the machine in the `status` of a thread: the processors and the nodes that it may run on, and how
//! often it gave a processor up. What it tells of the thread's memory is what the kernel counts; but for init, which is ours, and
//! of whose memory its `statm` tells too.
#![forbid(unsafe_code)]

use super::{Answer, Seen};
use crate::supervisor::call::Call;
use crate::supervisor::process_file::PAGES_OF_INIT;

/// What init's memory is said to be, in the units of `status`.
const KB_OF_INIT: u64 = PAGES_OF_INIT * 4;

/// A `status` that was never interrupted, on one node, and with these processors, where they are not the kernel's: as a mask and
/// as a list. That of init has the memory that init is said to have.
fn shown(status: &[u8], processors: Option<&(String, String)>, of_init: bool) -> Vec<u8> {
    let memory = |kb: u64| format!("{kb:8} kB");
    let mut text = Vec::with_capacity(status.len());
    for line in status.split_inclusive(|byte| *byte == b'\n') {
        let name = line.iter().position(|byte| *byte == b':').and_then(|end| line.get(..end));
        let shown = match (name.unwrap_or_default(), processors) {
            (b"Cpus_allowed", Some((mask, _))) => mask.clone(),
            (b"Cpus_allowed_list", Some((_, list))) => list.clone(),
            (b"Mems_allowed", _) => "1".to_owned(),
            (b"Mems_allowed_list" | b"voluntary_ctxt_switches" | b"nonvoluntary_ctxt_switches", _) => {
                "0".to_owned()
            }
            (b"VmHWM" | b"VmRSS" | b"RssAnon", _) if of_init => memory(KB_OF_INIT),
            (b"RssFile" | b"RssShmem" | b"VmSwap", _) if of_init => memory(0),
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

/// init's `statm` (`man 5 proc_pid_statm`): what is resident is the second number, and what of that is shared the third.
fn statm_of_init(statm: &[u8]) -> Vec<u8> {
    let numbers = String::from_utf8_lossy(statm);
    let numbers = numbers.split_ascii_whitespace().enumerate().map(|(place, number)| match place {
        1 => PAGES_OF_INIT.to_string(),
        2 => "0".to_owned(),
        _ => number.to_owned(),
    });
    (numbers.collect::<Vec<_>>().join(" ") + "\n").into_bytes()
}

impl Seen {
    /// An open may lead to a file that tells of a thread's processors, or of init's memory. Of who is not of this run it tells what
    /// the kernel does.
    pub(super) fn opens(&self, call: &mut Call) -> Answer {
        let Some(file) = call.opened_of_process() else { return Answer::Pass };
        match &*file.name {
            b"status" => {}
            b"statm" if file.is_of_init() => {
                return call
                    .read_opened()
                    .map_or(Answer::Pass, |statm| call.answer_with_content(&statm_of_init(&statm)));
            }
            _ => return Answer::Pass,
        }
        let Some(status) = call.read_opened().filter(|_| call.tells_of_this_run(&file)) else {
            return Answer::Pass;
        };
        let processors = self.processors.as_ref();
        let processors = processors.map(|processors| processors.allowed(call, || call.thread_of(&file)));
        call.answer_with_content(&shown(&status, processors.as_ref(), file.is_of_init()))
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
            String::from_utf8(shown(status.as_bytes(), Some(&("3".to_owned(), "0-1".to_owned())), false))
                .unwrap(),
            "Name:\tCpus_allowed\nVmRSS:\t  12 kB\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n\
             Mems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\n\
             nonvoluntary_ctxt_switches:\t0\nx"
        );
        let real = String::from_utf8(shown(status.as_bytes(), None, false)).unwrap();
        assert!(real.contains("Cpus_allowed:\tff\nCpus_allowed_list:\t0-7\nMems_allowed:\t1\n"), "{real}");
    }

    #[test]
    fn init_has_one_page_in_all_that_tells_of_it() {
        let status =
            b"VmSize:\t     168 kB\nVmHWM:\t      12 kB\nVmRSS:\t      12 kB\nRssAnon:\t       8 kB\n\
                       RssShmem:\t       4 kB\n";
        assert_eq!(
            String::from_utf8(shown(status, None, true)).unwrap(),
            "VmSize:\t     168 kB\nVmHWM:\t       4 kB\nVmRSS:\t       4 kB\nRssAnon:\t       4 kB\n\
             RssShmem:\t       0 kB\n"
        );
        assert_eq!(statm_of_init(b"42 3 1 1 0 33 0\n"), b"42 1 0 1 0 33 0\n");
    }
}
