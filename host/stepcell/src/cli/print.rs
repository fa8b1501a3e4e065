//! What goes to stdout, and how it looks.
//!
//! Text that came from outside may hold control characters; on its way to people they become spaces, so that no step,
//! user or definition moves the cursor of whoever reads.

use std::io::{self, IsTerminal, Write as _};
use std::sync::OnceLock;

use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, ContentArrangement, Table};
use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;
use serde_json::Value;
use stepcell::model::json::Json;
use stepcell::model::name::TenantId;

/// How many characters of a JSON value a line for people shows.
const JSON_CHARS_MAX: usize = 120;

/// Prints text.
///
/// # Errors
/// If stdout can not be written to, such as when nobody reads it any more.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// Waits until nobody reads stdout any more; for ever where that can not be seen, as with a file.
pub(crate) async fn reader_gone() {
    // A thread that may wait for ever, and with it the process is not kept from its end.
    if !tokio::task::spawn_blocking(wait_for_hang_up).await.unwrap_or(false) {
        std::future::pending::<()>().await;
    }
}

/// Whether it ended because the other end of stdout is closed.
fn wait_for_hang_up() -> bool {
    let stdout = io::stdout();
    // Nothing is asked for; an end that was closed is told always.
    let mut streams = [PollFd::new(&stdout, PollFlags::empty())];
    let polled = rustix::io::retry_on_intr(|| poll(&mut streams, None));
    polled.is_ok() && streams[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Prints one line.
pub(crate) fn line(line: &str) -> anyhow::Result<()> {
    text(&format!("{line}\n"))
}

/// Prints JSON, over several lines for whoever looks at it.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    // Through a tree: what somebody once wrote keeps no blanks of its own, so that the same is printed the same.
    line(&serde_json::to_string_pretty(&serde_json::to_value(value)?)?)
}

/// Prints a list as JSON.
pub(crate) fn json_list(items: &[impl Serialize], total: u64) -> anyhow::Result<()> {
    json(&serde_json::json!({ "items": items, "total": total }))
}

/// A value with one field more, which stands before another one.
pub(crate) fn with_field(value: &impl Serialize, before: &str, (name, field): (&str, Value)) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(value)?;
    if let Value::Object(fields) = &mut value {
        let place = fields.keys().position(|key| key == before).unwrap_or(fields.len());
        fields.shift_insert(place, name.to_owned(), field);
    }
    Ok(value)
}

/// Whether what is said beside the result is said as the log is: an object a line.
static AS_LOG: OnceLock<bool> = OnceLock::new();

/// Says from here on whatever is said beside the result as objects, a line each.
pub(crate) fn log_notes() {
    let _ = AS_LOG.set(true);
}

/// Whether notes are objects.
pub(crate) fn notes_are_logged() -> bool {
    AS_LOG.get() == Some(&true)
}

/// Says something to whoever sits before the terminal, beside the result.
pub(crate) fn note(text: impl std::fmt::Display) {
    let text = text.to_string();
    if !notes_are_logged() {
        // Nobody may read it, and that is no reason to end otherwise.
        let _ = writeln!(io::stderr(), "{text}");
        return;
    }
    match text.strip_prefix("warning: ") {
        Some(text) => log_line("WARN", text, None),
        None => log_line("INFO", &text, None),
    }
}

/// Says something as the log is said, with what to do about it.
pub(crate) fn log_line(level: &str, message: &str, hint: Option<&str>) {
    let timestamp = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let mut line = serde_json::json!({ "timestamp": timestamp, "level": level, "message": message });
    if let Some(hint) = hint {
        line["hint"] = hint.into();
    }
    line["target"] = "stepcell".into();
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether a stream shows colours: on a terminal, and if nobody asked for none.
pub(crate) fn has_colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Rows below headings, as wide as their content or the terminal.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    table_of(&headings, rows.into_iter().map(Vec::from))
}

/// Rows below headings with a column for whose each is, before the last one, if any is a tenant's.
pub(crate) fn table_with_tenants<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = (Option<TenantId>, [String; N])>,
) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    if rows.iter().all(|(tenant, _)| tenant.is_none()) {
        return table(headings, rows.into_iter().map(|(_, row)| row));
    }
    let mut headings = headings.to_vec();
    headings.insert(N - 1, "TENANT");
    let with_tenant = |(tenant, row): (Option<TenantId>, [String; N])| {
        let mut row = Vec::from(row);
        row.insert(N - 1, or_dash(tenant.as_ref()));
        row
    };
    table_of(&headings, rows.into_iter().map(with_tenant))
}

fn table_of(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(headings.iter().copied());
    table.add_rows(rows.map(|row| row.iter().map(|cell| plain(cell)).collect::<Vec<_>>()));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(first) = table.column_mut(0) {
        // The first column names the row: it is what people copy.
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

/// Text without control characters, and without those that turn the direction of what follows or break its line.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || misleads(c) { ' ' } else { c }).collect()
}

const fn misleads(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A JSON value in one line that is not too long.
pub(crate) fn short_json(json: &Json) -> String {
    shortened(&json.tree().to_string())
}

/// Text in one line that is not too long.
pub(crate) fn shortened(text: &str) -> String {
    let text = plain(text);
    match text.char_indices().nth(JSON_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A text as one word of a shell's command line.
pub(crate) fn shell_word(text: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./:@,=+".contains(c);
    if !text.is_empty() && text.chars().all(is_safe) {
        return text.to_owned();
    }
    format!("'{}'", plain(text).replace('\'', "'\\''"))
}

/// What there is, or a dash.
pub(crate) fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// A number and a word for what it counts.
pub(crate) fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_can_not_move_the_cursor() {
        assert_eq!(plain("a\x1b[2Jb\nc"), "a [2Jb c");
    }

    #[test]
    fn text_from_outside_can_not_turn_the_line_around() {
        assert_eq!(plain("a\u{202e}b\u{2066}c\u{2028}d"), "a b c d");
        assert_eq!(plain("Grüße, שלום, \u{1f469}\u{200d}\u{1f680}"), "Grüße, שלום, \u{1f469}\u{200d}\u{1f680}");
    }

    #[test]
    fn a_suggested_command_can_be_pasted_into_a_shell() {
        assert_eq!(shell_word("dana@acme"), "dana@acme");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn a_table_says_whose_rows_are_only_where_one_is_a_tenants() {
        let row =
            |tenant: Option<&str>| (tenant.map(|name| TenantId::new(name).unwrap()), ["a", "x"].map(str::to_owned));

        let shared = table_with_tenants(["NAME", "SUMMARY"], [row(None)]);
        let mixed = table_with_tenants(["NAME", "SUMMARY"], [row(None), row(Some("acme"))]);

        assert_eq!(shared, "NAME  SUMMARY\na     x\n");
        assert_eq!(mixed, "NAME  TENANT  SUMMARY\na     -       x\na     acme    x\n");
    }

    #[test]
    fn a_table_has_no_blanks_at_the_end_of_its_lines() {
        let table = table(["ID", "NAME"], [["1".to_owned(), "x".to_owned()], ["22".to_owned(), String::new()]]);

        assert_eq!(table, "ID  NAME\n1   x\n22\n");
    }
}
