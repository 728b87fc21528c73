//! Randomness from a seed: every door through which the kernel gives any.
//!
//! Each process has streams of its own, keyed by the seed and its place in the tree, so what it draws does not depend
//! on who else draws, or when. Derivation: `ChaCha20(key = SHA-256("assize random 1" ‖ seed ‖ place ‖ purpose ‖ nth))`.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use sha2::{Digest, Sha256};

use super::{Answer, Calls, Capability, Proof, Rule, Stage, StartError, Then, VirtualFile};
use crate::supervisor::call::Call;
use crate::supervisor::exec::ExecStop;
use crate::sys::probe::{Expect, ProbeArg};
use crate::sys::vdso;
use crate::syscall::{Sysno, family};
use crate::trace::{Grounds, Place};
use crate::{Errno, NotifAction, Policy, Syscall};

pub(super) struct Random {
    seed: u64,
    drawn: Mutex<HashMap<Place, Drawn>>,
}

/// What one process has drawn so far.
struct Drawn {
    stream: ChaCha20,
    /// How often it asked for each purpose that has a stream per use.
    uses: [u64; 3],
}

/// What a stream is for. The names are part of the derivation: changing one changes every seeded run.
#[derive(Clone, Copy)]
enum Purpose {
    Device = 0,
    Uuid = 1,
    Exec = 2,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Uuid => "uuid",
            Self::Exec => "exec",
        }
    }
}

fn stream(seed: u64, place: &str, purpose: &str, nth: u64) -> ChaCha20 {
    let mut hash = Sha256::new();
    hash.update(b"assize random 1");
    hash.update(seed.to_le_bytes());
    for text in [place, purpose] {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.update(nth.to_le_bytes());
    ChaCha20::new(&hash.finalize(), &[0; 12].into())
}

fn draw(stream: &mut ChaCha20, buffer: &mut [u8]) {
    buffer.fill(0);
    stream.apply_keystream(buffer);
}

/// As many bytes as most callers ask for at most: these need no memory of their own.
const FEW: usize = 256;
/// What the kernel hands out in one go; more is asked for again.
const PIECE: usize = 1 << 16;
/// What one call gives at most, as `man 2 getrandom` has it: the other guests wait meanwhile.
const MOST: usize = (1 << 25) - 1;

impl Random {
    fn with<T>(&self, place: &Place, work: impl FnOnce(&mut Drawn) -> T) -> T {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        // Nearly every draw is a further one.
        if let Some(drawn) = drawn.get_mut(place) {
            return work(drawn);
        }
        let fresh = || Drawn { stream: stream(self.seed, &place.to_string(), "calls", 0), uses: [0; 3] };
        work(drawn.entry(place.clone()).or_insert_with(fresh))
    }

    fn next(&self, place: &Place, purpose: Purpose) -> ChaCha20 {
        let nth = self.with(place, |drawn| {
            let uses = &mut drawn.uses[purpose as usize];
            *uses += 1;
            *uses - 1
        });
        stream(self.seed, &place.to_string(), purpose.name(), nth)
    }

    /// `man 2 getrandom`; its flags are checked as in `drivers/char/random.c`.
    fn getrandom(&self, call: &mut Call) -> Answer {
        let flags = call.arg(2) as u32;
        let both = libc::GRND_RANDOM | libc::GRND_INSECURE;
        if flags & !(both | libc::GRND_NONBLOCK) != 0 || flags & both == both {
            return Answer::errno(Errno::EINVAL);
        }
        let Ok(place) = call.place() else { return Answer::errno(Errno::EIO) };
        let len = usize::try_from(call.arg(1)).unwrap_or(usize::MAX).min(MOST);
        let address = call.arg(0);
        let (mut few, mut many) = ([0; FEW], Vec::new());
        let buffer = match few.get_mut(..len) {
            Some(few) => few,
            None => {
                many.resize(len.min(PIECE), 0);
                &mut many[..]
            }
        };
        let mut done = 0;
        while done < len {
            let piece = (len - done).min(PIECE);
            let result = self.with(&place, |drawn| {
                let before: u64 = drawn.stream.current_pos();
                draw(&mut drawn.stream, &mut buffer[..piece]);
                let written = call.write(address.wrapping_add(done as u64), &buffer[..piece]);
                if written.is_err() {
                    // What can't be delivered isn't drawn.
                    drawn.stream.seek(before);
                }
                written
            });
            match result {
                Ok(()) => done += piece,
                Err(errno) if done == 0 => return Answer::errno(errno),
                Err(_) => break,
            }
        }
        Answer::Done(NotifAction::ReturnValue(done as i64))
    }

    /// The device: a terminal without a name, which is a character device, fed for ever by a thread of its own.
    fn device(&self, call: &mut Call) -> Answer {
        let Ok(place) = call.place() else { return Answer::errno(Errno::EIO) };
        let stream = self.next(&place, Purpose::Device);
        call.answer_with_device(move |device| feed(stream, device))
    }

    fn uuid(&self, call: &mut Call) -> Answer {
        let Ok(place) = call.place() else { return Answer::errno(Errno::EIO) };
        call.answer_with_content(uuid(&mut self.next(&place, Purpose::Uuid)).as_bytes())
    }

    /// One for the whole run, as the kernel has one from its start to its end.
    fn boot_id(&self, call: &mut Call) -> Answer {
        call.answer_with_content(uuid(&mut stream(self.seed, "", "boot_id", 0)).as_bytes())
    }

    /// What the kernel says once it has been seeded.
    #[allow(clippy::unused_self)] // the shape of every handler
    fn entropy(&self, call: &mut Call) -> Answer {
        call.answer_with_content(b"256\n")
    }

    /// The sixteen bytes that the kernel gives each program, and the vDSO's generator, which draws without a call.
    fn at_exec(&self, stop: &mut ExecStop<'_>) -> Result<(), Errno> {
        let place = stop.place().clone();
        let mut bytes = [0; 16];
        draw(&mut self.next(&place, Purpose::Exec), &mut bytes);
        if let Some(address) = stop.told(libc::AT_RANDOM)? {
            stop.write(address, &bytes)?;
        }
        if let Some(offset) = vdso::getrandom_offset() {
            stop.patch(offset, vdso::NOT_HERE);
        }
        Ok(())
    }
}

/// A version 4 UUID, variant 1 (RFC 9562), and the end of its line.
fn uuid(stream: &mut ChaCha20) -> String {
    let mut bytes = [0; 16];
    draw(stream, &mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(37);
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('\n');
    text
}

fn feed(mut stream: ChaCha20, mut device: impl Write) {
    let mut buffer = [0; 1024];
    loop {
        draw(&mut stream, &mut buffer);
        // The last reader closed its end.
        if device.write_all(&buffer).is_err() {
            return;
        }
    }
}

impl Capability for Random {
    const NAME: &'static str = "random";
    const STAGE: Stage = Stage::Synthesize;
    const PROMISE: &'static str = "With a seed, every random byte that the kernel gives is a function of the seed and of \
        the place of the process in the tree: getrandom, /dev/random, /dev/urandom, random/uuid, random/boot_id, AT_RANDOM, and the \
        vDSO's generator, which is switched off.";
    const RULES: &'static [Rule<Self>] = &[Rule {
        calls: Calls::Family(&family::GETRANDOM),
        when: &[],
        then: Then::Ask { by: Self::getrandom, grounds: Grounds::Emulated },
        doc: "draws from the process's own stream",
    }];
    const FILES: &'static [VirtualFile<Self>] = &[
        VirtualFile {
            path: "/dev/urandom",
            open: Self::device,
            doc: "an endless stream per open, still a character device",
        },
        VirtualFile {
            path: "/dev/random",
            open: Self::device,
            doc: "an endless stream per open, still a character device",
        },
        VirtualFile {
            path: "/proc/sys/kernel/random/uuid",
            open: Self::uuid,
            doc: "a version 4 UUID per open",
        },
        VirtualFile {
            path: "/proc/sys/kernel/random/boot_id",
            open: Self::boot_id,
            doc: "a version 4 UUID, the same in the whole run",
        },
        VirtualFile {
            path: "/proc/sys/kernel/random/entropy_avail",
            open: Self::entropy,
            doc: "256, as the kernel says once it has been seeded",
        },
    ];
    const AT_EXEC: Option<super::AtExec<Self>> = Some(Self::at_exec);

    fn start(policy: &Policy) -> Result<Option<Self>, StartError> {
        Ok(policy.seed.map(|seed| Self { seed, drawn: Mutex::default() }))
    }

    fn prove(&self, proof: &mut Proof<'_>) {
        let mut expected = [0_u8; 8];
        draw(&mut stream(self.seed, crate::supervisor::call::PROBE_PLACE, "calls", 0), &mut expected);
        let number = |number: u64| ProbeArg::Number(number);
        let args = [ProbeArg::memory(&[0; 8]), number(8), number(0), number(0), number(0), number(0)];
        let expect = Expect { result: 8, memory: Some((0, 0, expected.to_vec())) };
        proof.expect(Syscall::of(Sysno::getrandom), args, expect, "getrandom", "the seed's bytes");
    }
}
