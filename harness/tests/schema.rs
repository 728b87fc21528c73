//! The schema of scenarios says what the reading of scenarios says, as far as a schema can.
#![forbid(unsafe_code)]
// A test may unwrap, and so may what only tests call.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use assize_harness::scenario::load;
use assize_harness::schema::{self, Kind};
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::Value;

/// What no schema can tell: that a flag belongs to another call, what stands in another file, …
const BEYOND: &[&str] = &[
    // Each is a flag or an argument of some call.
    "a flag that the call has not",
    "an argument that none of the calls has",
    "an attempt with an unknown flag",
    "an attempt with an argument that the call has not",
    // What is wrong stands in the shared part, or in both together.
    "an error in a shared part",
    "an error in what a shared part and a scenario say together",
    "a shared part with a name",
    "a shared part that is a list",
    "what a shared part has and the scenario alone may have not",
    // What stands in other documents of the file.
    "several documents need names",
    // Which variables there are.
    "the system outside the policy",
    // Wrong for one cell only.
    "an unknown axis",
    "a mistake in one cell",
    "a mistake in every cell",
    "a value is no list",
];

/// What an error says that is about a key, a word or a type.
const WORDS: &[&str] = &[
    "unknown key",
    "is not known",
    "is not built yet",
    "is not a syscall",
    "there is no family",
    "is not an errno",
    "is not a verdict",
    "is not a capability",
    "is nothing that a host can be asked for",
    "expected ",
    "is missing",
    "unknown word",
    "is not a time",
    "is not a size",
    "can't be the name",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn validator(kind: Kind) -> Validator {
    jsonschema::draft7::new(&schema::schema(kind)).unwrap()
}

fn documents(yaml: &str) -> Result<Vec<Value>, serde_yaml::Error> {
    serde_yaml::Deserializer::from_str(yaml).map(Value::deserialize).collect()
}

fn refusals(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|name| name == "yaml" || name == "yml") {
            found.push(path);
        }
    }
}

#[test]
fn the_shipped_file_is_current() {
    let path = root().join("harness/scenario.v1.json");
    let made = schema::text(Kind::Scenario);
    if std::env::var_os("ASSIZE_GENERATE").is_some_and(|value| value == "1") {
        fs::write(&path, &made).unwrap();
    }
    let shipped = fs::read_to_string(&path).unwrap_or_default();
    assert!(shipped == made, "{} is not what the types say; ASSIZE_GENERATE=1 writes it", path.display());
}

/// Editors know draft-07.
#[test]
fn the_schemas_are_schemas() {
    for kind in [Kind::Scenario, Kind::Part, Kind::Policy] {
        jsonschema::draft7::meta::validate(&schema::schema(kind)).unwrap();
    }
}

#[test]
fn every_shipped_scenario_is_valid() {
    let (scenario, part) = (validator(Kind::Scenario), validator(Kind::Part));
    let mut files = Vec::new();
    yaml_files(&root().join("scenarios"), &mut files);
    assert!(files.len() > 100, "only {} files were found", files.len());
    let mut wrong = String::new();
    for file in files {
        let shared = file.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"_"));
        let validator = if shared { &part } else { &scenario };
        for document in documents(&fs::read_to_string(&file).unwrap()).unwrap() {
            for refusal in refusals(validator, &document) {
                wrong.push_str(&format!("{}: {refusal:.300}\n", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_block_of_the_pages_is_valid() {
    // Some show a few keys alone.
    let kinds = [Kind::Scenario, Kind::Part, Kind::Policy].map(validator);
    let mut count = 0;
    for page in ["README.md", "SECURITY.md", "core/ARCHITECTURE.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            for document in documents(block).unwrap() {
                count += 1;
                let valid = kinds.iter().any(|kind| kind.is_valid(&document));
                assert!(valid, "{page}: {block}\n{:#?}", refusals(&kinds[0], &document));
            }
        }
    }
    assert!(count > 3, "only {count} blocks were found");
}

/// In both directions: what is read is valid, and a wrong key, word or type is not.
#[test]
fn what_is_refused_when_it_is_read_is_not_valid() {
    let validator = validator(Kind::Scenario);
    let mut wrong = String::new();
    let (mut read, mut refused) = (0, 0);
    for entry in fs::read_dir(root().join("harness/tests/diagnostics")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for case in text.split("==== ").skip(1) {
            let (title, rest) = case.split_once('\n').unwrap();
            let (yaml, shown) = rest.split_once("----\n").unwrap_or((rest, ""));
            let own = yaml.split("==> ").next().unwrap();
            // What is no YAML at all, or has more in it than JSON has, is nothing for a schema.
            let Ok(documents) = documents(own) else { continue };
            let valid = documents.iter().all(|document| validator.is_valid(document));
            let error = shown.lines().find_map(|line| line.strip_prefix("error: "));
            match error {
                None => {
                    read += 1;
                    if !valid {
                        let all: Vec<_> =
                            documents.iter().flat_map(|document| refusals(&validator, document)).collect();
                        wrong.push_str(&format!("{title}: is read and not valid: {all:?}\n"));
                    }
                }
                Some(error) if WORDS.iter().any(|word| error.contains(word)) && !BEYOND.contains(&title) => {
                    refused += 1;
                    if valid {
                        wrong.push_str(&format!("{title}: is valid and not read: {error}\n"));
                    }
                }
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(read >= 5 && refused >= 40, "only {read} are read and {refused} refused");
}

/// Each word that an editor would offer is one that can be read.
#[test]
fn every_word_that_is_offered_can_be_read() {
    let schema = schema::schema(Kind::Scenario);
    let offered = |name: &str| {
        let mut words = Vec::new();
        collect(&schema["definitions"][name], &mut words);
        assert!(!words.is_empty(), "{name} offers nothing");
        words
    };
    let mut wrong = String::new();
    for (name, yaml) in [
        ("Calls", "run: [x]\nexpect: { verdicts: { sees: [{ call: \"@\" }] } }"),
        ("ErrnoName", "run: [x]\nexpect: { verdicts: { sees: [{ call: openat, errno: @ }] } }"),
        ("FlagsPattern", "run: [x]\nexpect: { verdicts: { sees: [{ flags: @ }] } }"),
        ("VerdictWord", "run: [x]\nexpect: { verdicts: { sees: [{ call: openat, verdict: @ }] } }"),
        ("ByPattern", "run: [x]\nexpect: { verdicts: { sees: [{ call: openat, by: @ }] } }"),
        ("KnownPattern", "run: [x]\nexpect: { verdicts: { sees: [{ call: openat, known: @ }] } }"),
        ("ResultPattern", "run: [x]\nexpect: { verdicts: { sees: [{ call: openat, result: @ }] } }"),
        ("Signal", "run: [x]\nexpect: { exit: { signal: @ } }"),
        ("ExitPattern", "run: [x]\nexpect: { exit: @ }"),
        ("CapabilityName", "run: [x]\nwithout: [@]"),
        ("Need", "run: [x]\nneeds: [\"@\"]"),
        ("Wanted", "attempt: [{ call: getpid, expect: @ }]"),
        ("PolicyPath", "run: [x]\npolicy: { fs: { read: [\"@\"] } }"),
        ("IsolationSpec", "run: [x]\npolicy: { isolation: @ }"),
        ("Exhaustive", "run: [x]\nexpect: { verdicts: { exhaustive: @ } }"),
    ] {
        for word in offered(name) {
            // The kernel asks no filter about these.
            if name == "Calls" && ["uprobe", "uretprobe"].contains(&word.as_str()) {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("case.yaml");
            fs::write(&file, yaml.replace('@', &word)).unwrap();
            if let Err(diagnostics) = load(folder.path(), &file) {
                wrong.push_str(&format!("{name}: {word}: {}\n", diagnostics[0].title));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The words of a definition, not those of others that it refers to.
fn collect(schema: &Value, words: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "enum" => {
                        words.extend(value.as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_owned()))
                    }
                    "const" => words.extend(value.as_str().map(str::to_owned)),
                    _ => collect(value, words),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
        _ => {}
    }
}

/// Whoever writes a scenario in an editor reads what a key is for.
#[test]
fn every_key_is_described() {
    fn look(schema: &Value, path: &str, wrong: &mut Vec<String>) {
        let Value::Object(map) = schema else { return };
        if let Some(Value::Object(properties)) = map.get("properties") {
            for (key, value) in properties {
                if value.get("description").is_none() {
                    wrong.push(format!("{path}.{key}"));
                }
            }
        }
        for (key, value) in map {
            match value {
                Value::Array(items) => items.iter().for_each(|item| look(item, path, wrong)),
                Value::Object(_) => look(value, &format!("{path}.{key}"), wrong),
                _ => {}
            }
        }
    }
    for kind in [Kind::Scenario, Kind::Part, Kind::Policy] {
        let schema = schema::schema(kind);
        let mut wrong = Vec::new();
        look(&schema, "", &mut wrong);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
