//! What only one crate may say in its code: SQL, and wasmtime's name.

use crate::Finding;
use crate::tokens::{Kind, tokens};

/// How a statement begins.
const STATEMENTS: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "PRAGMA"];

/// Where statements live: the store, and the benchmarks that measure the floor below it.
const SQL_FOLDERS: [&str; 2] = ["host/store/", "benches/"];

/// Where wasmtime is named: its crate, and the benchmarks that measure the floor below it.
pub(crate) const WASMTIME_FOLDERS: [&str; 2] = ["host/sandbox/", "benches/"];

/// Finds string literals that begin like an SQL statement, outside the store.
pub(crate) fn sql_outside_store(path: &str, text: &str) -> Vec<Finding> {
    if starts_with_any(path, &SQL_FOLDERS) {
        return Vec::new();
    }
    let is_statement = |text: &str| STATEMENTS.contains(&text.split_whitespace().next().unwrap_or_default());
    let has_more = |text: &str| text.split_whitespace().nth(1).is_some();
    let tokens = tokens(path, text);
    let statements = tokens.iter().filter_map(|token| match &token.kind {
        Kind::Text(text) if is_statement(text) && has_more(text) => Some((token.line, text.trim())),
        _ => None,
    });
    statements.map(|(line, text)| Finding::new(line, format!("an SQL statement: `{}…`", first_line(text)))).collect()
}

/// Finds wasmtime's name in Rust code outside its crate; comments and texts may name it.
pub(crate) fn wasmtime_outside_sandbox(path: &str, text: &str) -> Vec<Finding> {
    if starts_with_any(path, &WASMTIME_FOLDERS) {
        return Vec::new();
    }
    let tokens = tokens(path, text);
    let named = tokens.iter().filter(|token| token.word().is_some_and(is_wasmtime));
    named.map(|token| Finding::new(token.line, "names wasmtime")).collect()
}

/// Whether code names one of wasmtime's crates with this word. Any other word may begin like it.
fn is_wasmtime(word: &str) -> bool {
    word == "wasmtime" || ["wasmtime_wasi", "wasmtime_environ", "wasmtime_internal"].iter().any(|c| word.starts_with(c))
}

/// Whether the path lies in one of the folders.
pub(crate) fn starts_with_any(path: &str, folders: &[&str]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_outside_the_store_is_found() {
        let text = "fn f() {\n    db.execute(\"\n UPDATE instance SET seq = 1\");\n}";
        assert_eq!(sql_outside_store("host/engine/src/a.rs", text)[0].line, 2);
        assert_eq!(sql_outside_store("host/store/src/a.rs", text), []);
    }

    #[test]
    fn words_that_only_look_like_sql_are_left_alone() {
        let text =
            "/// SELECT one\nfn f() { say(\"DELETE\"); say(\"SELECTED by hand\"); say(\"select one of these\"); }";
        assert_eq!(sql_outside_store("host/engine/src/a.rs", text), []);
    }

    #[test]
    fn wasmtime_outside_the_sandbox_is_found() {
        assert_eq!(wasmtime_outside_sandbox("host/engine/src/a.rs", "\nuse wasmtime_wasi::WasiCtx;")[0].line, 2);
        assert_eq!(wasmtime_outside_sandbox("host/engine/src/a.rs", "fn f(e: &wasmtime::Engine) {}").len(), 1);
    }

    #[test]
    fn wasmtime_may_be_named_in_its_crate_and_in_prose() {
        assert_eq!(wasmtime_outside_sandbox("host/sandbox/src/a.rs", "use wasmtime::Engine;"), []);
        assert_eq!(
            wasmtime_outside_sandbox("host/engine/src/a.rs", "//! No wasmtime here.\nconst W: &str = \"wasmtime\";"),
            []
        );
    }
}
