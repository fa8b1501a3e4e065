//! Rust text as a flat list of what rules look at; comments and documentation are left out.

use proc_macro2::{Delimiter, Group, Literal, TokenStream, TokenTree};

/// A part of Rust text and the line it stands in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The line, from 1.
    pub(crate) line: usize,
    /// What stands there.
    pub(crate) kind: Kind,
}

/// What a token is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword or a name.
    Word(String),
    /// A string's content as written.
    Text(String),
    /// The words of an attribute, which also follow one by one.
    Attribute(Vec<String>),
}

/// The tokens of a Rust file; none for another.
///
/// # Panics
/// If the file's brackets or quotes do not match, which rustc would not take either.
pub(crate) fn tokens(path: &str, text: &str) -> Vec<Token> {
    if !path.ends_with(".rs") {
        return Vec::new();
    }
    let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
    let mut tokens = Vec::new();
    flatten(stream, &mut tokens);
    tokens
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut after_hash = false;
    for tree in stream {
        let is_attribute = after_hash;
        after_hash = matches!(&tree, TokenTree::Punct(p) if p.as_char() == '#' || (after_hash && p.as_char() == '!'));
        match tree {
            TokenTree::Group(group) if is_attribute && group.delimiter() == Delimiter::Bracket => {
                attribute(&group, tokens);
            }
            TokenTree::Group(group) => flatten(group.stream(), tokens),
            TokenTree::Ident(word) => push(tokens, word.span().start().line, Kind::Word(word.to_string())),
            TokenTree::Literal(literal) => {
                tokens.extend(content(&literal).map(|text| Token { line: literal.span().start().line, kind: text }));
            }
            TokenTree::Punct(_) => {}
        }
    }
}

/// An attribute and what is in it; documentation, which is one to rustc, is left out.
fn attribute(group: &Group, tokens: &mut Vec<Token>) {
    let mut inner = Vec::new();
    flatten(group.stream(), &mut inner);
    let words: Vec<_> = inner.iter().filter_map(Token::word).map(str::to_owned).collect();
    if words.first().is_some_and(|word| word == "doc") {
        return;
    }
    push(tokens, group.span_open().start().line, Kind::Attribute(words));
    tokens.append(&mut inner);
}

fn push(tokens: &mut Vec<Token>, line: usize, kind: Kind) {
    tokens.push(Token { line, kind });
}

/// What is between the quotes of a string; none for a number or a character.
fn content(literal: &Literal) -> Option<Kind> {
    let text = literal.to_string();
    let quoted = text.trim_start_matches(['b', 'c', 'r']).trim_start_matches('#');
    quoted.strip_prefix('"').map(|rest| Kind::Text(rest.trim_end_matches('#').trim_end_matches('"').to_owned()))
}

impl Token {
    /// The word, if it is one.
    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            Kind::Text(_) | Kind::Attribute(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens("a.rs", text).into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn comments_and_documentation_are_left_out() {
        assert_eq!(kinds("//! one\n/// two\n// three\n/* four */"), []);
    }

    #[test]
    fn strings_of_every_kind_show_their_content() {
        let text = |content: &str| Kind::Text(content.to_owned());
        assert_eq!(kinds(r###"("a", r"b", r#"c"#, b"d", br#"e"#, 'f', 7)"###), ["a", "b", "c", "d", "e"].map(text));
    }

    #[test]
    fn an_attribute_shows_its_words_together_and_apart() {
        let word = |text: &str| Kind::Word(text.to_owned());
        let words = Kind::Attribute(vec!["cfg".to_owned(), "test".to_owned()]);
        assert_eq!(kinds("#[cfg(test)]"), [words, word("cfg"), word("test")]);
    }

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!(tokens("a.rs", "\nfn").first().map(|token| token.line), Some(2));
    }
}
