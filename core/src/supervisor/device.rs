//! A character device without a name, for a guest to read from.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::ioctl_fionread;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

use super::stand_in::StandIn;
use crate::Errno;
use crate::guest::{Identity, identity};

/// The end of a device that is written to. A write waits until there is room, and fails once nobody can read any more.
#[derive(Debug)]
pub struct Device(File);

impl Write for Device {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            // A terminal whose other end was closed takes what it is given until it is full, and then waits for ever.
            let mut polled = [PollFd::new(&self.0, PollFlags::OUT)];
            match poll(&mut polled, None) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            if polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a terminal holds (`N_TTY_BUF_SIZE`, less one).
const ROOM: u64 = 4095;
/// How often it is looked whether it is full: some 20 ms.
const TURNS: usize = 400;

/// A terminal in raw mode; `feed` writes to its master end on a thread of its own. Gives the other end, after `register`
/// has put down which file that is.
pub(super) fn device(
    register: impl FnOnce(Identity) -> StandIn,
    feed: impl FnOnce(Device, StandIn) + Send + 'static,
) -> Result<OwnedFd, Errno> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    let mut terminal = tcgetattr(&slave)?;
    terminal.make_raw();
    // A read waits until it has what it asked for, as far as the kernel takes a terminal's bytes at once: 64. Then it goes
    // on with what is there, which a larger number would forbid (`iterate_tty_read` in drivers/tty/tty_io.c).
    terminal.special_codes[SpecialCodeIndex::VMIN] = 64;
    terminal.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(&slave, OptionalActions::Now, &terminal)?;
    fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
    let stand_in = register(identity(&rustix::fs::fstat(&slave)?));
    std::thread::Builder::new()
        .name("assize-device".to_owned())
        .stack_size(64 << 10)
        .spawn(move || feed(Device(master.into()), stand_in))
        .map_err(|error| Errno::of(&error))?;
    // The first read of the guest finds the terminal full, whoever is scheduled when.
    for _ in 0..TURNS {
        if ioctl_fionread(&slave)? >= ROOM {
            break;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    Ok(slave)
}
