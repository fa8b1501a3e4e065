//! Keys by name or by how they begin.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;

use crate::name::KEY_LEN_BYTES_MAX;
use crate::time::serde_as_text;

/// A key, or every key that begins with the same: `order.id`, `order*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct KeyPattern {
    stem: String,
    ends: End,
}

/// How a pattern ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Here,
    Anyhow,
}

/// A text is no pattern of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no pattern; write a name, or how it begins and a `*` at the end, in at most 256 bytes")]
pub struct MalformedPattern(String);

impl KeyPattern {
    /// Whether a key fits.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::grants::KeyPattern;
    ///
    /// let orders: KeyPattern = "order*".parse()?;
    /// assert!(orders.matches("order.id") && !orders.matches("user"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        match self.ends {
            End::Here => self.stem == key,
            End::Anyhow => key.starts_with(&self.stem),
        }
    }
}

impl KeyPattern {
    /// Whether every key that fits the other pattern fits this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self.ends, other.ends) {
            (End::Here, End::Here) => self.stem == other.stem,
            (End::Here, End::Anyhow) => false,
            (End::Anyhow, _) => other.stem.starts_with(&self.stem),
        }
    }
}

impl FromStr for KeyPattern {
    type Err = MalformedPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (stem, ends) = text.strip_suffix('*').map_or((text, End::Here), |stem| (stem, End::Anyhow));
        let is_odd = text.is_empty() || text.len() > KEY_LEN_BYTES_MAX || stem.contains('*');
        if is_odd || text.chars().any(char::is_control) {
            return Err(MalformedPattern(text.chars().take(80).collect()));
        }
        Ok(Self { stem: stem.to_owned(), ends })
    }
}

serde_as_text!(KeyPattern);

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stem)?;
        if self.ends == End::Anyhow { f.write_str("*") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_or_a_beginning() {
        for (pattern, key, fits) in
            [("a", "a", true), ("a", "ab", false), ("a*", "ab", true), ("a*", "a", true), ("*", "x", true)]
        {
            assert_eq!(pattern.parse::<KeyPattern>().unwrap().matches(key), fits, "{pattern} {key}");
        }
        for odd in ["", "a*b", "**", "a\nb", &"k".repeat(257)] {
            assert!(odd.parse::<KeyPattern>().is_err(), "{odd:?}");
        }
    }
}
