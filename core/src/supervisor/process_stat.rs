//! The text of a process's `stat` (`man 5 proc_pid_stat`): its fields, by their numbers. Nobody is shown the real-time priority
//! by which runs are made serial.
#![forbid(unsafe_code)]

use super::process_file::PAGES_OF_INIT;

/// The first field behind the program's name, of which the numbers count, is the third.
const FIRST: usize = 3;
const PRIORITY: usize = 18;
const NICE: usize = 19;
const RSS: usize = 24;
const REAL_TIME_PRIORITY: usize = 40;
const POLICY: usize = 41;
/// The processor's time that a thread or process has had, its own and the kernel's on its behalf; and that of its children
/// which were waited for.
const USED: [usize; 2] = [14, 15];
const USED_BY_CHILDREN: [usize; 2] = [16, 17];
/// How many ticks a second has in these fields (`USER_HZ`).
pub(crate) const TICKS: u64 = 100;
/// The priority of an ordinary process whose niceness is 0.
const ORDINARY: i64 = 20;

/// A `stat`.
pub(crate) struct ProcessStat<'a> {
    /// The number and the program's name, in parentheses.
    name: &'a [u8],
    /// From the third on.
    fields: Vec<&'a str>,
}

impl<'a> ProcessStat<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        // A program's name may hold what would end it.
        let end = text.iter().rposition(|byte| *byte == b')')? + 1;
        let (name, fields) = text.split_at_checked(end)?;
        Some(Self { name, fields: std::str::from_utf8(fields).ok()?.split_ascii_whitespace().collect() })
    }

    /// The program's name, or the thread's own: a guest chooses it.
    pub(crate) fn program(&self) -> Option<&'a [u8]> {
        let open = self.name.iter().position(|byte| *byte == b'(')?;
        self.name.get(open + 1..self.name.len() - 1)
    }

    /// What stands in this field, where that is so.
    pub(crate) fn field<T: std::str::FromStr>(&self, number: usize) -> Option<T> {
        self.fields.get(number.checked_sub(FIRST)?)?.parse().ok()
    }

    /// The processor's time that it has had, in ticks.
    pub(crate) fn used(&self) -> Option<u64> {
        self.sum(USED)
    }

    /// The same of its children that were waited for, and theirs.
    pub(crate) fn used_by_children(&self) -> Option<u64> {
        self.sum(USED_BY_CHILDREN)
    }

    fn sum(&self, fields: [usize; 2]) -> Option<u64> {
        fields
            .map(|number| self.field(number))
            .into_iter()
            .try_fold(0_u64, |sum, field| Some(sum.saturating_add(field?)))
    }

    /// Whether it tells of a real-time priority: no guest gives itself one.
    pub(crate) fn has_real_time(&self) -> bool {
        self.field::<i64>(REAL_TIME_PRIORITY).is_some_and(|priority| priority > 0)
    }

    /// The same with other numbers in some fields, with the priority of an ordinary process and, if it is init's, with the memory
    /// that init is said to have.
    pub(crate) fn shown(&self, of_init: bool, others: impl Fn(usize) -> Option<u64>) -> Vec<u8> {
        let has_real_time = self.has_real_time();
        let priority = ORDINARY.saturating_add(self.field(NICE).unwrap_or(0));
        let mut text = self.name.to_vec();
        for (place, field) in self.fields.iter().enumerate() {
            let number = place + FIRST;
            let shown = match number {
                PRIORITY if has_real_time => u64::try_from(priority).ok(),
                REAL_TIME_PRIORITY | POLICY if has_real_time => Some(0),
                RSS if of_init => Some(PAGES_OF_INIT),
                _ => others(number),
            };
            text.push(b' ');
            text.extend(shown.map_or_else(|| (*field).to_owned(), |shown| shown.to_string()).into_bytes());
        }
        text.push(b'\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_shown_as_an_ordinary_one_and_all_else_is_left_alone() {
        let others = "R 1 7 7 0 -1 4194304 10 11 12 13 14 15 16 17";
        let rest = "1 0 2222 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 17 39";
        let serial = format!("7 (a) b) {others} -2 5 {rest} 1 1 42 43\n");
        let stat = ProcessStat::parse(serial.as_bytes()).unwrap();
        assert!(stat.has_real_time());
        let shown = String::from_utf8(stat.shown(false, |_| None)).unwrap();
        assert_eq!(shown, format!("7 (a) b) {others} 25 5 {rest} 0 0 42 43\n"));
        let of_init = String::from_utf8(stat.shown(true, |_| None)).unwrap();
        assert_eq!(of_init, shown.replace(" 23 24 25 ", " 23 1 25 "));
        let ordinary = ProcessStat::parse(shown.as_bytes()).unwrap();
        assert!(!ordinary.has_real_time());
        assert_eq!(ordinary.shown(false, |_| None), shown.as_bytes());
        assert_eq!(
            (ordinary.field(14), ordinary.field::<u64>(99), ordinary.field::<u64>(0)),
            (Some(14), None, None)
        );
        for odd in [&b""[..], b"7", b"7 (a", b"7 (a) \xff"] {
            assert!(ProcessStat::parse(odd).is_none());
        }
    }
}
