//! Times of files by a clock of the run's own: what was there before shows at most the start, what a guest has touched the
//! time of that touch, what was set the time that was set.
//!
//! Guests write through descriptors that nobody watches. So a file that was opened to be written shows the time of that
//! open once its real time has changed; and if it changes again after somebody has looked at it by its name, without a
//! further open, the time at which that is seen. Who looks at a descriptor of his own is perhaps about to write to it.
//! All that guests do in folders is seen. What others do to files and folders is not shown by their times. It reads no clock of the host's but at the run's beginning, to tell what was there before.
#![forbid(unsafe_code)]

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, StatxFlags, statx};
use rustix::time::{ClockId, clock_gettime};

use super::call::Call;
use crate::guest::stat::{MOUNT_ID, Stat};
use crate::guest::{Attribute, Found, Prepared};
use crate::policy::{Clock, Timestamp};

/// What was done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    /// It was made.
    Birth,
    /// Its content was changed, or may be from now on.
    Content,
    /// Something else of it was changed.
    Attributes,
    /// The time of its last change was set: the file system has made this of it.
    Set(Timestamp),
}

/// The run's own time, as far as files have it.
#[derive(Debug)]
pub(crate) struct Years {
    start: Timestamp,
    /// The host's time when the run began.
    begun: Timestamp,
    /// The time of the last touch.
    last: Timestamp,
}

/// What is known of one file's times.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    born: Option<Timestamp>,
    /// The last touch of its content that was not shown yet.
    content: Option<Timestamp>,
    /// The last touch of any kind.
    any: Option<Timestamp>,
    set: Option<Timestamp>,
    /// Whether the time that it had before the run is shown.
    pub(super) keeps: bool,
    /// A real time, and what was shown in its place.
    shown: Option<(Timestamp, Timestamp)>,
}

impl Years {
    /// From now on, by this clock.
    pub(crate) fn begin(clock: &Clock) -> Self {
        // The clock that file systems take their times from.
        let now = clock_gettime(ClockId::RealtimeCoarse);
        let begun = Timestamp { seconds: now.tv_sec, nanoseconds: u32::try_from(now.tv_nsec).unwrap_or(0) };
        Self { start: clock.start, begun, last: clock.start }
    }

    pub(crate) fn stamp(&mut self, now: Timestamp) -> Timestamp {
        self.last = now.max(after(self.last));
        self.last
    }
}

/// A nanosecond later.
fn after(time: Timestamp) -> Timestamp {
    match time.nanoseconds {
        999_999_999.. => Timestamp { seconds: time.seconds.saturating_add(1), nanoseconds: 0 },
        nanoseconds => Timestamp { nanoseconds: nanoseconds + 1, ..time },
    }
}

impl Touched {
    pub(crate) fn touch(&mut self, touch: Touch, at: Timestamp) {
        self.any = Some(at);
        match touch {
            Touch::Birth => {
                self.born = Some(at);
                self.content = Some(at);
            }
            Touch::Content => self.content = Some(at),
            Touch::Attributes => {}
            Touch::Set(real) => {
                self.set = Some(real);
                self.content = None;
            }
        }
    }

    /// The file's times as they are shown to whoever's clock says `now`, which is seldom asked, and who looks `by_name` or at a
    /// descriptor.
    pub(crate) fn show(
        &mut self,
        stat: Stat,
        years: &mut Years,
        now: impl FnOnce() -> Timestamp,
        by_name: bool,
    ) -> Stat {
        let modified = if stat.kind() == FileType::Directory {
            self.folder_modified(stat.modified, years)
        } else {
            self.modified(stat.modified, years, now, by_name)
        };
        let old = |real: Timestamp| (real < years.begun).then(|| real.min(years.start));
        let changed = old(stat.changed).unwrap_or_else(|| self.any.unwrap_or(years.start));
        let born = stat.born.map(|real| old(real).unwrap_or_else(|| self.born.unwrap_or(years.start)));
        Stat { accessed: modified, modified, changed, born, ..stat }
    }

    fn folder_modified(&self, real: Timestamp, years: &Years) -> Timestamp {
        match self.content {
            _ if self.set == Some(real) => real,
            Some(touch) => touch,
            None => real.min(years.start),
        }
    }

    fn modified(
        &mut self,
        real: Timestamp,
        years: &mut Years,
        now: impl FnOnce() -> Timestamp,
        by_name: bool,
    ) -> Timestamp {
        if self.set == Some(real) {
            return real;
        }
        if real < years.begun {
            return if self.keeps { real } else { real.min(years.start) };
        }
        if let Some((seen, shown)) = self.shown
            && seen == real
        {
            return shown;
        }
        let shown = match self.content {
            Some(touch) if !by_name => return touch,
            Some(touch) => touch,
            // It was changed through a descriptor that was there before.
            None if self.any.is_some() && (self.shown.is_some() || self.set.is_some()) => {
                let now = now();
                // Later than the touch that was shown, however little the looker's own clock has gone on.
                let seen = years.stamp(now).max(self.any.map_or(now, after));
                self.any = Some(seen);
                seen
            }
            None => years.start,
        };
        self.content = None;
        self.shown = Some((real, shown));
        shown
    }
}

impl Call {
    /// When the process that asks would touch a file. Where the run has no clock of its own, touches follow each other from
    /// the start.
    pub(super) fn own_time(&self) -> Timestamp {
        self.time_of_next_touch().unwrap_or(Timestamp { seconds: i64::MIN, nanoseconds: 0 })
    }

    /// Whether it matters what is done to files.
    fn notes_touches(&self) -> bool {
        self.run.files().is_some()
    }

    /// The folder that an open will make a file in.
    pub(super) fn note_folder(&self, found: &Found) -> Option<Stat> {
        match found {
            Found::Missing { parent, .. } if self.notes_touches() => Stat::of(parent, 0).ok(),
            _ => None,
        }
    }

    /// A file was opened, and perhaps made in `folder`.
    pub(super) fn note_open(&self, file: impl AsFd, folder: Option<Stat>, flags: u64) {
        let writes =
            flags & libc::O_ACCMODE as u64 != libc::O_RDONLY as u64 || flags & libc::O_TRUNC as u64 != 0;
        let made = folder.is_some() || flags & libc::O_TMPFILE as u64 == libc::O_TMPFILE as u64;
        if !(writes || made) || !self.notes_touches() {
            return;
        }
        let touch = if made { Touch::Birth } else { Touch::Content };
        self.note(&[(Stat::of(file, 0).ok(), touch), (folder, Touch::Content)]);
    }

    /// Names or lengths are changed, or were.
    pub(super) fn note_change(&self, change: &Prepared) {
        if !self.notes_touches() {
            return;
        }
        let mut touched = Vec::new();
        for entry in change.entries() {
            touched.push((Stat::of(&entry.parent, 0).ok(), Touch::Content));
        }
        let touch = if change.may_block() { Touch::Content } else { Touch::Attributes };
        touched.extend(change.objects().map(|object| (Stat::of(object, 0).ok(), touch)));
        if let Some(made) = change.created() {
            let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::from_bits_retain(MOUNT_ID);
            let stat = statx(&made.parent, made.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW, wanted);
            touched.push((stat.ok().as_ref().map(Stat::from), Touch::Birth));
        }
        self.note(&touched);
    }

    /// Attributes of a file were changed.
    pub(crate) fn note_attribute(&self, file: impl AsFd, work: &Attribute) {
        if !self.notes_touches() {
            return;
        }
        let stat = Stat::of(file, 0).ok();
        let touch = match work {
            Attribute::Get { .. } | Attribute::List { .. } => return,
            Attribute::Times([_, (_, libc::UTIME_NOW)]) => Touch::Content,
            Attribute::Times([_, (_, libc::UTIME_OMIT)]) => Touch::Attributes,
            Attribute::Times(_) => match &stat {
                Some(stat) => Touch::Set(stat.modified),
                None => return,
            },
            _ => Touch::Attributes,
        };
        self.note(&[(stat, touch)]);
    }

    /// All of these at one time.
    fn note(&self, touched: &[(Option<Stat>, Touch)]) {
        let at = self.time_of_touch();
        let now = self.own_time();
        let Some(mut files) = self.run.files() else { return };
        // Without a clock of the run's, touches follow each other as they come.
        let at = at.unwrap_or_else(|| files.stamp(now));
        for (stat, touch) in touched {
            if let Some(stat) = stat {
                files.touch(stat, *touch, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Identity;

    fn time(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    fn later(nanoseconds: u32) -> Timestamp {
        Timestamp { seconds: 1000, nanoseconds }
    }

    fn years() -> Years {
        Years { start: time(1000), begun: time(5000), last: time(1000) }
    }

    fn file(modified: Timestamp) -> Stat {
        Stat {
            identity: Identity { dev: 1, ino: 1 },
            mount: 1,
            mode: 0o100_644,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: (0, 0),
            size: 0,
            blocks: 0,
            attributes: 0,
            accessed: time(5001),
            modified,
            changed: time(6000),
            born: Some(time(900)),
            generation: Some(time(900)),
        }
    }

    fn shown(touched: &mut Touched, modified: Timestamp, years: &mut Years) -> Timestamp {
        touched.show(file(modified), years, || time(1000), true).modified
    }

    #[test]
    fn what_was_there_is_as_old_as_the_start_at_most() {
        let (mut years, mut touched) = (years(), Touched::default());
        assert_eq!(shown(&mut touched, time(4999), &mut years), time(1000));
        assert_eq!(shown(&mut touched, time(7), &mut years), time(7));
        // Young, and nobody has seen who made it.
        assert_eq!(shown(&mut touched, time(5000), &mut years), time(1000));
        touched.keeps = true;
        assert_eq!(shown(&mut touched, time(4999), &mut years), time(4999));
        let told = touched.show(file(time(4999)), &mut years, || time(1000), true);
        assert_eq!((told.changed, told.born), (time(1000), Some(time(900))));
    }

    #[test]
    fn a_touch_is_shown_once_the_file_has_changed() {
        let (mut years, mut touched) = (years(), Touched::default());
        let at = years.stamp(time(1000));
        assert_eq!(at, later(1));
        touched.touch(Touch::Content, at);
        assert_eq!(shown(&mut touched, time(10), &mut years), time(10));
        assert_eq!(shown(&mut touched, time(6000), &mut years), later(1));
        assert_eq!(shown(&mut touched, time(6000), &mut years), later(1));
        // Changed again, through the descriptor of then.
        assert_eq!(shown(&mut touched, time(6001), &mut years), later(2));
        assert_eq!(touched.show(file(time(6001)), &mut years, || time(1000), true).changed, later(2));
    }

    #[test]
    fn who_looks_at_his_descriptor_before_he_writes_has_not_written_yet() {
        let (mut years, mut touched) = (years(), Touched::default());
        touched.touch(Touch::Birth, later(5));
        for modified in [6000, 6001, 6002] {
            assert_eq!(
                touched.show(file(time(modified)), &mut years, || time(1000), false).modified,
                later(5)
            );
        }
        assert_eq!(shown(&mut touched, time(6003), &mut years), later(5));
        let young = touched.show(file(time(6004)), &mut years, || time(1000), false).modified;
        assert_eq!(young, later(6), "later than the touch that was shown");
    }

    #[test]
    fn what_was_set_is_shown_until_the_file_changes() {
        let (mut years, mut touched) = (years(), Touched::default());
        touched.touch(Touch::Birth, later(1));
        touched.touch(Touch::Set(time(9000)), later(2));
        assert_eq!(shown(&mut touched, time(9000), &mut years), time(9000));
        assert_eq!(shown(&mut touched, time(6000), &mut years), later(3));
        touched.touch(Touch::Content, later(7));
        assert_eq!(shown(&mut touched, time(6001), &mut years), later(7));
        touched.touch(Touch::Set(time(3)), later(8));
        assert_eq!(shown(&mut touched, time(3), &mut years), time(3));
    }

    #[test]
    fn what_others_do_is_not_shown() {
        let (mut years, mut touched) = (years(), Touched::default());
        for modified in [6000, 6001] {
            assert_eq!(shown(&mut touched, time(modified), &mut years), time(1000));
        }
        let folder = |modified| Stat { mode: 0o40_755, ..file(time(modified)) };
        let mut show = |touched: &mut Touched, modified| {
            touched.show(folder(modified), &mut years, || time(1000), true).modified
        };
        let mut touched = Touched::default();
        assert_eq!(show(&mut touched, 6000), time(1000));
        touched.touch(Touch::Content, later(3));
        assert_eq!([6001, 6002].map(|modified| show(&mut touched, modified)), [later(3); 2]);
        touched.touch(Touch::Set(time(70)), later(4));
        assert_eq!(show(&mut touched, 70), time(70));
        touched.touch(Touch::Content, later(5));
        assert_eq!(show(&mut touched, 6003), later(5));
    }

    #[test]
    fn touches_follow_each_other() {
        let mut years = years();
        assert_eq!(years.stamp(time(0)), later(1));
        assert_eq!(years.stamp(time(2000)), time(2000));
        assert_eq!(years.stamp(time(1500)), Timestamp { seconds: 2000, nanoseconds: 1 });
        years.last = Timestamp { seconds: 2000, nanoseconds: 999_999_999 };
        assert_eq!(years.stamp(time(1500)), time(2001));
    }
}
