//! How much of the host a tenant may have.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::{UnknownWord, words};

words! {
    /// What a tenant may have only so much of.
    Quota {
        /// Instances that are not finished.
        OpenInstances = "open_instances",
        /// Starts of instances in a second, those by steps among them.
        StartsPerSecond = "starts_per_second",
        /// Bytes of what instances keep and of components.
        StoredBytes = "stored_bytes",
        /// Versions of components.
        Components = "components",
        /// Time on a CPU in a day of UTC, in milliseconds.
        CpuMsPerDay = "cpu_ms_per_day",
    }
}

/// How much of each a tenant may have; without a number, as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Instances that are not finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_instances: Option<u64>,
    /// Starts of instances in a second, those by steps among them; so many may come at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_per_second: Option<u64>,
    /// Bytes of what instances keep and of components.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<u64>,
    /// Versions of components.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<u64>,
    /// Time on a CPU in a day of UTC, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms_per_day: Option<u64>,
}

impl Quotas {
    /// How much of one there may be.
    #[must_use]
    pub const fn limit(&self, quota: Quota) -> Option<u64> {
        match quota {
            Quota::OpenInstances => self.open_instances,
            Quota::StartsPerSecond => self.starts_per_second,
            Quota::StoredBytes => self.stored_bytes,
            Quota::Components => self.components,
            Quota::CpuMsPerDay => self.cpu_ms_per_day,
        }
    }

    /// Says how much of one there may be.
    pub const fn set(&mut self, quota: Quota, limit: Option<u64>) {
        match quota {
            Quota::OpenInstances => self.open_instances = limit,
            Quota::StartsPerSecond => self.starts_per_second = limit,
            Quota::StoredBytes => self.stored_bytes = limit,
            Quota::Components => self.components = limit,
            Quota::CpuMsPerDay => self.cpu_ms_per_day = limit,
        }
    }

    /// Whether there is as much of everything as one likes.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_written_under_its_name_and_read_back() {
        for quota in Quota::ALL {
            let mut quotas = Quotas::default();
            quotas.set(*quota, Some(7));

            let text = serde_json::to_string(&quotas).unwrap();

            assert_eq!(text, format!(r#"{{"{quota}":7}}"#));
            assert_eq!(serde_json::from_str::<Quotas>(&text).unwrap(), quotas);
            assert_eq!(quotas.limit(*quota), Some(7));
            assert!(!quotas.is_unlimited());
        }
        assert!(serde_json::from_str::<Quotas>(r#"{"instances":1}"#).is_err());
    }
}
