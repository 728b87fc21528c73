//! Whatever lies in a scenario or policy file, loading ends soon, with what it says or with what is wrong at its place.
#![no_main]
#![forbid(unsafe_code)]

use std::path::Path;

use assize_harness::diagnostic::Diagnostic;
use assize_harness::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let work = Path::new("/folder");
    match fuzzing::scenarios(content.to_vec()) {
        Ok(scenarios) => {
            assert!(!scenarios.is_empty());
            // Cells differ in little.
            for scenario in scenarios.iter().take(3) {
                let name = scenario.test.to_string();
                assert!(!name.contains('\n'), "{name:?}");
                let _ = (scenario.policy(work), scenario.argv(work), scenario.expect.observe());
            }
        }
        Err(diagnostics) => wrong(content, &diagnostics),
    }
    match fuzzing::policy(content.to_vec()) {
        Ok(file) => drop(file.policy(work)),
        Err(diagnostics) => wrong(content, &diagnostics),
    }
});

fn wrong(content: &[u8], diagnostics: &[Diagnostic]) {
    assert!(!diagnostics.is_empty());
    for diagnostic in diagnostics {
        assert!(!diagnostic.title.is_empty() && !diagnostic.title.contains('\n'), "{:?}", diagnostic.title);
        // Every error has its place, unless it is of the file as a whole.
        match diagnostic.span {
            Some(span) => {
                assert!(span.line >= 1 && span.column >= 1 && span.start <= span.end);
                assert!(span.end <= content.len());
            }
            None => assert!(diagnostic.title.starts_with("the file is"), "{:?}", diagnostic.title),
        }
        let shown = diagnostic.render(false);
        // Neither is it longer than a person reads.
        assert!(shown.len() < 64 << 10, "{} bytes: {:.300}", shown.len(), shown);
        assert!(!diagnostic.render(true).is_empty());
    }
}
