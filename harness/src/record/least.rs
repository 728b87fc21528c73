//! A draft that passes, without each part that it can do without.
//!
//! What it says must hold wherever temporary folders lie. So nothing is taken out because another grant happens to hold it
//! here.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::{RecordError, seen, steady};
use crate::lexical;
use crate::runner::scratch::Scratch;
use crate::scenario::policy::SYSTEM;

const WORK: &str = "$WORK";

/// Files that were named, and not read: more are not tried one by one.
const MOST_TRIED: usize = 12;

/// Without each grant that it can do without, and without each file.
pub(super) fn least(mut draft: Draft, say: &dyn Fn(&str)) -> Result<Draft, RecordError> {
    let here = Here::find()?;
    // The widest first: nothing is seen to be needed beneath it.
    let wide = here.wide(&draft);
    for path in &wide {
        if !draft.read.contains(path)
            || here.by_chance(path, &draft)
            || without_reading(&mut draft, path, say)?
        {
            continue;
        }
        let mut without = draft.clone();
        without
            .read
            .retain(|other| other == path || !here.holds(path, other) || here.by_chance(other, &draft));
        if without.read.len() < draft.read.len() {
            kept(&mut draft, without, &format!("what lies beneath {path}"), say)?;
        }
    }
    // What is only read need not be written to.
    let uses_it = !draft.used.is_empty() || !draft.left.is_empty();
    let by_chance = uses_it && here.by_chance(WORK, &draft);
    if draft.write.iter().any(|path| path == WORK) && !(by_chance && here.is_written_by_chance(&draft)) {
        let mut without = draft.clone();
        without.write.retain(|path| path != WORK);
        let mut reading = without.clone();
        reading.read.push(WORK.to_owned());
        if kept(&mut draft, reading, "writing to $WORK", say)? && !by_chance {
            kept(&mut draft, without, "reading $WORK", say)?;
        }
    }
    // What it changed elsewhere it need not change again, now that it is so; the next time it will.
    for path in draft.read.clone().iter().filter(|path| *path != WORK && !wide.contains(path)) {
        if !here.by_chance(path, &draft) {
            without_reading(&mut draft, path, say)?;
        }
    }
    for name in draft.env.clone().keys() {
        let mut without = draft.clone();
        without.env.remove(name);
        kept(&mut draft, without, name, say)?;
    }
    without_files(&mut draft, say)?;
    Ok(draft)
}

/// Whether it passes without that, and then it is without it.
fn kept(draft: &mut Draft, without: Draft, what: &str, say: &dyn Fn(&str)) -> Result<bool, RecordError> {
    say(&format!("trying without {what}"));
    let passes = steady::passes(&without)?.is_ok();
    if passes {
        *draft = without;
    }
    Ok(passes)
}

fn without_reading(draft: &mut Draft, path: &str, say: &dyn Fn(&str)) -> Result<bool, RecordError> {
    let mut without = draft.clone();
    without.read.retain(|other| other != path);
    kept(draft, without, path, say)
}

/// Without the files that were named, and not read.
fn without_files(draft: &mut Draft, say: &dyn Fn(&str)) -> Result<(), RecordError> {
    let opened = draft.used.clone();
    let others: Vec<PathBuf> = draft.files.keys().filter(|path| !opened.contains(*path)).cloned().collect();
    let mut without = draft.clone();
    without.files.retain(|path, _| opened.iter().any(|used| used.starts_with(path)));
    if others.len() > 1 && kept(draft, without, "the files that it does not open", say)? {
        return Ok(());
    }
    for path in others.iter().take(MOST_TRIED) {
        let mut without = draft.clone();
        without
            .files
            .retain(|other, _| !other.starts_with(path) || opened.iter().any(|used| used.starts_with(other)));
        if without.files.len() < draft.files.len() {
            kept(draft, without, &path.display().to_string(), say)?;
        }
    }
    Ok(())
}

/// Where grants lead while they are tried.
struct Here {
    work: PathBuf,
}

impl Here {
    fn find() -> Result<Self, RecordError> {
        let work = Scratch::make("record scenario").map_err(RecordError::Scratch)?;
        // Each run has another, all in the same.
        Ok(Self { work: seen::among(work.path()).join("work") })
    }

    fn leads(&self, grant: &str) -> Vec<PathBuf> {
        if grant == "$SYSTEM" {
            return SYSTEM.iter().map(PathBuf::from).collect();
        }
        let path = match grant.strip_prefix(WORK) {
            Some(rest) => self.work.join(rest.trim_start_matches('/')),
            None => grant.replace("$$", "$").into(),
        };
        vec![lexical::plain(&path)]
    }

    /// Whether what one grant gives the other one gives as well.
    fn holds(&self, above: &str, grant: &str) -> bool {
        let above = self.leads(above);
        self.leads(grant).iter().all(|path| above.iter().any(|above| path.starts_with(above)))
    }

    /// Whether another grant gives the same, and would not where temporary folders lie elsewhere.
    fn by_chance(&self, grant: &str, draft: &Draft) -> bool {
        draft.read.iter().chain(&draft.write).any(|other| self.holds_by_chance(other, grant))
    }

    /// The same of writing to the work folder.
    fn is_written_by_chance(&self, draft: &Draft) -> bool {
        draft.write.iter().any(|other| self.holds_by_chance(other, WORK))
    }

    fn holds_by_chance(&self, above: &str, grant: &str) -> bool {
        let moves = |grant: &str| grant.starts_with(WORK);
        above != "/" && moves(above) != moves(grant) && self.holds(above, grant)
    }

    /// What is read and holds the work folder, or what else is granted: the widest first.
    fn wide(&self, draft: &Draft) -> Vec<String> {
        let is_wide = |path: &&String| {
            let others = draft.read.iter().map(String::as_str).chain([WORK]);
            others.filter(|other| other != path).any(|other| self.holds(path, other))
        };
        let mut wide: Vec<String> = draft.read.iter().filter(is_wide).cloned().collect();
        let depth = |path: &Path| path.components().count();
        wide.sort_by_key(|grant| self.leads(grant).iter().map(|path| depth(path)).min());
        wide
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_hold_each_other_where_they_lead() {
        let here = Here { work: "/tmp/of-user/work".into() };
        for (above, grant, holds) in [
            ("/", "$SYSTEM", true),
            ("/", WORK, true),
            ("/usr", "$SYSTEM", false),
            ("$SYSTEM", "/usr/share/x", true),
            ("/tmp", WORK, true),
            ("/tmp", "$WORK/..", true),
            ("$WORK/..", WORK, true),
            (WORK, "$WORK/..", false),
            ("$WORK/../..", "/tmp/x", true),
            ("/srv/a", "/srv/ab", false),
        ] {
            assert_eq!(here.holds(above, grant), holds, "{above} {grant}");
        }
        for (above, grant, by_chance) in [
            ("/tmp", WORK, true),
            ("$WORK/../..", "/tmp/x", true),
            ("/", WORK, false),
            ("$WORK/..", WORK, false),
            ("/srv", "/srv/a", false),
        ] {
            assert_eq!(here.holds_by_chance(above, grant), by_chance, "{above} {grant}");
        }
    }
}
