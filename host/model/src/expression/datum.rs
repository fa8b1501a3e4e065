//! A value while an expression is evaluated: borrowed from the scope as long as it can be.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::InstanceFacts;
use super::lower::INSTANCE_FIELDS;
use crate::attempt::ContextData;
use crate::problem::shorten;

/// A value. Doubles are finite.
#[derive(Clone, Debug)]
pub(super) enum Datum<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Cow<'a, str>),
    List(Cow<'a, [Value]>),
    Object(Cow<'a, Map<String, Value>>),
    /// The context or the metadata, not yet turned into one object.
    Data(&'a ContextData),
    Facts(&'a InstanceFacts),
}

impl<'a> Datum<'a> {
    pub(super) fn borrowed(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::number(number),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(items) => Self::List(Cow::Borrowed(items)),
            Value::Object(entries) => Self::Object(Cow::Borrowed(entries)),
        }
    }

    pub(super) fn owned(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::number(&number),
            Value::String(text) => Self::Text(Cow::Owned(text)),
            Value::Array(items) => Self::List(Cow::Owned(items)),
            Value::Object(entries) => Self::Object(Cow::Owned(entries)),
        }
    }

    /// The same value, borrowed from this one.
    pub(super) fn reborrowed(&self) -> Datum<'_> {
        match self {
            Self::Null => Datum::Null,
            Self::Bool(value) => Datum::Bool(*value),
            Self::Int(value) => Datum::Int(*value),
            Self::Double(value) => Datum::Double(*value),
            Self::Text(text) => Datum::Text(Cow::Borrowed(text)),
            Self::List(items) => Datum::List(Cow::Borrowed(items)),
            Self::Object(entries) => Datum::Object(Cow::Borrowed(entries)),
            Self::Data(data) => Datum::Data(data),
            Self::Facts(facts) => Datum::Facts(facts),
        }
    }

    fn number(number: &Number) -> Self {
        match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Self::Int(int),
            (None, Some(double)) if double.is_finite() => Self::Double(double),
            (None, _) => Self::Null,
        }
    }

    /// Takes what stands under a key of an object; an error if this is none.
    pub(super) fn member(self, key: &str) -> Result<Option<Self>, String> {
        match self {
            Self::Object(Cow::Borrowed(entries)) => Ok(entries.get(key).map(Self::borrowed)),
            Self::Object(Cow::Owned(mut entries)) => Ok(entries.swap_remove(key).map(Self::owned)),
            Self::Data(data) => Ok(data.get(key).map(|json| Self::borrowed(json.tree()))),
            Self::Facts(facts) => Ok(fact(facts, key)),
            other => Err(format!("`{}` can not be read of {}", shorten(key, 40), other.describe())),
        }
    }

    /// Takes an item of a list.
    pub(super) fn item(self, index: i64) -> Result<Self, String> {
        let Self::List(items) = self else {
            return Err(format!("[{index}] can not be read of {}", self.describe()));
        };
        let len = items.len();
        let index = usize::try_from(index).ok().filter(|index| *index < len);
        let index =
            index.ok_or_else(|| format!("the list has {len} items, and the index is not one of 0 to {len} - 1"))?;
        Ok(match items {
            Cow::Borrowed(items) => Self::borrowed(&items[index]),
            Cow::Owned(mut items) => Self::owned(items.swap_remove(index)),
        })
    }

    /// Says what this is, in a few words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => format!("the number {value}"),
            Self::Double(value) => format!("the number {value:?}"),
            Self::Text(text) => format!("the string {:?}", shorten(text, 40)),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Object(_) | Self::Data(_) | Self::Facts(_) => "an object".to_owned(),
        }
    }

    /// Orders two values, if they have an order.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::Double(left), Self::Double(right)) => left.partial_cmp(right),
            (Self::Int(left), Self::Double(right)) => Some(order_mixed(*left, *right)),
            (Self::Double(left), Self::Int(right)) => Some(order_mixed(*right, *left).reverse()),
            (Self::Text(left), Self::Text(right)) => Some(left.as_ref().cmp(right.as_ref())),
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }
}

fn fact<'a>(facts: &'a InstanceFacts, key: &str) -> Option<Datum<'a>> {
    let text = match key {
        "id" => Some(&facts.id),
        "workflow_name" => Some(&facts.workflow_name),
        "workflow_version" => Some(&facts.workflow_version),
        "tenant" => facts.tenant.as_ref(),
        "user" => facts.user.as_ref(),
        _ => return None,
    };
    Some(text.map_or(Datum::Null, |text| Datum::Text(Cow::Borrowed(text))))
}

/// The facts as an object.
pub(super) fn facts_object(facts: &InstanceFacts) -> Map<String, Value> {
    let entry = |name: &str| match fact(facts, name) {
        Some(Datum::Text(text)) => (name.to_owned(), Value::String(text.into_owned())),
        _ => (name.to_owned(), Value::Null),
    };
    INSTANCE_FIELDS.into_iter().map(entry).collect()
}

/// Orders a whole number and a finite other one exactly: above 2^53 a conversion would lose digits.
fn order_mixed(int: i64, double: f64) -> Ordering {
    /// 2^63: the first double above every `i64`.
    const ABOVE: f64 = 9_223_372_036_854_775_808.0;
    if double >= ABOVE {
        return Ordering::Less;
    }
    if double < -ABOVE {
        return Ordering::Greater;
    }
    // In range, so the cast only drops the fraction.
    let whole = double.trunc();
    int.cmp(&(whole as i64)).then(0.0_f64.partial_cmp(&(double - whole)).unwrap_or(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_and_other_numbers_order_exactly() {
        for (int, double, order) in [
            (80, 85.5, Ordering::Less),
            (86, 85.5, Ordering::Greater),
            (-1, -1.5, Ordering::Greater),
            (-2, -1.5, Ordering::Less),
            (0, -0.0, Ordering::Equal),
            (i64::MAX, 9.3e18, Ordering::Less),
            (i64::MAX, 9_223_372_036_854_775_807.0, Ordering::Less),
            (i64::MIN, -9_223_372_036_854_775_808.0, Ordering::Equal),
            (i64::MIN, -1e300, Ordering::Greater),
            (9_007_199_254_740_993, 9_007_199_254_740_992.0, Ordering::Greater),
        ] {
            assert_eq!(order_mixed(int, double), order, "{int} and {double}");
        }
    }
}
