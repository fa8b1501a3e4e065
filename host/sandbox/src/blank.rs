//! Takes the secrets of an attempt out of what it logs and fails with.
//!
//! A step that prints its secret does so by accident more often than not, and a log is read by many. This finds a secret
//! as it is, whole or line by line, and not what a step makes of it: whoever means to tell can always spell it another
//! way.

use std::borrow::Cow;

use serde_json::Value;
use stepcell_model::failure::{Failure, FailureCode};
use stepcell_model::json::Json;
use stepcell_model::secret::{GrantedSecrets, SECRET_BYTES_MIN, SecretText};

/// Knows what must not be told. Cloning shares the secrets themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blanker {
    secrets: Vec<(SecretText, String)>,
}

impl Blanker {
    pub(crate) fn of(granted: &GrantedSecrets) -> Self {
        let values = granted.iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        let mut secrets = Vec::new();
        for (name, value) in values {
            let instead = format!("[secret {name}]");
            // A log has lines: a secret of several comes apart there.
            let lines = value.expose().lines().filter(|line| line.len() >= SECRET_BYTES_MIN && *line != value.expose());
            secrets.extend(lines.map(|line| (SecretText::new(line.to_owned()), instead.clone())));
            secrets.push((value, instead));
        }
        // The longest first: one may be a part of another.
        secrets.sort_by_key(|(value, _)| std::cmp::Reverse(value.expose().len()));
        Self { secrets }
    }

    /// The text without secrets.
    pub(crate) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut blanked = Cow::Borrowed(text);
        for (secret, instead) in &self.secrets {
            if blanked.contains(secret.expose()) {
                blanked = Cow::Owned(blanked.replace(secret.expose(), instead));
            }
        }
        blanked
    }

    /// The text without secrets, where it may have been cut off in the middle of one.
    pub(crate) fn cut_text(&self, text: &str) -> String {
        let mut blanked = self.text(text).into_owned();
        for (secret, instead) in &self.secrets {
            let parts = (SECRET_BYTES_MIN..secret.expose().len()).rev().filter_map(|len| secret.expose().get(..len));
            if let Some(part) = parts.into_iter().find(|part| blanked.ends_with(part)) {
                blanked.truncate(blanked.len() - part.len());
                blanked.push_str(instead);
            }
        }
        blanked
    }

    /// The value without secrets, in whatever depth and as whatever kind of value they stand.
    pub(crate) fn json(&self, json: Json) -> Json {
        if self.secrets.is_empty() {
            return json;
        }
        Json::from(self.value(json.tree().clone()))
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text).into_owned()),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                let blanked = |(key, value): (String, Value)| (self.text(&key).into_owned(), self.value(value));
                Value::Object(fields.into_iter().map(blanked).collect())
            }
            Value::Number(number) => match self.text(&number.to_string()) {
                Cow::Borrowed(_) => Value::Number(number),
                Cow::Owned(blanked) => Value::String(blanked),
            },
            other @ (Value::Null | Value::Bool(_)) => other,
        }
    }

    /// The failure without secrets.
    pub(crate) fn failure(&self, failure: Failure) -> Failure {
        if self.secrets.is_empty() {
            return failure;
        }
        let is_told = matches!(self.text(failure.code.as_str()), Cow::Owned(_));
        Failure {
            code: if is_told { FailureCode::from_guest(FailureCode::INVALID) } else { failure.code },
            message: self.text(&failure.message).into_owned(),
            details: failure.details.map(|details| self.json(details)),
            ..failure
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use stepcell_model::name::SecretName;

    fn blanker(secrets: &[(&str, &str)]) -> Blanker {
        let granted = secrets
            .iter()
            .map(|(name, value)| (SecretName::new(name).unwrap(), Some(SecretText::new((*value).to_owned()))));
        Blanker::of(&granted.collect())
    }

    #[test]
    fn a_secret_is_blanked_wherever_it_stands() {
        let blanker = blanker(&[("TOKEN", "hunter2-hunter2"), ("LONG", "x hunter2-hunter2 x"), ("PIN", "12345678")]);

        assert_eq!(blanker.text("it is hunter2-hunter2, ok?"), "it is [secret TOKEN], ok?");
        assert_eq!(blanker.text("x hunter2-hunter2 x"), "[secret LONG]");
        assert!(matches!(blanker.text("nothing of it"), Cow::Borrowed(_)));
        let details = json!({"a": ["hunter2-hunter2"], "hunter2-hunter2": 9_912_345_678_u64, "n": 5, "none": null});
        let expected = json!({"a": ["[secret TOKEN]"], "[secret TOKEN]": "99[secret PIN]", "n": 5, "none": null});
        assert_eq!(blanker.json(details.into()), Json::from(expected));
    }

    #[test]
    fn a_secret_that_a_text_was_cut_off_in_is_blanked_as_far_as_it_is_there() {
        let blanker = blanker(&[("TOKEN", "hunter2-hunter2")]);

        assert_eq!(blanker.cut_text("it is hunter2-hun"), "it is [secret TOKEN]");
        assert_eq!(blanker.cut_text("it is hunter2"), "it is hunter2", "too short to be told from anything else");
    }

    #[test]
    fn a_secret_of_several_lines_is_blanked_line_by_line_too() {
        let blanker = blanker(&[("KEY", "-----BEGIN-----\nabcdefghijkl\nend\n-----END-----")]);

        assert_eq!(blanker.text("abcdefghijkl"), "[secret KEY]");
        assert_eq!(blanker.text("the end"), "the end");
        assert_eq!(blanker.text("-----BEGIN-----\nabcdefghijkl\nend\n-----END-----"), "[secret KEY]");
    }

    #[test]
    fn a_failure_tells_no_secret_by_its_code_either() {
        let blanker = blanker(&[("TOKEN", "hunter2-hunter2")]);
        let failure = Failure::from_guest("hunter2-hunter2", "no hunter2-hunter2".to_owned(), true);

        let blanked = blanker.failure(failure.with_details(json!(["hunter2-hunter2"])));

        assert_eq!(blanked.code.as_str(), FailureCode::INVALID);
        assert_eq!(blanked.message, "no [secret TOKEN]");
        assert!(blanked.retryable && !blanked.details.unwrap().text().contains("hunter2"));
    }
}
