//! Arithmetic, conversions and comparisons of several: checked, and never an infinity.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::datum::Datum;
use super::tree::{Binary, Function};

/// Calculates; two whole numbers stay whole.
pub(super) fn arithmetic(binary: Binary, left: &Datum<'_>, right: &Datum<'_>) -> Result<Datum<'static>, String> {
    match (left, right) {
        (Datum::Int(left), Datum::Int(right)) => whole(binary, *left, *right),
        (Datum::Int(left), Datum::Double(right)) => broken(binary, *left as f64, *right),
        (Datum::Double(left), Datum::Int(right)) => broken(binary, *left, *right as f64),
        (Datum::Double(left), Datum::Double(right)) => broken(binary, *left, *right),
        _ => {
            let takes = if binary == Binary::Add { "two numbers, two strings or two lists" } else { "two numbers" };
            Err(format!("`{}` takes {takes}, not {} and {}", binary.sign(), left.describe(), right.describe()))
        }
    }
}

fn whole(binary: Binary, left: i64, right: i64) -> Result<Datum<'static>, String> {
    let sign = binary.sign();
    let result = match binary {
        Binary::Divide | Binary::Remainder if right == 0 => return Err(format!("{left} {sign} 0 divides by zero")),
        Binary::Add => left.checked_add(right),
        Binary::Subtract => left.checked_sub(right),
        Binary::Multiply => left.checked_mul(right),
        Binary::Divide => left.checked_div(right),
        Binary::Remainder => left.checked_rem(right),
        _ => return Err(format!("`{sign}` does not calculate")),
    };
    result.map(Datum::Int).ok_or_else(|| format!("{left} {sign} {right} is too large for a whole number"))
}

fn broken(binary: Binary, left: f64, right: f64) -> Result<Datum<'static>, String> {
    let sign = binary.sign();
    let result = match binary {
        Binary::Divide if right == 0.0 => return Err(format!("{left:?} / 0 divides by zero")),
        Binary::Add => left + right,
        Binary::Subtract => left - right,
        Binary::Multiply => left * right,
        Binary::Divide => left / right,
        _ => return Err(format!("`{sign}` takes two whole numbers, not {left:?} and {right:?}")),
    };
    finite(result).ok_or_else(|| format!("{left:?} {sign} {right:?} is too large for a number"))
}

fn finite(value: f64) -> Option<Datum<'static>> {
    value.is_finite().then_some(Datum::Double(value))
}

pub(super) fn negate<'a>(datum: &Datum<'a>) -> Result<Datum<'a>, String> {
    match datum {
        Datum::Int(value) => {
            value.checked_neg().map(Datum::Int).ok_or_else(|| format!("-({value}) is too large for a whole number"))
        }
        Datum::Double(value) => Ok(Datum::Double(-value)),
        other => Err(format!("`-` takes a number, not {}", other.describe())),
    }
}

/// `int`, `double`, `string` and `bool`.
pub(super) fn convert<'a>(function: Function, of: &Datum<'a>) -> Result<Datum<'a>, String> {
    let converted = match (function, of) {
        (Function::Int, Datum::Int(value)) => Some(Datum::Int(*value)),
        (Function::Int, Datum::Double(value)) => truncate(*value).map(Datum::Int),
        (Function::Int, Datum::Text(text)) => text.parse().ok().map(Datum::Int),
        (Function::Double, Datum::Int(value)) => finite(*value as f64),
        (Function::Double, Datum::Double(value)) => finite(*value),
        (Function::Double, Datum::Text(text)) => text.parse().ok().and_then(finite),
        (Function::Text, Datum::Text(text)) => Some(Datum::Text(text.clone())),
        (Function::Text, Datum::Bool(value)) => Some(Datum::Text(Cow::Owned(value.to_string()))),
        (Function::Text, Datum::Int(value)) => Some(Datum::Text(Cow::Owned(value.to_string()))),
        (Function::Text, Datum::Double(value)) => Some(Datum::Text(Cow::Owned(value.to_string()))),
        (Function::Bool, Datum::Bool(value)) => Some(Datum::Bool(*value)),
        (Function::Bool, Datum::Text(text)) => text.parse().ok().map(Datum::Bool),
        _ => None,
    };
    converted.ok_or_else(|| does_not_take(function, std::slice::from_ref(of)))
}

/// Drops the fraction, if the rest fits.
fn truncate(value: f64) -> Option<i64> {
    /// 2^63: the first double above every `i64`.
    const ABOVE: f64 = 9_223_372_036_854_775_808.0;
    (-ABOVE..ABOVE).contains(&value).then_some(value as i64)
}

/// `min` and `max`: the first of the values that is before (after) all others.
pub(super) fn extreme<'a>(values: &[Datum<'a>], wanted: Ordering, function: Function) -> Result<Datum<'a>, String> {
    let mut best: Option<&Datum<'a>> = None;
    for value in values {
        match (best, value) {
            (None, Datum::Int(_) | Datum::Double(_)) => best = Some(value),
            (Some(so_far), Datum::Int(_) | Datum::Double(_)) => {
                if value.order(so_far) == Some(wanted) {
                    best = Some(value);
                }
            }
            (_, other) => return Err(does_not_take(function, std::slice::from_ref(other))),
        }
    }
    best.cloned().ok_or_else(|| format!("`{}` of nothing has no value", function.usage()))
}

pub(super) fn does_not_take(function: Function, values: &[Datum<'_>]) -> String {
    let values: Vec<String> = values.iter().map(Datum::describe).collect();
    format!("`{}` does not take {}", function.usage(), values.join(" and "))
}

/// How deep arrays and objects nest.
pub(super) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
