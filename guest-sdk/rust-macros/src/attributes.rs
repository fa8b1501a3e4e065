//! What serde attributes and doc comments say about the JSON form.
//!
//! Only what changes a schema is read; whatever else serde knows is skipped, for serde's own derive to judge.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta, Token};

/// What is said about a type, a field or a variant.
#[derive(Default)]
pub(crate) struct Attributes {
    /// Its name in JSON.
    pub(crate) rename: Option<String>,
    /// The case of its members' names.
    pub(crate) rename_all: Option<Case>,
    /// It may be left out when read, or is left out when written.
    pub(crate) is_optional: bool,
    /// It has no JSON form.
    pub(crate) is_skipped: bool,
    /// Its members stand among its parent's.
    pub(crate) is_flattened: bool,
    /// It is written as its only field.
    pub(crate) is_transparent: bool,
    /// Members without a field are refused.
    pub(crate) is_closed: bool,
    /// Its form can not be read off its type.
    pub(crate) is_any: bool,
    /// What its doc comment says.
    pub(crate) description: String,
}

impl Attributes {
    /// Reads the attributes of one item.
    pub(crate) fn of(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut read = Self::default();
        let mut lines = Vec::new();
        for attribute in attributes {
            if attribute.path().is_ident("serde") {
                attribute.parse_nested_meta(|meta| read.take_serde(&meta))?;
            } else if attribute.path().is_ident("schema") {
                attribute.parse_nested_meta(|meta| read.take_schema(&meta))?;
            } else if let Some(line) = doc_line(attribute) {
                lines.push(line);
            }
        }
        read.description = lines.join("\n").trim().to_owned();
        Ok(read)
    }

    fn take_schema(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        if !meta.path.is_ident("any") {
            return Err(meta.error("the only attribute of `schema` is `any`"));
        }
        self.is_any = true;
        Ok(())
    }

    fn take_serde(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "rename" => self.rename = text_of(meta)?.map(|text| text.value()),
            "rename_all" => {
                if let Some(text) = text_of(meta)? {
                    self.rename_all = Some(Case::of(&text)?);
                }
            }
            "default" | "skip_serializing_if" => {
                skip_value(meta)?;
                self.is_optional = true;
            }
            "skip" => self.is_skipped = true,
            "flatten" => self.is_flattened = true,
            "transparent" => self.is_transparent = true,
            "deny_unknown_fields" => self.is_closed = true,
            "tag" | "content" | "untagged" | "with" | "serialize_with" | "deserialize_with" | "from" | "try_from"
            | "into" => {
                skip_value(meta)?;
                self.is_any = true;
            }
            _ => skip_value(meta)?,
        }
        Ok(())
    }
}

/// Reads `name = "text"`, or from `name(serialize = "…", deserialize = "…")` the latter.
fn text_of(meta: &ParseNestedMeta<'_>) -> syn::Result<Option<LitStr>> {
    if meta.input.peek(Token![=]) {
        return meta.value()?.parse().map(Some);
    }
    let mut text = None;
    meta.parse_nested_meta(|nested| {
        let value = nested.value()?.parse()?;
        if nested.path.is_ident("deserialize") {
            text = Some(value);
        }
        Ok(())
    })?;
    Ok(text)
}

fn skip_value(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        meta.parse_nested_meta(|nested| skip_value(&nested))?;
    }
    Ok(())
}

fn doc_line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value else { return None };
    pair.path.is_ident("doc").then(|| text.value().trim().to_owned())
}

/// How serde spells the names of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

impl Case {
    fn of(text: &LitStr) -> syn::Result<Self> {
        Ok(match text.value().as_str() {
            "lowercase" => Self::Lower,
            "UPPERCASE" => Self::Upper,
            "PascalCase" => Self::Pascal,
            "camelCase" => Self::Camel,
            "snake_case" => Self::Snake,
            "SCREAMING_SNAKE_CASE" => Self::ScreamingSnake,
            "kebab-case" => Self::Kebab,
            "SCREAMING-KEBAB-CASE" => Self::ScreamingKebab,
            _ => return Err(syn::Error::new(text.span(), "serde knows no such case")),
        })
    }

    /// Spells a field's or variant's name of Rust.
    pub(crate) fn spell(self, name: &str) -> String {
        let words = words_of(name);
        let joined = |separator: &str| words.join(separator);
        match self {
            Self::Lower => joined("").to_lowercase(),
            Self::Upper => joined("").to_uppercase(),
            Self::Pascal => words.iter().map(|word| capitalised(word)).collect(),
            Self::Camel => {
                let pascal: String = words.iter().map(|word| capitalised(word)).collect();
                let mut letters = pascal.chars();
                letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
            }
            Self::Snake => joined("_"),
            Self::ScreamingSnake => joined("_").to_uppercase(),
            Self::Kebab => joined("-"),
            Self::ScreamingKebab => joined("-").to_uppercase(),
        }
    }
}

/// Splits `snake_case` and `PascalCase` into lower-case words, as serde does: before every capital letter.
fn words_of(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut starts_word = true;
    for letter in name.chars() {
        if letter == '_' {
            starts_word = true;
            continue;
        }
        if starts_word || letter.is_uppercase() {
            words.push(String::new());
        }
        starts_word = false;
        if let Some(word) = words.last_mut() {
            word.extend(letter.to_lowercase());
        }
    }
    words
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_and_variants_are_spelled_as_serde_does() {
        for (case, field, variant) in [
            (Case::Camel, "firstName", "veryGood"),
            (Case::Pascal, "FirstName", "VeryGood"),
            (Case::Snake, "first_name", "very_good"),
            (Case::ScreamingSnake, "FIRST_NAME", "VERY_GOOD"),
            (Case::Kebab, "first-name", "very-good"),
        ] {
            assert_eq!(case.spell("first_name"), field);
            assert_eq!(case.spell("VeryGood"), variant);
        }
        assert_eq!(Case::Lower.spell("VeryGood"), "verygood");
    }
}
