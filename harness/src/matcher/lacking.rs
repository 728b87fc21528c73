//! What a policy lacks: one line that would allow all that was denied, and after which no line of the policy says what another one
//! says already.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::granted::{Granted, List};
use crate::record::yaml::scalar;
use crate::scenario::policy::SYSTEM;

/// Stands for the work folder: that it lies beneath `/tmp` in this run is no reason not to name it.
const WORK: &str = "/$WORK";

/// What would have to be granted, and what else would have to be done.
#[derive(Debug, Default)]
pub(super) struct Lacking {
    lists: BTreeMap<List, Vec<Item>>,
    calls: Vec<String>,
    /// Whole phrases: what is to be taken out of the policy.
    taken_out: Vec<String>,
    /// What helps instead who wants to write among the temporary files.
    instead: Option<String>,
}

/// An item of a list of `fs`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    text: String,
    paths: Vec<PathBuf>,
}

impl Item {
    fn of(place: &str) -> Self {
        let paths = match place {
            "$SYSTEM" => SYSTEM.iter().map(PathBuf::from).collect(),
            "$WORK" => vec![WORK.into()],
            path => vec![path.strip_prefix("$WORK/").map_or(path.into(), |rest| Path::new(WORK).join(rest))],
        };
        Self { text: scalar(&said(place)), paths }
    }

    /// Whether it grants all that another one does.
    fn covers(&self, other: &Self) -> bool {
        other.paths.iter().all(|path| self.paths.iter().any(|above| path.starts_with(above)))
    }
}

/// A place as a scenario says it: no dollar of a path begins a variable.
fn said(place: &str) -> String {
    match place.strip_prefix('$') {
        Some(rest) => format!("${}", rest.replace('$', "$$")),
        None => place.replace('$', "$$"),
    }
}

/// What is granted where `fs` doesn't stand.
fn usual() -> [(List, Item); 2] {
    [(List::Read, Item::of("$SYSTEM")), (List::Write, Item::of("$WORK"))]
}

/// Whether what is in one list is granted by the other as well.
fn gives(list: List, other: List) -> bool {
    list == other || (list, other) == (List::Write, List::Read)
}

impl Lacking {
    /// A path in a list. Whatever may be read may be executed, unless something else is said.
    pub(super) fn grant(&mut self, list: List, place: &str, granted: &Granted) {
        let list = if list == List::Exec && !granted.limits_exec { List::Read } else { list };
        let item = Item::of(place);
        if !self.covers(list, &item) {
            for (_, items) in self.lists.iter_mut().filter(|(other, _)| gives(list, **other)) {
                items.retain(|one| !item.covers(one));
            }
            self.lists.entry(list).or_default().push(item);
        }
    }

    /// A call in `syscalls.allow`.
    pub(super) fn allow(&mut self, call: &str) {
        if !self.calls.iter().any(|known| known == call) {
            self.calls.push(call.to_owned());
        }
    }

    /// Something that is to be taken out of the policy.
    pub(super) fn take_out(&mut self, phrase: String) {
        if !self.taken_out.contains(&phrase) {
            self.taken_out.push(phrase);
        }
    }

    /// What would help instead.
    pub(super) fn or_else(&mut self, instead: String) {
        self.instead = Some(instead);
    }

    /// The line, as a note; `None`: nothing is lacking.
    pub(super) fn note(&self, granted: &Granted, work: &Path) -> Option<String> {
        let mut edits = Vec::new();
        let mut of_policy = Vec::new();
        if self.lists.values().any(|items| !items.is_empty()) {
            match granted.said.get("policy.fs") {
                Some(at) if self.makes_the_usual(granted, work) => {
                    edits.push(format!("leave `policy.fs` out, at {at}: without it the same is granted"));
                }
                Some(at) => self.edit_lists(at, granted, work, &mut edits),
                None => of_policy.push(format!("fs: {{ {} }}", self.whole())),
            }
        }
        if !self.calls.is_empty() {
            let calls = self.calls.join(", ");
            let said = |key: &str| granted.said.get(key);
            match (said("policy.syscalls.allow"), said("policy.syscalls")) {
                (Some(at), _) => edits.push(format!("add `{calls}` to `policy.syscalls.allow`, at {at}")),
                (None, Some(at)) => {
                    edits.push(format!("add `allow: [{calls}]` to `policy.syscalls`, at {at}"))
                }
                (None, None) => of_policy.push(format!("syscalls: {{ allow: [{calls}] }}")),
            }
        }
        if !of_policy.is_empty() {
            let keys = of_policy.join(", ");
            edits.push(match granted.said.get("policy") {
                Some(at) => format!("add `{keys}` to `policy`, at {at}"),
                None => format!("`policy: {{ {keys} }}`"),
            });
        }
        edits.extend(self.taken_out.iter().cloned());
        if edits.is_empty() {
            return None;
        }
        let several =
            self.lists.values().map(Vec::len).sum::<usize>() + self.calls.len() + self.taken_out.len() > 1;
        let them = if several { "them" } else { "it" };
        let instead = self.instead.iter().map(|instead| format!("; {instead}")).collect::<String>();
        Some(format!("to allow {them}: {}{instead}", edits.join(", and ")))
    }

    /// Whether `fs` would then say what holds where it doesn't stand.
    fn makes_the_usual(&self, granted: &Granted, work: &Path) -> bool {
        let added =
            self.lists.iter().flat_map(|(list, items)| items.iter().map(move |item| (*list, item.clone())));
        let kept = written(granted, work).into_iter().filter(|(list, item)| !self.covers(*list, item));
        let mut all: Vec<(List, String)> = added.chain(kept).map(|(list, item)| (list, item.text)).collect();
        all.sort();
        let usual = usual().map(|(list, item)| (list, item.text));
        all == usual && !granted.said.contains_key("policy.fs.proc") && !granted.limits_exec
    }

    /// Whether something that is to be added grants all that this does.
    fn covers(&self, list: List, item: &Item) -> bool {
        self.lists.iter().any(|(own, items)| gives(*own, list) && items.iter().any(|one| one.covers(item)))
    }

    /// `fs` as a whole: it replaces what is granted where nothing is said.
    fn whole(&self) -> String {
        let all = || self.lists.iter().flat_map(|(list, items)| items.iter().map(move |item| (*list, item)));
        let usual = usual();
        let lists = [List::Read, List::Write, List::Exec].iter().filter_map(|list| {
            let kept = usual.iter().filter(|(own, item)| {
                own == list && !all().any(|(other, one)| gives(other, *own) && one.covers(item))
            });
            let more = self.lists.get(list).into_iter().flatten();
            let items: Vec<&str> =
                kept.map(|(_, item)| item).chain(more).map(|item| item.text.as_str()).collect();
            (!items.is_empty()).then(|| format!("{}: [{}]", list.key(), items.join(", ")))
        });
        lists.collect::<Vec<_>>().join(", ")
    }

    /// What is to be added to the lists that there are, or to `fs`; and what then says nothing more.
    fn edit_lists(&self, fs: &str, granted: &Granted, work: &Path, edits: &mut Vec<String>) {
        let mut of_fs = Vec::new();
        for (list, items) in self.lists.iter().filter(|(_, items)| !items.is_empty()) {
            let items = items.iter().map(|item| item.text.as_str()).collect::<Vec<_>>().join(", ");
            let key = format!("policy.{}", list.name());
            match granted.said.get(key.as_str()) {
                Some(at) => edits.push(format!("add `{items}` to `{key}`, at {at}")),
                None => of_fs.push(format!("{}: [{items}]", list.key())),
            }
        }
        if !of_fs.is_empty() {
            edits.push(format!("add `{}` to `policy.fs`, at {fs}", of_fs.join(", ")));
        }
        for (list, item) in written(granted, work) {
            let idle = self.covers(list, &item);
            let key = format!("policy.{}", list.name());
            if let Some(at) = granted.said.get(key.as_str()).filter(|_| idle) {
                edits.push(format!("take `{}` out of `{key}`, at {at}", item.text));
            }
        }
    }
}

/// The items of the lists as they are written.
fn written(granted: &Granted, work: &Path) -> Vec<(List, Item)> {
    let mut all: BTreeMap<(List, usize), Vec<PathBuf>> = BTreeMap::new();
    for one in &granted.paths {
        if let Some(nth) = one.item {
            all.entry((one.list, nth)).or_default().push(one.path.clone());
        }
    }
    let item = |paths: Vec<PathBuf>| {
        let text = match paths.as_slice() {
            [path] => super::why::spelt(path, work),
            _ => "$SYSTEM".to_owned(),
        };
        let within =
            |path: PathBuf| path.strip_prefix(work).map_or(path.clone(), |rest| Path::new(WORK).join(rest));
        Item { text: scalar(&said(&text)), paths: paths.into_iter().map(within).collect() }
    };
    all.into_iter().map(|((list, _), paths)| (list, item(paths))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::granted::GrantedPath;
    use super::*;

    fn granted(said: &[&'static str], paths: &[(List, &str)]) -> Granted {
        let path = |(nth, (list, path)): (usize, &(List, &str))| GrantedPath {
            list: *list,
            path: path.into(),
            real: path.into(),
            item: Some(nth),
            line: Some(2),
        };
        Granted {
            said: said.iter().map(|key| (*key, "line 2".to_owned())).collect(),
            paths: paths.iter().enumerate().map(path).collect(),
            ..Granted::default()
        }
    }

    fn told(granted: &Granted, wanted: &[(List, &str)], calls: &[&str]) -> String {
        let (work, mut lacking) = (Path::new("/w"), Lacking::default());
        wanted.iter().for_each(|(list, place)| lacking.grant(*list, place, granted));
        calls.iter().for_each(|call| lacking.allow(call));
        lacking.note(granted, work).unwrap_or_default()
    }

    #[test]
    fn one_line_allows_all() {
        let none = granted(&[], &[]);
        let wanted = [(List::Read, "/a"), (List::Write, "/b"), (List::Exec, "/c"), (List::Read, "/a")];
        assert_eq!(
            told(&none, &wanted, &["bpf", "mount", "bpf"]),
            "to allow them: `policy: { fs: { read: [$SYSTEM, /a, /c], write: [$WORK, /b] }, syscalls: { allow: [bpf, mount] } }`"
        );
        let lists = granted(&["policy", "policy.fs", "policy.fs.read"], &[]);
        assert_eq!(
            told(&lists, &wanted, &["bpf"]),
            "to allow them: add `/a, /c` to `policy.fs.read`, at line 2, and add `write: [/b]` to `policy.fs`, at line 2, \
             and add `syscalls: { allow: [bpf] }` to `policy`, at line 2"
        );
        assert_eq!(told(&none, &[], &[]), "");
    }

    #[test]
    fn what_holds_anyway_is_left_out() {
        let lists = [(List::Read, "/w"), (List::Read, "/usr")];
        let mut own = granted(&["policy", "policy.fs", "policy.fs.read"], &lists);
        own.paths.extend(
            own.paths.last().cloned().into_iter().map(|one| GrantedPath { path: "/etc".into(), ..one }),
        );
        let told = |own: &Granted| told(own, &[(List::Write, "$WORK")], &[]);
        assert_eq!(
            told(&own),
            "to allow it: leave `policy.fs` out, at line 2: without it the same is granted"
        );
        own.said.insert("policy.fs.proc", "line 3".to_owned());
        assert!(told(&own).contains("add `write: [$WORK]`"));
    }

    #[test]
    fn nothing_is_said_twice() {
        let none = granted(&[], &[]);
        // Who may write may read.
        let both = [(List::Read, "/a/x"), (List::Write, "/a"), (List::Read, "/a/y")];
        assert_eq!(
            told(&none, &both, &[]),
            "to allow it: `policy: { fs: { read: [$SYSTEM], write: [$WORK, /a] } }`"
        );
        assert_eq!(told(&none, &[(List::Write, "/")], &[]), "to allow it: `policy: { fs: { write: [/] } }`");
        let own = granted(
            &["policy", "policy.fs", "policy.fs.read"],
            &[(List::Read, "/w"), (List::Read, "/w/a b"), (List::Read, "/x"), (List::Deny, "/w/c")],
        );
        assert_eq!(
            told(&own, &[(List::Write, "$WORK")], &[]),
            "to allow it: add `write: [$WORK]` to `policy.fs`, at line 2, and take `$WORK` out of `policy.fs.read`, at line 2, \
             and take `\"$WORK/a b\"` out of `policy.fs.read`, at line 2"
        );
    }
}
