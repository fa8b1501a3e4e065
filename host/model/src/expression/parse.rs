//! From text to tree: the `cel` crate parses, within limits and on a stack of its own.
//!
//! What the crate says of a mistake speaks of its grammar; what is wrong is said here from the pieces of the text.

use std::thread;

use cel::parser::{ParseErrors, Parser};

use super::ExpressionError;
use super::lower::lower;
use super::scan::{Token, TokenKind, scan};
use super::tree::Node;
use crate::problem::shorten;

/// The stack on which a text is parsed, in bytes.
///
/// The parser takes up to 50 KiB a bracket and 4 KiB an operator in a build for debugging, and dropping what it made
/// recurses as well; the limits on texts keep it far below this.
const PARSER_STACK_BYTES: usize = 32 << 20;

/// How deep the parser may nest expressions; brackets are counted before, so this is a second fence.
const PARSER_DEPTH_MAX: u16 = 24;

/// How many mistakes the parser may step over before it gives up; only the first is reported.
const PARSER_RECOVERIES_MAX: u32 = 4;

/// Understands a text, or says why not.
pub(super) fn parse(source: &str) -> Result<Node, ExpressionError> {
    let tokens = scan(source)?;
    foreign_words(source, &tokens)?;
    thread::scope(|scope| {
        let parser = thread::Builder::new().name("expression".to_owned()).stack_size(PARSER_STACK_BYTES);
        let parsed = parser.spawn_scoped(scope, || parse_here(source, &tokens)).map(thread::ScopedJoinHandle::join);
        match parsed {
            Ok(Ok(parsed)) => parsed,
            // The parser has asserts that a text might reach: the thread ends, the host does not.
            Ok(Err(_panic)) => Err(ExpressionError::new(source, 0, "this can not be read; write it in a simpler way")),
            Err(error) => Err(ExpressionError::new(source, 0, format!("this can not be read now: {error}"))),
        }
    })
}

fn parse_here(source: &str, tokens: &[Token<'_>]) -> Result<Node, ExpressionError> {
    let parser = Parser::new().max_recursion_depth(PARSER_DEPTH_MAX).error_recovery_limit(PARSER_RECOVERIES_MAX);
    match parser.parse_with_source_info(source) {
        Ok((ast, places)) => lower(source, &ast, &places),
        Err(errors) => Err(refusal(source, tokens, &errors)),
    }
}

/// Refuses words and signs of other languages before the parser stumbles over what follows them.
fn foreign_words(source: &str, tokens: &[Token<'_>]) -> Result<(), ExpressionError> {
    for (index, token) in tokens.iter().enumerate() {
        // `context.not` is a field.
        if index.checked_sub(1).is_some_and(|before| tokens[before].text == ".") {
            continue;
        }
        if let Some(instead) = instead_of(token.text) {
            let reason = format!("CEL has no `{}`; write `{instead}`", token.text);
            return Err(ExpressionError::new(source, token.offset, reason));
        }
    }
    Ok(())
}

fn instead_of(word: &str) -> Option<&'static str> {
    match word {
        "and" | "AND" | "&" => Some("&&"),
        "or" | "OR" | "|" => Some("||"),
        "not" | "NOT" => Some("!"),
        "True" | "TRUE" => Some("true"),
        "False" | "FALSE" => Some("false"),
        "None" | "nil" | "undefined" | "NULL" => Some("null"),
        "=" => Some("=="),
        _ => None,
    }
}

/// Says what is wrong with a text that the parser refused, at the piece where it stopped.
fn refusal(source: &str, tokens: &[Token<'_>], errors: &ParseErrors) -> ExpressionError {
    let first = errors.errors.first();
    let offset = first.map_or(0, |error| offset_of(source, error.pos));
    match first.map_or("", |error| error.msg.as_str()) {
        "invalid int literal" | "invalid uint literal" => {
            return ExpressionError::new(source, offset, "this number is too large; with a dot it may be larger");
        }
        message if message.starts_with("unsupported syntax") => {
            return ExpressionError::new(source, offset, "this sign is not used here");
        }
        _ => {}
    }
    if let Some(bracket) = unbalanced(tokens) {
        return ExpressionError::new(source, bracket.offset, format!("the bracket `{}` has no partner", bracket.text));
    }
    match tokens.iter().find(|token| token.offset + token.text.len() > offset) {
        Some(token) if token.kind == TokenKind::Text && token.text.contains('\\') => {
            let reason = "a `\\` in this string begins nothing that CEL knows; a plain backslash is written `\\\\`";
            ExpressionError::new(source, token.offset, reason)
        }
        Some(token) => {
            let what = match token.kind {
                TokenKind::Word => "the word",
                TokenKind::Number => "the number",
                TokenKind::Text => "the string",
                TokenKind::Sign => "the sign",
            };
            let reason = format!("{what} {} is not expected here", quoted(token.text));
            ExpressionError::new(source, token.offset, reason)
        }
        None => ExpressionError::new(source, source.trim_end().len(), "the expression ends too early"),
    }
}

fn quoted(text: &str) -> String {
    format!("`{}`", shorten(&text.replace(char::is_control, " "), 40))
}

/// Finds the first bracket that closes nothing, or the last that is not closed.
fn unbalanced<'t, 's>(tokens: &'t [Token<'s>]) -> Option<&'t Token<'s>> {
    let mut open: Vec<&Token<'_>> = Vec::new();
    for token in tokens.iter().filter(|token| token.kind == TokenKind::Sign) {
        match token.text {
            "(" | "[" | "{" => open.push(token),
            ")" | "]" | "}" => match open.pop() {
                Some(opened) if matches!((opened.text, token.text), ("(", ")") | ("[", "]") | ("{", "}")) => {}
                _ => return Some(token),
            },
            _ => {}
        }
    }
    open.pop()
}

/// The parser counts lines and columns from 1, columns in characters.
fn offset_of(source: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = &source[start.min(source.len())..];
    start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}
