//! Numbers, ends and descriptors of real processes.
#![forbid(unsafe_code)]

use std::io::{Read, Seek, Write};

use super::*;
use crate::Errno;
use crate::guest::process;

#[test]
fn a_process_is_known_by_its_thread() {
    let dir = tree();
    let sleeper = Sleeper::in_folder(dir.path());
    assert_eq!(Guest::of(sleeper.guest.tid), Ok(sleeper.guest));
    let info = process::info(process::open(sleeper.guest.tid).unwrap()).unwrap();
    assert_eq!((info.pid, info.ppid, info.exit), (sleeper.guest.tid, std::process::id(), None));
}

#[test]
fn a_thread_that_is_no_leader_has_its_leader() {
    std::thread::spawn(|| {
        let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        assert_ne!(tid, std::process::id());
        assert_eq!(Guest::of(tid), Ok(Guest { tid, tgid: std::process::id() }));
    })
    .join()
    .unwrap();
}

#[test]
fn the_end_of_a_process_is_told() {
    let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
    let pidfd = process::open(child.id()).unwrap();
    child.wait().unwrap();
    assert_eq!(process::info(pidfd).unwrap().exit, Some(7 << 8));
    assert_eq!(process::open(0).unwrap_err(), Errno::ESRCH);
}

#[test]
fn a_descriptor_is_duplicated_from_any_thread() {
    let (to_thread, stay) = std::sync::mpsc::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"shared").unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    let thread = std::thread::spawn(move || {
        tell.send(rustix::thread::gettid().as_raw_nonzero().get() as u32).unwrap();
        let _ = stay.recv();
    });
    let copy = process::get_fd(told.recv().unwrap(), fd).unwrap();
    let mut copy = File::from(copy);
    copy.rewind().unwrap();
    let mut text = String::new();
    copy.read_to_string(&mut text).unwrap();
    assert_eq!(text, "shared");
    drop(to_thread);
    thread.join().unwrap();
    assert_eq!(process::get_fd(std::process::id(), 60_000).unwrap_err(), Errno::EBADF);
    assert_eq!(process::get_fd(std::process::id(), -1).unwrap_err(), Errno::EBADF);
}
