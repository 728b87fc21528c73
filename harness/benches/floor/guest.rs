//! What the measured commands do: this same executable, started as a guest. It prints how long a call took.

use std::time::Instant;

use rustix::fs::{CWD, Mode, OFlags, openat};

/// `guest getrandom 20000`: that many calls, then the nanoseconds of one.
pub(crate) fn work(words: &[String]) {
    let count: u32 = words[1].parse().unwrap();
    let call: Box<dyn Fn()> = match words[0].as_str() {
        "getrandom" => Box::new(|| {
            let mut buffer = [0_u8; 16];
            rustix::rand::getrandom(&mut buffer, rustix::rand::GetRandomFlags::empty()).unwrap();
        }),
        "open" => {
            let path = words[2].clone();
            Box::new(move || drop(openat(CWD, path.as_str(), OFlags::CLOEXEC, Mode::empty()).unwrap()))
        }
        "clock" => Box::new(|| {
            let _ = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        }),
        "stat" => {
            let path = words[2].clone();
            Box::new(move || {
                let _ = rustix::fs::stat(path.as_str()).unwrap();
            })
        }
        "list" => {
            let path = words[2].clone();
            Box::new(move || {
                let folder = openat(CWD, path.as_str(), OFlags::CLOEXEC, Mode::empty()).unwrap();
                let mut buffer = Vec::with_capacity(32 << 10);
                let mut entries = rustix::fs::RawDir::new(&folder, buffer.spare_capacity_mut());
                while let Some(entry) = entries.next() {
                    let _ = entry.unwrap();
                }
            })
        }
        "getppid" => Box::new(|| {
            let _ = rustix::process::getppid();
        }),
        other => panic!("{other}: no such guest"),
    };
    // The first calls meet cold caches.
    (0..count / 10).for_each(|_| call());
    let since = Instant::now();
    (0..count).for_each(|_| call());
    println!("{}", since.elapsed().as_nanos() as f64 / f64::from(count));
}
