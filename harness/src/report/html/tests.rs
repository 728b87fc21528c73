//! The page as a browser reads it.
#![forbid(unsafe_code)]

use super::*;
use crate::matcher::sample::{denied, events};
use crate::report::{Log, sample};

fn page(run: &Run) -> String {
    let mut bytes = Vec::new();
    write(run, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_guest_can_put_nothing_into_the_page_but_text() {
    let page = page(&sample::run());
    // One script of its own, and one log that is data.
    assert_eq!(page.matches("<script").count(), 2, "{page}");
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<script>alert") && page.contains("&lt;script&gt;alert(1)"));
    let hidden = |sign: char| sign != '\n' && crate::report::text::is_hidden(sign);
    assert!(!page.contains(hidden), "{:?}", page.find(hidden));
    assert!(page.contains("<i class=\"x\">\\xff</i>") && page.contains("<i class=\"x\">\\u{202e}</i>evil"));
    for (open, close) in
        [("<details", "</details>"), ("<section", "</section>"), ("<div", "</div>"), ("<pre", "</pre>")]
    {
        assert_eq!(page.matches(open).count(), page.matches(close).count(), "{open}");
    }
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = page(&sample::run());
    let policy =
        page.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"),
        "{policy}"
    );
    for way in
        [" src=", " href=\"h", "@import", "url(", "fetch(", "XMLHttp", "innerHTML", "eval(", " style=", " on"]
    {
        let own = page.replace("http://www.w3.org/2000/svg", "");
        let in_tags = own
            .split('<')
            .any(|part| part.split('>').next().is_some_and(|tag| way == " on" && tag.contains(" onclick")));
        assert!(!in_tags && (way == " on" || !own.contains(way)), "{way}");
    }
    assert!(page.contains("name=\"viewport\""));
}

#[test]
fn the_line_that_wanted_it_is_marked() {
    let mut run = sample::run();
    run.tested[0].findings[0].label = "a label".into();
    let page = page(&run);
    for wanted in [
        "<figcaption>scenarios/a.yaml:2:1</figcaption>",
        "<div class=\"l other\"><span>1</span><code><mark>abo</mark>ut: it reads</code></div>\n<div class=\"says other\">another</div>",
        "<div class=\"l hit\"><span>2</span><code><mark>run</mark>: [cat, x]</code></div>\n<div class=\"says\">a label</div>",
        "<div class=\"l\"><span>4</span><code># a fourth</code></div>",
        "<del>-one</del>",
        "<title>Interrupted: 2 of 3 scenarios failed · Assize</title>",
        "(7 bytes before this are left out)",
    ] {
        assert!(page.contains(wanted), "{wanted}\n{page}");
    }
}

#[test]
fn a_large_run_is_still_a_page_that_opens() {
    let mut run = sample::run();
    let log = |count| Log { events: events(vec![denied("/etc/a/file/of/the/system"); count]), left_out: 0 };
    run.tested = (0..1000)
        .map(|nth| {
            let outcome = if nth == 999 { Outcome::Failed } else { Outcome::Passed };
            let mut tested = sample::tested(&format!("{nth:04}.yaml::a"), outcome);
            tested.seen.log = log(if nth == 999 { 6_000 } else { 100 });
            tested
        })
        .collect();
    let page = page(&run);
    assert!(page.len() < 8 << 20, "{} bytes", page.len());
    // The failure is first, and has what it can have.
    assert!(page.find("0999.yaml").unwrap() < page.find("0000.yaml").unwrap());
    assert!(page.contains("The first 5000 of 6000 events"));
    assert!(
        page.contains("<p>5900 events of verdict logs are not on this page"),
        "{}",
        &page[page.len() - 20_000..]
    );
}
