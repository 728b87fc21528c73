//! The most that guests had at once.
#![forbid(unsafe_code)]

use assize_core::Peak;

use super::{Finding, Observation};
use crate::scenario::expect::PeakPattern;
use crate::scenario::place::YamlPath;

/// What is wrong with it. What was not measured is no less wrong.
pub(super) fn judge(wanted: &PeakPattern, seen: &Observation, at: &YamlPath) -> Vec<Finding> {
    let Some(peak) = &seen.peak else {
        let finding = Finding::new("how much guests had at once was not measured", at.clone(), "wanted here");
        return vec![finding.note("`peak` was left out by `without`")];
    };
    let mut findings = Vec::new();
    if let Some(memory) = &wanted.memory {
        let at = at.key("memory");
        let label = format!("{memory} is wanted");
        match peak.memory {
            Some(bytes) if memory.holds(bytes) => {}
            Some(bytes) => {
                let title = format!("a process had {} of memory", shown(bytes));
                findings.push(Finding::new(title, at, label).notes(whose(peak, seen)));
            }
            None => {
                let title = "how much memory a process had at most is not known";
                findings.push(Finding::new(title, at, label).note(UNKNOWN));
            }
        }
    }
    if let Some(processes) = wanted.processes {
        let count = i64::try_from(peak.processes).unwrap_or(i64::MAX);
        if !processes.holds(count) {
            let title = match count {
                1 => "no more than 1 process lived at once".to_owned(),
                count => format!("{count} processes lived at once"),
            };
            findings.push(Finding::new(title, at.key("processes"), format!("{processes} is wanted")));
        }
    }
    findings
}

const UNKNOWN: &str = "the command was killed in the very moment in which it ended by itself, or `/proc` shows nobody what it had";

/// `70.3 MiB (73728000 bytes)`.
fn shown(bytes: u64) -> String {
    format!("{} ({bytes} bytes)", bytesize::ByteSize(bytes).display().iec())
}

fn whose(peak: &Peak, seen: &Observation) -> Option<String> {
    let place = peak.place.as_ref()?;
    let ran = peak.exe.as_ref().map(|exe| format!(", which ran {}", seen.text(exe.as_bytes())));
    Some(format!("seen: {place}{}", ran.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use assize_core::trace::{BytesText, Place};

    use super::super::sample::quiet;
    use super::*;

    fn titles(wanted: &str, peak: Option<Peak>) -> Vec<String> {
        let wanted: PeakPattern = crate::scenario::expect::form::read(wanted).unwrap();
        let seen = Observation { peak, ..quiet() };
        let at = YamlPath::from(["expect", "peak"]);
        judge(&wanted, &seen, &at).into_iter().map(|finding| finding.title).collect()
    }

    fn had(processes: u64, memory: Option<u64>) -> Option<Peak> {
        let exe = Some(BytesText(b"/tmp/w1/tool".to_vec()));
        Some(Peak { processes, memory, place: Some(Place::root()), exe })
    }

    #[test]
    fn what_is_measured_is_held_against_what_is_wanted() {
        let both = "memory: \"<= 64 MiB\"\nprocesses: \"2..4\"";
        assert!(titles(both, had(4, Some(64 << 20))).is_empty());
        assert_eq!(
            titles(both, had(5, Some((64 << 20) + 4096))),
            ["a process had 64.0 MiB (67112960 bytes) of memory", "5 processes lived at once"]
        );
        assert_eq!(titles("processes: 2", had(1, None)), ["no more than 1 process lived at once"]);
    }

    #[test]
    fn whose_memory_it_was_is_said() {
        let peak = had(1, Some(1)).unwrap();
        assert_eq!(whose(&peak, &quiet()).unwrap(), "seen: /0, which ran [WORK]/tool");
    }

    #[test]
    fn what_was_not_measured_fails() {
        assert_eq!(titles("processes: \">= 0\"", None), ["how much guests had at once was not measured"]);
        assert_eq!(
            titles("memory: \">= 0 B\"\nprocesses: 1", had(1, None)),
            ["how much memory a process had at most is not known"]
        );
    }
}
