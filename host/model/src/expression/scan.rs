//! Looks over a text before it is parsed: what is in it, and whether it is small enough.
//!
//! Splits texts exactly as CEL's own lexer does (strings, raw strings, comments), so that nothing can hide a bracket
//! from the limits. Reads each byte once and never recurses.

use super::ExpressionError;

/// The longest expression, in bytes.
pub const EXPRESSION_LEN_BYTES_MAX: usize = 1024;

/// How deep brackets may nest.
pub const EXPRESSION_DEPTH_MAX: usize = 16;

/// The most operators, dots, commas and brackets.
pub const EXPRESSION_SIGNS_MAX: usize = 256;

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'s> {
    pub(super) offset: usize,
    pub(super) text: &'s str,
    pub(super) kind: TokenKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Word,
    Number,
    Text,
    Sign,
}

/// Splits a text into its pieces, if it keeps the limits.
pub(super) fn scan(source: &str) -> Result<Vec<Token<'_>>, ExpressionError> {
    let refuse = |offset, reason: String| Err(ExpressionError::new(source, offset, reason));
    if source.len() > EXPRESSION_LEN_BYTES_MAX {
        let reason = format!("the expression has {} bytes, more than {EXPRESSION_LEN_BYTES_MAX}", source.len());
        return refuse(0, reason);
    }
    let (mut tokens, mut depth, mut signs, mut rest) = (Vec::new(), 0_usize, 0_usize, source);
    while let Some(token) = next_token(source, &mut rest)? {
        if token.kind == TokenKind::Sign {
            signs += 1;
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth > EXPRESSION_DEPTH_MAX {
            return refuse(token.offset, format!("brackets nest deeper than {EXPRESSION_DEPTH_MAX}"));
        }
        if signs > EXPRESSION_SIGNS_MAX {
            return refuse(token.offset, format!("there are more than {EXPRESSION_SIGNS_MAX} operators and brackets"));
        }
        tokens.push(token);
    }
    if tokens.is_empty() { refuse(0, "the expression is empty".to_owned()) } else { Ok(tokens) }
}

/// Takes the next piece off `rest`, which is the end of `source`.
fn next_token<'s>(source: &'s str, rest: &mut &'s str) -> Result<Option<Token<'s>>, ExpressionError> {
    loop {
        *rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        if !rest.starts_with("//") {
            break;
        }
        *rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
    }
    let offset = source.len() - rest.len();
    let Some(first) = rest.chars().next() else { return Ok(None) };
    let (kind, len) = match first {
        'a'..='z' | 'A'..='Z' | '_' => {
            let word = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            match string_prefix(&rest[..word], &rest[word..]) {
                Some(raw) => (TokenKind::Text, word + string_len(source, offset + word, raw)?),
                None => (TokenKind::Word, word),
            }
        }
        '0'..='9' => (TokenKind::Number, number_len(rest)),
        '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) && ends_no_value(&source[..offset]) => {
            (TokenKind::Number, number_len(rest))
        }
        '\'' | '"' => (TokenKind::Text, string_len(source, offset, Raw::No)?),
        _ => (TokenKind::Sign, sign_len(rest, first)),
    };
    let (text, after) = rest.split_at(len);
    *rest = after;
    Ok(Some(Token { offset, text, kind }))
}

/// Tells whether a string's backslashes mean themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Raw {
    Yes,
    No,
}

fn string_prefix(word: &str, after: &str) -> Option<Raw> {
    if !after.starts_with(['\'', '"']) {
        return None;
    }
    match word {
        "r" | "R" | "br" | "bR" | "Br" | "BR" => Some(Raw::Yes),
        "b" | "B" => Some(Raw::No),
        _ => None,
    }
}

/// Measures the string that begins with the quote at `offset`.
fn string_len(source: &str, offset: usize, raw: Raw) -> Result<usize, ExpressionError> {
    let text = &source[offset..];
    let quote = if text.starts_with("'''") || text.starts_with("\"\"\"") { &text[..3] } else { &text[..1] };
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(quote.len()) {
        if escaped {
            escaped = false;
        } else if text[at..].starts_with(quote) {
            return Ok(at + quote.len());
        } else if quote.len() == 1 && matches!(c, '\n' | '\r') {
            break;
        } else {
            escaped = c == '\\' && raw == Raw::No;
        }
    }
    Err(ExpressionError::new(source, offset, format!("this string is not closed; it ends with {quote}")))
}

/// `a.5` is no number after a dot, `+.5` is one.
fn ends_no_value(before: &str) -> bool {
    !before.trim_end().ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ')' | ']' | '}' | '\'' | '"'))
}

fn number_len(text: &str) -> usize {
    let run = |from: usize, belongs: fn(&u8) -> bool| text.as_bytes()[from..].iter().take_while(|b| belongs(b)).count();
    if text.starts_with("0x") && run(2, u8::is_ascii_hexdigit) > 0 {
        return 2 + run(2, u8::is_ascii_hexdigit);
    }
    let mut len = run(0, u8::is_ascii_digit);
    if text[len..].starts_with('.') && run(len + 1, u8::is_ascii_digit) > 0 {
        len += 1 + run(len + 1, u8::is_ascii_digit);
    }
    if text[len..].starts_with(['e', 'E']) {
        let sign = usize::from(text[len + 1..].starts_with(['+', '-']));
        let digits = run(len + 1 + sign, u8::is_ascii_digit);
        len += if digits > 0 { 1 + sign + digits } else { 0 };
    }
    len
}

fn sign_len(text: &str, first: char) -> usize {
    let double = ["&&", "||", "==", "!=", "<=", ">="].iter().any(|sign| text.starts_with(sign));
    if double { 2 } else { first.len_utf8() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        scan(source).unwrap().iter().map(|token| token.text).collect()
    }

    #[test]
    fn a_text_splits_as_cel_splits_it() {
        assert_eq!(texts("a.b>=1.5e-3&&!c"), ["a", ".", "b", ">=", "1.5e-3", "&&", "!", "c"]);
        assert_eq!(texts(r#"r'\' + '\'' + """a"b""" // ["#), [r"r'\'", "+", r"'\''", "+", r#""""a"b""""#]);
        assert_eq!(texts("x in [1, 2]"), ["x", "in", "[", "1", ",", "2", "]"]);
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        assert!(scan(&format!("'{}'", "(".repeat(100))).is_ok());
        assert!(scan(&format!("1 // {}", "(".repeat(100))).is_ok());
        assert!(scan(&format!("[']', {}", "['[', ".repeat(EXPRESSION_DEPTH_MAX))).is_err());
    }
}
