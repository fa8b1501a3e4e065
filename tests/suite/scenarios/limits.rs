//! The page of limits says what the code says: it is made from the lists that hold them.

use std::fmt::Write as _;

use stepcell::model::attempt::CellLimits;
use stepcell::model::failure::EngineCode;
use stepcell::model::limits::{Effect, FIXED, LIMITS};
use stepcell_admission::{Bound, Refusal};
use stepcell_tests::built::root;

const PAGE: &str = "docs/limits.md";

const HEAD: &str = "\
# Limits

Every limit that holds a tenant, what it is without a word about it, and what happens at it. This page is made from the
lists in the code (`host/model/src/limits.rs`, `host/admission/src/structure/bound.rs`), and a test holds it to them.

## Of one attempt

A step's `limits:` and a tenant's `limits:` in the policy set these by name. A step may ask for more than the default up to the
top; a policy is a ceiling, and the smaller of the two holds. A value out of range is refused where it is set. How often attempts ended with
each code is counted by tenant and day: `stepcell tenant usage`.

| name | the most … | least | default | top | what happens |
|---|---|---|---|---|---|
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut add = |line: String| writeln!(page, "{line}").expect("a text can be written to");
    let (default, top) = (CellLimits::default(), CellLimits::TOP);
    for limit in LIMITS {
        let effect = match limit.effect {
            Effect::Ends(code) => format!("the attempt ends with `{}`", code.as_str()),
            Effect::Tells(what) => format!("the step is told {what}"),
            Effect::Drops(what) => format!("{what} is left out, and counted"),
        };
        let (name, what, least) = (limit.name, limit.what, limit.least);
        add(format!(
            "| `{name}` | {what} | {least} | {} | {} | {effect} |",
            (limit.held)(&default),
            (limit.held)(&top)
        ));
    }
    add("\n## Of a component, before anything of it is compiled\n".to_owned());
    add("Counted over everything that it instantiates, as often as it does. What passes one is refused with".to_owned());
    add("`admission.structure`.\n\n| name | the most … | limit | protects |\n|---|---|---|---|".to_owned());
    for Bound { name, what, max, protects, .. } in Bound::ALL {
        add(format!("| `{name}` | {what} | {max} | {protects} |"));
    }
    add("\n## Of definitions and instances\n\nNobody can set these.\n\n| the most … | limit | what happens |\n|---|---|---|".to_owned());
    for fixed in FIXED {
        add(format!("| {} | {} | {} |", fixed.what, fixed.max, fixed.effect));
    }
    add("\n## Why a component is refused\n\n| code | means |\n|---|---|".to_owned());
    for (code, means) in Refusal::CODES {
        add(format!("| `{code}` | {means} |"));
    }
    add("\n## How the engine ends attempts\n\n| code | means |\n|---|---|".to_owned());
    for code in EngineCode::ALL {
        add(format!("| `{}` | {} |", code.as_str(), code.meaning()));
    }
    page
}

#[test]
fn the_page_of_limits_is_what_the_lists_in_the_code_say() {
    let (path, page) = (root().join(PAGE), page());
    if std::env::var_os("STEPCELL_BLESS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }

    let there = std::fs::read_to_string(&path).unwrap_or_default();

    assert_eq!(there, page, "run this test with STEPCELL_BLESS=1, and look at what changed in {PAGE}");
}
