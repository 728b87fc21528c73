//! What a handler may read and write of its guest.

use std::sync::Mutex;
use std::time::Duration;

use assize_core::handler::{MemoryError, read_child_cstr, read_child_mem, write_child_mem};
use assize_core::prober::{Script, Value};
use assize_core::syscall::Sysno;
use assize_core::{Errno, Handler, HandlerCtx, NotifAction};

use crate::support::*;

/// What a handler on `getppid` makes of its first argument.
fn look<T: Send + Clone + 'static>(
    script: Script,
    look: impl Fn(&HandlerCtx, u64) -> T + Send + Sync + 'static,
) -> (Probed, Vec<T>) {
    let seen = Seen::default();
    let handler = {
        let seen = seen.clone();
        move |cx: &HandlerCtx| {
            seen.push(look(cx, cx.notif.data.args[0]));
            std::future::ready(NotifAction::ReturnValue(0))
        }
    };
    let handlers: Handlers = vec![(number(Sysno::getppid), Box::new(handler) as Box<dyn Handler>)];
    let probed = probe(bare(), script, handlers);
    exited(&probed.outcome, 0);
    (probed, seen.all())
}

fn read(cx: &HandlerCtx, address: u64, len: usize) -> Result<Vec<u8>, MemoryError> {
    read_child_mem(cx.notif_fd, cx.notif.id, cx.notif.pid, address, len)
}

fn cstr(cx: &HandlerCtx, address: u64, limit: usize) -> Result<Vec<u8>, MemoryError> {
    read_child_cstr(cx.notif_fd, cx.notif.id, cx.notif.pid, address, limit)
}

#[test]
fn bytes_are_read_across_pages() {
    let mut script = Script::default();
    let bytes: Vec<u8> = (0..3 * 4096 + 100).map(|byte| byte as u8 ^ (byte >> 8) as u8).collect();
    let _ = script.bytes(&[0; 4000]);
    let data = script.bytes(&bytes);
    call(&mut script, Sysno::getppid, &[Value::Data(data)]);
    let len = bytes.len();
    let (_, seen) = look(script, move |cx, address| read(cx, address, len));
    assert_eq!(seen, [Ok(bytes)]);
}

#[test]
fn more_is_read_than_one_kernel_call_moves() {
    let mut script = Script::default();
    let data = script.buffer(5 << 20);
    script.patch(data + (5 << 20) - 3, b"end");
    call(&mut script, Sysno::getppid, &[Value::Data(data)]);
    let (_, seen) =
        look(script, |cx, address| read(cx, address, 5 << 20).map(|bytes| bytes[(5 << 20) - 3..].to_vec()));
    assert_eq!(seen, [Ok(b"end".to_vec())]);
}

/// A script that maps one page right below one that is not mapped, and passes `last` bytes before its end.
fn at_the_end_of_a_mapping(last: u64, content: &[u8]) -> Script {
    const AT: u64 = 0x7000_0000;
    let mut script = Script::default();
    let protection = i64::from(libc::PROT_READ | libc::PROT_WRITE);
    let flags = i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE);
    call(&mut script, Sysno::mmap, &[Value::Number(AT), n(4096), n(protection), n(flags), n(-1), n(0)]);
    // The kernel itself copies the content there: through a pipe.
    let ends = script.buffer(8);
    let text = script.bytes(content);
    call(&mut script, Sysno::pipe, &[Value::Data(ends)]);
    call(&mut script, Sysno::write, &[n(4), Value::Data(text), n(content.len() as i64)]);
    call(&mut script, Sysno::read, &[n(3), Value::Number(AT + 4096 - last), n(content.len() as i64)]);
    call(&mut script, Sysno::getppid, &[Value::Number(AT + 4096 - last)]);
    script
}

#[test]
fn a_string_at_the_very_end_of_a_mapping_is_whole() {
    let (_, seen) = look(at_the_end_of_a_mapping(5, b"tail\0"), |cx, address| cstr(cx, address, 4096));
    assert_eq!(seen, [Ok(b"tail".to_vec())]);
}

#[test]
fn a_string_that_runs_out_of_its_mapping_is_a_fault() {
    let (_, seen) = look(at_the_end_of_a_mapping(4, b"tail"), |cx, address| cstr(cx, address, 4096));
    assert_eq!(seen, [Err(MemoryError::Fault { address: 0x7000_0ffc, errno: Errno::EFAULT })]);
    assert_eq!(seen[0].clone().unwrap_err().errno(), Errno::EFAULT);
}

#[test]
fn a_read_past_the_end_of_a_mapping_is_a_fault() {
    let (_, seen) =
        look(at_the_end_of_a_mapping(4, b"tail"), |cx, address| (read(cx, address, 4), read(cx, address, 5)));
    assert_eq!(seen[0].0, Ok(b"tail".to_vec()));
    assert!(matches!(seen[0].1, Err(MemoryError::Fault { errno: Errno::EFAULT, .. })));
}

#[test]
fn what_is_not_mapped_is_a_fault() {
    for address in [0, 1, 0x10_0000, 0x7fff_ffff_f000, u64::MAX, u64::MAX - 4095, 1 << 63] {
        let mut script = Script::default();
        call(&mut script, Sysno::getppid, &[Value::Number(address)]);
        let (_, seen) = look(script, |cx, address| {
            let write = write_child_mem(cx.notif_fd, cx.notif.id, cx.notif.pid, address, b"x");
            (read(cx, address, 8), cstr(cx, address, 8), write)
        });
        let (bytes, text, write) = &seen[0];
        assert!(matches!(bytes, Err(MemoryError::Fault { errno: Errno::EFAULT, .. })), "{bytes:?}");
        assert!(matches!(text, Err(MemoryError::Fault { errno: Errno::EFAULT, .. })), "{text:?}");
        assert!(matches!(write, Err(MemoryError::Fault { errno: Errno::EFAULT, .. })), "{write:?}");
    }
}

#[test]
fn nothing_is_read_at_length_zero() {
    let mut script = Script::default();
    call(&mut script, Sysno::getppid, &[Value::Number(0)]);
    let (_, seen) = look(script, |cx, address| read(cx, address, 0));
    assert_eq!(seen, [Ok(Vec::new())]);
}

#[test]
fn a_length_that_a_guest_made_up_takes_no_memory() {
    let mut script = Script::default();
    let data = script.buffer(16);
    call(&mut script, Sysno::getppid, &[Value::Data(data)]);
    let (_, seen) = look(script, |cx, address| read(cx, address, usize::MAX / 4).map(|bytes| bytes.len()));
    assert!(matches!(seen[0], Err(MemoryError::Fault { .. })), "{seen:?}");
}

#[test]
fn a_string_has_a_limit() {
    let mut script = Script::default();
    let data = script.bytes(&[b'x'; 10_000]);
    call(&mut script, Sysno::getppid, &[Value::Data(data)]);
    let (_, seen) = look(script, |cx, address| (cstr(cx, address, 4096), cstr(cx, address, 20_000)));
    assert!(matches!(seen[0].0, Err(MemoryError::Unterminated { limit: 4096, .. })));
    assert_eq!(seen[0].0.clone().unwrap_err().errno(), Errno::ENAMETOOLONG);
    assert_eq!(seen[0].1, Ok(vec![b'x'; 10_000]));
}

#[test]
fn a_path_is_bytes() {
    for path in [&b"/tmp/\xff\xfe name"[..], b"", b"\x80", b"\xc3\x28/\xf0\x9f\x98\x80"] {
        let mut script = Script::default();
        let data = script.bytes(&[path, b"\0"].concat());
        call(&mut script, Sysno::getppid, &[Value::Data(data)]);
        let (_, seen) = look(script, |cx, address| cstr(cx, address, 4096));
        assert_eq!(seen, [Ok(path.to_vec())]);
    }
}

#[test]
fn what_is_written_is_what_the_guest_has() {
    let mut script = Script::default();
    let _ = script.bytes(&[0; 4090]);
    let data = script.buffer(100);
    call(&mut script, Sysno::getppid, &[Value::Data(data)]);
    let (probed, seen) = look(script, |cx, address| {
        write_child_mem(cx.notif_fd, cx.notif.id, cx.notif.pid, address, &[b'w'; 100])
    });
    assert_eq!(seen, [Ok(())]);
    assert_eq!(probed.run.data(data, 100).unwrap(), [b'w'; 100]);
}

#[test]
fn what_the_guest_may_not_write_is_not_written() {
    const AT: u64 = 0x7000_0000;
    let mut script = Script::default();
    let flags = i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE);
    let read_only = n(i64::from(libc::PROT_READ));
    call(&mut script, Sysno::mmap, &[Value::Number(AT), n(4096), read_only, n(flags), n(-1), n(0)]);
    call(&mut script, Sysno::getppid, &[Value::Number(AT)]);
    let (_, seen) = look(script, |cx, address| {
        let written = write_child_mem(cx.notif_fd, cx.notif.id, cx.notif.pid, address, b"x");
        (written, read(cx, address, 1))
    });
    assert!(matches!(seen[0].0, Err(MemoryError::Fault { errno: Errno::EFAULT, .. })));
    assert_eq!(seen[0].1, Ok(vec![0]));
}

#[test]
fn a_call_that_was_answered_is_gone() {
    let mut script = Script::default();
    let data = script.bytes(b"text\0");
    call(&mut script, Sysno::getppid, &[Value::Data(data)]);
    call(&mut script, Sysno::getppid, &[Value::Data(data)]);
    let before = Mutex::new(None::<HandlerCtx>);
    let (_, seen) = look(script, move |cx, address| {
        let first = before.lock().unwrap().replace(*cx);
        first.map(|first| {
            let write = write_child_mem(first.notif_fd, first.notif.id, first.notif.pid, address, b"x");
            [read(&first, address, 4).err(), cstr(&first, address, 8).err(), write.err()]
        })
    });
    assert_eq!(seen, [None, Some([Some(MemoryError::Gone); 3])]);
}

#[test]
fn a_guest_that_died_meanwhile_is_gone() {
    let seen = Seen::default();
    let handler = {
        let seen = seen.clone();
        move |cx: &HandlerCtx| {
            std::thread::sleep(Duration::from_millis(400));
            seen.push(read(cx, cx.notif.data.instruction_pointer, 1));
            std::future::ready(NotifAction::Continue)
        }
    };
    let handlers: Handlers = vec![(number(Sysno::sync), Box::new(handler) as Box<dyn Handler>)];
    let outcome = handled(policy(), sh("timeout -s KILL 0.1 sync; sleep 0.6"), handlers);
    exited(&outcome, 0);
    assert_eq!(seen.all(), [Err(MemoryError::Gone)]);
}

#[test]
fn a_descriptor_that_is_no_listener_is_gone() {
    assert_eq!(read_child_mem(-1, 0, std::process::id(), 0, 1), Err(MemoryError::Gone));
    assert_eq!(read_child_mem(0, 0, std::process::id(), 0, 1), Err(MemoryError::Gone));
}

#[test]
fn a_thread_that_is_not_its_processs_first_is_read_and_served() {
    // The thread's own descriptor is duplicated, and its memory read, by the thread's number.
    let seen = Seen::default();
    let handler = {
        let seen = seen.clone();
        move |cx: &HandlerCtx| {
            let guest = assize_core::guest::Guest::of(cx.notif.pid).unwrap();
            let fd = assize_core::guest::process::get_fd(cx.notif.pid, cx.notif.data.args[0] as i32);
            let fd = fd.map(|fd| {
                let mut bytes = [0; 8];
                let got = rustix::io::pread(&fd, &mut bytes, 0).unwrap();
                bytes[..got].to_vec()
            });
            let code = read(cx, cx.notif.data.instruction_pointer, 1);
            seen.push((guest.tid != guest.tgid, fd, code.is_ok()));
            std::future::ready(NotifAction::inject_bytes(b"for the thread").unwrap())
        }
    };
    let script = "import os, threading\n\
                  def call():\n\
                  \x20   fd = os.memfd_create('x')\n\
                  \x20   os.write(fd, b'its own')\n\
                  \x20   new = os.dup(fd)\n\
                  \x20   print(os.read(new, 64))\n\
                  thread = threading.Thread(target=call); thread.start(); thread.join()";
    let calls = [Sysno::dup, Sysno::fcntl];
    let mut handlers: Handlers = Vec::new();
    let handler = std::sync::Arc::new(handler);
    for sysno in calls {
        let handler = std::sync::Arc::clone(&handler);
        let only_dup = move |cx: &HandlerCtx| {
            let is_dup = cx.notif.data.nr == Sysno::dup as i32
                || cx.notif.data.args[1] == libc::F_DUPFD_CLOEXEC as u64;
            let answer = is_dup.then(|| handler(cx));
            async move {
                match answer {
                    Some(answer) => answer.await,
                    None => NotifAction::Continue,
                }
            }
        };
        handlers.push((number(sysno), Box::new(only_dup)));
    }
    let outcome = handled(policy(), python(script), handlers);
    exited(&outcome, 0);
    assert_eq!(stdout(&outcome), "b'for the thread'\n");
    assert_eq!(seen.all(), [(true, Ok(b"its own".to_vec()), true)]);
}
