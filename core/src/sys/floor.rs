//! The floor: the least that a supervisor can do for a call, for benches to compare with.
//!
//! It traps a few calls and answers them with as few kernel calls as an answer takes, in one Landlock domain with its
//! guest, so that both pay what the kernel takes for that. It decides nothing, so it is no sandbox; nothing but
//! benches may use it.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use syscalls::Sysno;

use super::seccomp::{Listener, Notif, Reply, fetch_fd};
use super::{memory, thread};
use crate::Errno;
use crate::landlock::Ruleset;
use crate::policy::FsPolicy;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The kernel runs it.
    Continue,
    /// As `getrandom`: the buffer is filled with a byte.
    Fill,
    /// As `openat`: it is opened here and injected.
    Open,
}

/// Runs a command whose calls are answered so, to its end, with these files. What it writes to descriptor 1 is
/// returned.
///
/// # Errors
/// What the steps of the start give, and reading its output.
pub fn run(command: Command, calls: &[(Sysno, Answer)], fs: &FsPolicy) -> io::Result<Vec<u8>> {
    let ruleset = Ruleset::of(fs, false).map_err(io::Error::other)?;
    let calls = calls.to_vec();
    let (give, take) = mpsc::channel();
    // The domain is entered for good, and whatever this thread starts is in it.
    let server = std::thread::spawn(move || {
        let error = |errno: Errno| io::Error::from_raw_os_error(errno.value());
        let started = thread::no_new_privs().and_then(|()| ruleset.enter()).map_err(error);
        match started.and_then(|()| start(command, &calls)) {
            Ok((child, listener)) => {
                let _ = give.send(Ok(child));
                serve(&listener, &calls);
            }
            Err(error) => {
                let _ = give.send(Err(error));
            }
        }
    });
    let mut child: Child = take.recv().map_err(io::Error::other)??;
    let mut output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut text = Vec::new();
    output.read_to_end(&mut text)?;
    child.wait()?;
    let _ = server.join();
    Ok(text)
}

fn start(mut command: Command, calls: &[(Sysno, Answer)]) -> io::Result<(Child, Listener)> {
    let mut filter = program(calls);
    let (mut from_child, mut number) = io::pipe()?;
    let (mut taken, mut tell) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    // SAFETY: between fork and exec only raw calls are made, on memory that was prepared before.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
            const NEW_LISTENER_KILLABLE: libc::c_ulong = 1 << 3 | 1 << 5;
            let listener = libc::syscall(libc::SYS_seccomp, 1, NEW_LISTENER_KILLABLE, &raw const program);
            if listener < 0 {
                return Err(io::Error::last_os_error());
            }
            let told = [(libc::getpid() as u32).to_le_bytes(), (listener as u32).to_le_bytes()];
            number.write_all(told.as_flattened())?;
            taken.read_exact(&mut [0])
        });
    }
    // `spawn` returns when the child has executed its program, which waits until its listener is here.
    let spawning = std::thread::spawn(move || command.spawn());
    let mut told = [[0; 4]; 2];
    from_child.read_exact(told.as_flattened_mut())?;
    let [pid, listener] = told.map(u32::from_le_bytes);
    let pidfd = rustix::process::Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::NotFound)?;
    let pidfd = rustix::process::pidfd_open(pidfd, rustix::process::PidfdFlags::empty())?;
    let listener = fetch_fd(pidfd.as_fd(), listener.cast_signed())
        .map_err(|errno| io::Error::from_raw_os_error(errno.value()))?;
    tell.write_all(&[0])?;
    let child = spawning.join().map_err(|_| io::ErrorKind::BrokenPipe)??;
    Ok((child, Listener::new(listener)))
}

/// Asks about these calls, allows all others.
fn program(calls: &[(Sysno, Answer)]) -> Vec<libc::sock_filter> {
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let mut program = vec![statement(LOAD, 0)];
    for (call, _) in calls {
        program.push(libc::sock_filter { code: EQUAL, jt: 0, jf: 1, k: call.id() as u32 });
        program.push(statement(RETURN, libc::SECCOMP_RET_USER_NOTIF));
    }
    program.push(statement(RETURN, libc::SECCOMP_RET_ALLOW));
    program
}

fn serve(listener: &Listener, answers: &[(Sysno, Answer)]) {
    loop {
        let notif = match listener.receive() {
            Ok(notif) => notif,
            Err(Errno::EINTR) => continue,
            Err(_) => return,
        };
        let answer = answers.iter().find(|(call, _)| call.id() == notif.data.nr).map(|(_, answer)| answer);
        let reply = match answer {
            Some(Answer::Fill) => Reply::Value(fill(listener, &notif)),
            Some(Answer::Open) => match open(listener, &notif) {
                Some(errno) => Reply::Value(-i64::from(errno.value())),
                None => continue,
            },
            _ => Reply::Continue,
        };
        let _ = listener.reply(notif.id, reply);
    }
}

fn fill(listener: &Listener, notif: &Notif) -> i64 {
    let mut buffer = [7_u8; 256];
    let len = (notif.data.args[1] as usize).min(buffer.len());
    buffer[0] = notif.id as u8;
    if !listener.is_waiting(notif.id) {
        return -i64::from(Errno::ESRCH.value());
    }
    match memory::write(notif.pid, notif.data.args[0], &buffer[..len]) {
        Ok(written) => written as i64,
        Err(errno) => -i64::from(errno.value()),
    }
}

fn open(listener: &Listener, notif: &Notif) -> Option<Errno> {
    let mut path = [0_u8; 4096];
    let address = notif.data.args[1];
    let room = 4096 - (address as usize & 4095);
    if let Err(errno) = memory::read(notif.pid, address, &mut path[..room.min(4095)]) {
        return Some(errno);
    }
    if !listener.is_waiting(notif.id) {
        return Some(Errno::ESRCH);
    }
    // SAFETY: the path lies in this buffer, whose last byte is zero.
    let fd = unsafe {
        libc::openat(libc::AT_FDCWD, path.as_ptr().cast(), notif.data.args[2] as i32 | libc::O_CLOEXEC)
    };
    if fd < 0 {
        return Some(Errno::of(&io::Error::last_os_error()));
    }
    // SAFETY: the kernel just made it for us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let cloexec = notif.data.args[2] & libc::O_CLOEXEC as u64 != 0;
    listener.inject_and_reply(notif.id, fd.as_fd(), cloexec).err()
}
