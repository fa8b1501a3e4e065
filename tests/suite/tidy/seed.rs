//! The pages that say what the names of the Python library are here, and which cases hold: a row without a test that
//! shows it is a promise.

use crate::Finding;

/// The page of the names.
pub(crate) const NAMES: &str = "docs/seed.md";

/// The page of the cases.
pub(crate) const CASES: &str = "docs/conformance.md";

/// The page of what is promised to whoever lets strangers' code run.
pub(crate) const PROMISES: &str = "docs/security.md";

/// Finds rows of the page's tables that name no test, or one that is not in the sources. `source` gives a file's text.
pub(crate) fn unshown<'a>(page: &str, source: impl Fn(&str) -> Option<&'a str>) -> Vec<Finding> {
    let rows = page.lines().enumerate().filter_map(|(index, line)| Some((index + 1, cells(line)?)));
    rows.flat_map(|(line, cells)| in_row(line, &cells, &source)).collect()
}

/// The cells of a table's row; none for other lines, and for a table's head.
fn cells(line: &str) -> Option<Vec<&str>> {
    let cells = line.strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<_> = cells.split('|').map(str::trim).collect();
    let is_head =
        cells.iter().all(|cell| cell.chars().all(|letter| letter == '-')) || cells.last() == Some(&"shown by");
    (!is_head).then_some(cells)
}

fn in_row<'a>(line: usize, cells: &[&str], source: &impl Fn(&str) -> Option<&'a str>) -> Vec<Finding> {
    let [name, ours, shown] = cells else {
        return vec![Finding::new(line, format!("a row of {} cells, not of three", cells.len()))];
    };
    let tests: Vec<_> = shown.split('`').skip(1).step_by(2).collect();
    if name.is_empty() || ours.is_empty() || tests.is_empty() {
        return vec![Finding::new(line, format!("nothing shows {name}"))];
    }
    tests.into_iter().filter_map(|test| missing(test, source)).map(|what| Finding::new(line, what)).collect()
}

/// What is wrong with a test's name, if anything is.
fn missing<'a>(test: &str, source: &impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let Some((path, name)) = test.split_once("::") else { return Some(format!("`{test}` is not `path::name`")) };
    let Some(text) = source(path) else { return Some(format!("there is no file `{path}`")) };
    let declares = |end: &str| text.contains(&format!("fn {name}{end}"));
    (!declares("(") && !declares("<")).then(|| format!("`{path}` has no test `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "| there | here | shown by |\n|---|---|---|\n";

    fn found(row: &str) -> Vec<Finding> {
        let source = |path: &str| (path == "a.rs").then_some("async fn it_works(host: TestHost) {}");
        unshown(&format!("{HEAD}{row}"), source)
    }

    #[test]
    fn a_row_without_a_test_or_with_one_that_is_not_there_is_found() {
        for row in [
            "| `Step` | `Step` | |",
            "| `Step` | `Step` | by hand |",
            "| `Step` | `Step` | `a.rs` |",
            "| `Step` | `Step` | `a.rs::it_fails` |",
            "| `Step` | `Step` | `b.rs::it_works` |",
            "| `Step` | `a.rs::it_works` |",
        ] {
            assert_eq!(found(row).len(), 1, "{row}");
        }
        assert_eq!(found("| `Step` | `Step` | by hand |")[0].line, 3);
    }

    #[test]
    fn a_row_whose_tests_are_there_is_left_alone() {
        assert_eq!(found("| `Step` | `Step` | `a.rs::it_works` |"), []);
    }
}
