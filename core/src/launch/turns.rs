//! Turns, where guests run one at a time: who computes on and on while others are ready runs behind all of them, until it waits.
//! A guest that waits for another by asking again and again, or that a timer is to end, would never get there otherwise.
//!
//! Whom that concerns follows from real time, and so it makes an order that may differ from run to run: it is done only when a
//! guest has computed for so long without a single wait that nothing else will end it, and the report tells of it. Looks at
//! guests from outside, twice a second, and stops nobody.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::standing::{back_in_turn, behind_all};
use super::tree;
use crate::supervisor::process_stat::{ProcessStat, TICKS};
use crate::supervisor::process_status::ProcessStatus;

/// How often guests are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// For how long a guest may compute without a wait while others are ready, in ticks of the processor's time.
const LONGEST: u64 = 2 * TICKS;

/// A thread, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Thread {
    program: String,
    /// Whether it runs or could.
    ready: bool,
    /// Whether it runs behind all that have the guests' priority.
    ordinary: bool,
    /// How often it has waited so far.
    waits: u64,
    /// For how long it has run so far, in ticks.
    ran: u64,
}

/// What is known of a thread that was ready at the last look.
#[derive(Debug)]
struct Known {
    waits: u64,
    ran: u64,
    /// How long it had run when it was first seen to have waited no more.
    began: u64,
    /// Whether it was put behind all others.
    behind: bool,
}

/// What is to be done about guests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    behind: Option<u32>,
    /// Who has waited since, or was made by one that was behind.
    back: Vec<u32>,
}

/// Whose turn it is, and who had none any more.
#[derive(Debug)]
pub(super) struct Turns {
    init: u32,
    next: Instant,
    known: HashMap<u32, Known>,
    /// How often guests were put behind all others, by the program's name.
    behind: BTreeMap<String, u32>,
}

impl Turns {
    /// Of the guests that descend from `init`.
    pub(super) fn new(init: u32) -> Self {
        Self { init, next: Instant::now() + LOOK, known: HashMap::new(), behind: BTreeMap::new() }
    }

    /// How long it is until guests are to be looked at.
    pub(super) fn left(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Looks at the guests, if it is time. No guest runs meanwhile: the caller has their processor.
    pub(super) fn look(&mut self) {
        if !self.left().is_zero() {
            return;
        }
        let threads = threads(self.init);
        let Changes { behind, back } = self.judge(&threads);
        for tid in back {
            // One that ends just now needs it no more.
            let _ = back_in_turn(tid);
        }
        if let Some(tid) = behind
            && let Some(thread) = threads.get(&tid)
            && behind_all(tid).is_ok()
        {
            if let Some(known) = self.known.get_mut(&tid) {
                known.behind = true;
            }
            *self.behind.entry(thread.program.clone()).or_default() += 1;
        }
        self.next = Instant::now() + LOOK;
    }

    /// Who is to run behind all others: who has run longest without a wait, if that is long and another did not run at all.
    fn judge(&mut self, threads: &HashMap<u32, Thread>) -> Changes {
        let mut changes = Changes::default();
        let (mut starves, mut longest) = (false, 0);
        let mut known = HashMap::new();
        for (tid, thread) in threads {
            let before = self.known.get(tid).filter(|before| before.waits == thread.waits);
            let behind = thread.ordinary && before.is_some_and(|before| before.behind);
            if thread.ordinary && !behind {
                changes.back.push(*tid);
            }
            if !thread.ready {
                continue;
            }
            starves |= before.is_some_and(|before| before.ran == thread.ran);
            let began = before.map_or(thread.ran, |before| before.began);
            let without = thread.ran.saturating_sub(began);
            if !thread.ordinary && without >= LONGEST && without > longest {
                (longest, changes.behind) = (without, Some(*tid));
            }
            known.insert(*tid, Known { waits: thread.waits, ran: thread.ran, began, behind });
        }
        self.known = known;
        changes.behind = changes.behind.filter(|_| starves);
        changes
    }

    /// Who was put behind all others, in words.
    pub(super) fn told(&self) -> impl Iterator<Item = String> {
        self.behind.iter().map(|(program, times)| {
            let often = if *times == 1 { String::new() } else { format!(" ({times} times)") };
            format!(
                "{program} computed for {} s without a wait while other guests were ready, and from then on ran behind \
                 them{often}: their order depends on the processor's speed",
                LONGEST / TICKS
            )
        })
    }
}

/// The threads beneath init, by their numbers.
fn threads(init: u32) -> HashMap<u32, Thread> {
    let mut found = HashMap::new();
    for pid in tree::descendants(init) {
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let tid = thread.file_name().to_str().and_then(|name| name.parse().ok());
            if let (Some(tid), Some(thread)) = (tid, of(&thread.path())) {
                found.insert(tid, thread);
            }
        }
    }
    found
}

/// The thread of this folder (`man 5 proc_pid_stat`, `man 5 proc_pid_status`).
fn of(folder: &Path) -> Option<Thread> {
    let text = fs::read(folder.join("stat")).ok()?;
    let stat = ProcessStat::parse(&text)?;
    let ran = stat.used()?;
    let waits = ProcessStatus::within(folder).ok()?.field("voluntary_ctxt_switches")?.parse().ok()?;
    Some(Thread {
        program: stat.program()?.escape_ascii().to_string(),
        ready: stat.field(3) == Some('R'),
        ordinary: stat.field(41) == Some(libc::SCHED_OTHER),
        waits,
        ran,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its waits and ticks at the nth look.
    type Guest = fn(u64) -> (u64, u64);

    /// What comes of so many looks, of which each shows these guests: waits and ticks, by the look's number.
    fn looks(count: u64, guests: &[Guest]) -> Vec<Option<u32>> {
        let mut turns = Turns::new(0);
        let look = |nth| {
            let threads = guests.iter().enumerate().map(|(tid, guest)| {
                let (waits, ran) = guest(nth);
                (tid as u32, thread(waits, ran, false))
            });
            let changes = turns.judge(&threads.collect());
            assert!(changes.back.is_empty());
            changes.behind
        };
        (0..count).map(look).collect()
    }

    fn thread(waits: u64, ran: u64, ordinary: bool) -> Thread {
        Thread { program: "sh".to_owned(), ready: true, ordinary, waits, ran }
    }

    #[test]
    fn who_never_waits_gives_way_to_who_never_runs() {
        let behind = looks(6, &[|nth| (1, nth * 50), |_| (3, 7)]);
        assert_eq!(behind, [None, None, None, None, Some(0), Some(0)]);
    }

    #[test]
    fn nobody_else_gives_way() {
        // It waits now and then.
        assert_eq!(looks(100, &[|nth| (nth / 4, nth * 50), |_| (3, 7)]), [None; 100]);
        // Nobody else is ready.
        assert_eq!(looks(100, &[|nth| (1, nth * 50)]), [None; 100]);
        // The others run as well: it lets them by itself.
        assert_eq!(looks(100, &[|nth| (1, nth * 25), |nth| (1, nth * 25)]), [None; 100]);
    }

    #[test]
    fn who_has_waited_is_back_in_turn_and_so_is_who_was_made_meanwhile() {
        let mut turns = Turns::new(0);
        let mut back = |threads: &[(u32, Thread)]| turns.judge(&threads.iter().cloned().collect()).back;
        assert!(back(&[(1, thread(1, 0, false))]).is_empty());
        turns.known.get_mut(&1).unwrap().behind = true;
        let mut back = |threads: &[(u32, Thread)]| turns.judge(&threads.iter().cloned().collect()).back;
        assert!(back(&[(1, thread(1, 50, true))]).is_empty());
        assert_eq!(back(&[(1, thread(1, 90, true)), (2, thread(0, 0, true))]), [2]);
        assert_eq!(back(&[(1, thread(2, 90, true))]), [1]);
        assert_eq!(back(&[(1, Thread { ready: false, ..thread(3, 90, true) })]), [1]);
    }

    #[test]
    fn what_is_known_of_a_thread_is_read_from_its_files() {
        let own = of(Path::new("/proc/thread-self")).unwrap();
        assert!(own.ready && own.ordinary && !own.program.is_empty() && own.ran < 1_000_000, "{own:?}");
        assert_eq!(of(Path::new("/proc/self/none")), None);
    }

    #[test]
    fn a_name_says_nothing_to_a_terminal() {
        let folder = tempfile::tempdir().unwrap();
        let stat = b"7 (\x1b[2J\n) ok) R 1 1 1 0 -1 0 0 0 0 0 5 6 0 0 20 0 1 0 9 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0\n";
        fs::write(folder.path().join("stat"), stat).unwrap();
        fs::write(folder.path().join("status"), "Name:\tx\nvoluntary_ctxt_switches:\t3\n").unwrap();
        let thread = of(folder.path()).unwrap();
        assert_eq!((thread.program.as_str(), thread.ran, thread.waits), (r"\x1b[2J\n) ok", 11, 3));
    }

    #[test]
    fn who_was_put_behind_is_told_with_how_often() {
        let mut turns = Turns::new(0);
        assert_eq!(turns.told().count(), 0);
        turns.behind.insert("sh".to_owned(), 3);
        let told: Vec<_> = turns.told().collect();
        assert!(told[0].starts_with("sh computed for 2 s without a wait") && told[0].contains("(3 times)"));
    }
}
