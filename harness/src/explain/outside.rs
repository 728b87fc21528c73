//! The steps of a scenario that no sandbox confines, whole: whoever allows them reads them first.
#![forbid(unsafe_code)]

use std::fmt::Write;
use std::path::Path;

use crate::runner::outside::DEFAULT_TIMEOUT;
use crate::scenario::Scenario;
use crate::scenario::outside::Does;
use crate::scenario::place::YamlPath;

/// Nothing where there are none.
pub(super) fn write(text: &mut String, scenario: &Scenario) -> std::fmt::Result {
    if scenario.outside.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\noutside of the sandbox (with all rights of whoever runs the tests, who has to allow it)"
    )?;
    for (list, steps) in scenario.outside.lists() {
        let at = YamlPath::from(["outside"]).key(list);
        for (nth, step) in steps.iter().enumerate() {
            let line = scenario.line(&at.index(nth).key(step.key()));
            let limit = step.timeout.map_or(DEFAULT_TIMEOUT, |limit| limit.0);
            let does = match &step.does {
                Does::Run(_) => {
                    let words = step.argv(Path::new("$WORK"));
                    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ")
                }
                Does::Shell(script) => script.trim_end().replace('\n', "\n    "),
            };
            writeln!(text, "  {list}, {line}, {} s at most:\n    {does}", limit.as_secs_f64())?;
        }
    }
    Ok(())
}
