//! What lies outside of the sandbox and is found by a name or a number: daemons and their descriptors, IPC.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use assize_core::outcome::ControlState;
use assize_core::policy::Isolation;
use assize_core::syscall::family;
use assize_core::{Policy, Sandbox};

use crate::support::*;

/// A daemon outside of the sandbox: whoever connects is given a descriptor of a file that no policy grants.
const DAEMON: &str = "import os, selectors, socket, sys\n\
    folder = sys.argv[1]\n\
    secret = os.open(folder + '/secret', os.O_RDONLY)\n\
    waiting = selectors.DefaultSelector()\n\
    for name in folder + '/named', '\\0' + folder:\n\
    \x20   listener = socket.socket(socket.AF_UNIX); listener.bind(name); listener.listen()\n\
    \x20   waiting.register(listener, selectors.EVENT_READ)\n\
    print('ready', flush=True)\n\
    while True:\n\
    \x20   for key, _ in waiting.select():\n\
    \x20       try: socket.send_fds(key.fileobj.accept()[0], [b'x'], [secret])\n\
    \x20       except OSError: pass";

/// Connects to both, by way of a socket and by way of a pair's end, and reads what the descriptor leads to.
const GUEST: &str = "import errno, os, socket, sys\n\
    folder = sys.argv[1]\n\
    def said(name, address):\n\
    \x20   try:\n\
    \x20       client = socket.socket(socket.AF_UNIX); client.connect(address)\n\
    \x20       print(name, os.pread(socket.recv_fds(client, 1, 1)[1][0], 20, 0).decode())\n\
    \x20   except OSError as error: print(name, errno.errorcode[error.errno])\n\
    said('named', folder + '/named')\n\
    said('abstract', '\\0' + folder)\n\
    try: print('opened', open(folder + '/secret').read())\n\
    except OSError as error: print('opened', errno.errorcode[error.errno])";

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn no_guest_gets_a_descriptor_from_a_daemon_outside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    std::fs::write(folder.path().join("secret"), "the secret").unwrap();
    let mut daemon = Daemon(
        std::process::Command::new("/usr/bin/python3")
            .args(["-I", "-S", "-c", DAEMON, path])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut ready = String::new();
    BufReader::new(daemon.0.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");

    for (without, wanted) in [
        (&[][..], "named EPERM\nabstract EPERM\nopened EACCES\n"),
        // Landlock keeps from abstract names, and from opening the file by its own; not from a socket's path.
        (&["guard"], "named the secret\nabstract EPERM\nopened EACCES\n"),
        (&["guard", "fs"], "named the secret\nabstract the secret\nopened the secret\n"),
    ] {
        for isolation in [Isolation::Auto, Isolation::Off] {
            let mut policy = Policy { isolation, ..policy() };
            policy.without.extend(without.iter().map(|name| (*name).to_owned()));
            let mut command = python(GUEST);
            command.args.push(path.into());
            let outcome = Sandbox::new(policy, command).run_blocking().unwrap();
            exited(&outcome, 0);
            assert_eq!(stdout(&outcome), wanted, "without {without:?}");
        }
    }
}

#[test]
fn who_may_use_ipc_has_a_namespace_for_it() {
    let own = std::fs::read_link("/proc/self/ns/ipc").unwrap();
    let own = own.to_str().unwrap();
    for ipc in [None, Some(family::SYSV_IPC), Some(family::MESSAGE_QUEUE)] {
        for isolation in [Isolation::Auto, Isolation::Off] {
            let mut policy = Policy { isolation, ..policy() };
            policy.syscalls.allow.extend(ipc.iter().flat_map(|family| family.syscalls()));
            let outcome = Sandbox::new(policy, sh("readlink /proc/self/ns/ipc")).run_blocking().unwrap();
            exited(&outcome, 0);
            let control = outcome.report.controls.iter().find(|control| control.name == "isolation").unwrap();
            let namespaces = matches!(control.state, ControlState::Proven(_));
            assert_eq!(stdout(&outcome).trim() == own, !namespaces || ipc.is_none(), "{isolation:?} {ipc:?}");
        }
    }
}
