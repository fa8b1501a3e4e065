//! Points in time, durations and sizes, as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest duration that a definition may name: 100 years.
pub const DURATION_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// A point in time in UTC, to the millisecond. Printed as RFC 3339, such as `2026-01-31T09:30:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point that many milliseconds after the start of 1970.
    #[must_use]
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the start of 1970.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// The point `wait` later, or the last one there is.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long it is from `earlier` to this point; zero if that lies after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_millis())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::UNIX_EPOCH.checked_add_signed(TimeDelta::milliseconds(self.0)) {
            Some(time) => f.pad(&time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc().into()).map_err(|error| {
            let text = crate::problem::shorten(&text, 80);
            serde::de::Error::custom(format!("`{text}` is no RFC 3339 time such as `2026-12-24T18:00:00Z`: {error}"))
        })
    }
}

/// A span of time as definitions write it: `500ms`, `5s`, `10m`, `2h`, `2d`, or ISO 8601 such as `PT1H30M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String", description = "A duration: `500ms`, `5s`, `10m`, `2h`, `2d`, or ISO 8601 as in `PT1H30M`.")]
pub struct Span(Duration);

impl Span {
    /// The span of that length.
    #[must_use]
    pub const fn new(length: Duration) -> Self {
        Self(length)
    }

    /// The length.
    #[must_use]
    pub const fn length(self) -> Duration {
        self.0
    }
}

/// A text is no duration; says what one looks like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no duration; write `500ms`, `5s`, `10m`, `2h`, `2d`, or ISO 8601 as in `PT1H30M`, up to 100 years")]
pub struct MalformedSpan(String);

impl FromStr for Span {
    type Err = MalformedSpan;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_short(text)
            .or_else(|| parse_iso(text))
            .filter(|length| *length <= DURATION_MAX)
            .map(Self)
            .ok_or_else(|| MalformedSpan(text.chars().take(80).collect()))
    }
}

/// Reads one number and one unit, such as `1.5s`.
fn parse_short(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    duration_of(number, unit_ms(unit)?)
}

const fn unit_ms(unit: &str) -> Option<f64> {
    match unit.as_bytes() {
        b"ms" => Some(1.0),
        b"s" => Some(1e3),
        b"m" => Some(6e4),
        b"h" => Some(3.6e6),
        b"d" => Some(8.64e7),
        b"w" => Some(6.048e8),
        _ => None,
    }
}

fn duration_of(number: &str, unit_ms: f64) -> Option<Duration> {
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let ms = number.parse::<f64>().ok()? * unit_ms;
    Duration::try_from_secs_f64(ms / 1e3).ok()
}

/// Reads `P[nW][nD][T[nH][nM][nS]]`. Years and months have no fixed length, so they are refused.
fn parse_iso(text: &str) -> Option<Duration> {
    let (date, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((date, time)) if !time.is_empty() => (date, time),
        Some(_) => return None,
        None => (text.strip_prefix('P')?, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let days = parse_designators(date, &[('W', 6.048e8), ('D', 8.64e7)])?;
    let clock = parse_designators(time, &[('H', 3.6e6), ('M', 6e4), ('S', 1e3)])?;
    days.checked_add(clock)
}

fn parse_designators(mut text: &str, designators: &[(char, f64)]) -> Option<Duration> {
    let mut total = Duration::ZERO;
    for &(designator, unit_ms) in designators {
        if let Some((number, rest)) = text.split_once(designator) {
            total = total.checked_add(duration_of(number, unit_ms)?)?;
            text = rest;
        }
    }
    text.is_empty().then_some(total)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        match ms {
            0 => write!(f, "0s"),
            _ if ms.is_multiple_of(86_400_000) => write!(f, "{}d", ms / 86_400_000),
            _ if ms.is_multiple_of(3_600_000) => write!(f, "{}h", ms / 3_600_000),
            _ if ms.is_multiple_of(60_000) => write!(f, "{}m", ms / 60_000),
            _ if ms.is_multiple_of(1_000) => write!(f, "{}s", ms / 1_000),
            _ => write!(f, "{ms}ms"),
        }
    }
}

/// A number of bytes as definitions write it: `64MiB`, `512KiB`, `1GiB`, or a plain number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String", description = "A size: `64MiB`, `512KiB`, `1GiB`, or `1000B`.")]
pub struct ByteSize(u64);

impl ByteSize {
    /// That many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// That many MiB.
    #[must_use]
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// A text is no size; says what one looks like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size; write `64MiB`, `512KiB`, `1GiB` or `1000B`")]
pub struct MalformedSize(String);

impl FromStr for ByteSize {
    type Err = MalformedSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || MalformedSize(text.chars().take(80).collect());
        let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(malformed)?;
        let (number, unit) = text.split_at(split);
        let shift = match unit {
            "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return Err(malformed()),
        };
        let number = number.trim_end().parse::<u64>().map_err(|_| malformed())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(malformed)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes != 0 && bytes.is_multiple_of(1 << 30) => write!(f, "{}GiB", bytes >> 30),
            bytes if bytes != 0 && bytes.is_multiple_of(1 << 20) => write!(f, "{}MiB", bytes >> 20),
            bytes if bytes != 0 && bytes.is_multiple_of(1 << 10) => write!(f, "{}KiB", bytes >> 10),
            bytes => write!(f, "{bytes}B"),
        }
    }
}

/// Reads and writes a type as the text that it parses and prints.
macro_rules! serde_as_text {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use serde_as_text;

serde_as_text!(Span);
serde_as_text!(ByteSize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_both_notations() {
        for (text, ms) in [
            ("500ms", 500),
            ("0s", 0),
            ("1.5s", 1_500),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("2d", 172_800_000),
            ("PT1H30M", 5_400_000),
            ("P1D", 86_400_000),
            ("P1DT0.5S", 86_400_500),
        ] {
            assert_eq!(text.parse::<Span>().map(Span::length), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "5", "s", "-5s", "5 s", "5x", "P", "PT", "P1Y", "PT1M1H", "1e400s", "99999999999d", "∞s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_printed_alike() {
        for text in ["64MiB", "512KiB", "1GiB", "1000B", "0B"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        for text in ["", "64", "64MB", "-1B", "99999999999999GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_prints_as_rfc_3339_and_reads_back() {
        let time = Timestamp::from_unix_ms(1_769_851_800_000);

        assert_eq!(time.to_string(), "2026-01-31T09:30:00.000Z");
        assert_eq!(serde_json::from_value::<Timestamp>(serde_json::json!("2026-01-31T10:30:00+01:00")).unwrap(), time);
    }
}
