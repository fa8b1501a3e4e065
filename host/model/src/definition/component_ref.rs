//! How a definition names a component.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use semver::Version;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::ComponentDigest;
use crate::name::ComponentName;

/// Which component a step runs. Resolved to a digest when its definition is registered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(
    with = "String",
    description = "`name@1.0.3`, `name@1` (the newest 1.x.y), `sha256:<hex>`, `./file.wasm`, or `host:name`."
)]
pub enum ComponentRef {
    /// One that is registered under a name.
    Registered {
        /// Its name.
        name: ComponentName,
        /// Which of its versions.
        version: VersionRequirement,
    },
    /// Exactly these bytes.
    Digest(ComponentDigest),
    /// A file, relative to the definition's own; whoever registers the definition reads it.
    File(String),
    /// A step that the program which embeds the engine has registered under this name; no component at all.
    Host(ComponentName),
}

/// How a text begins that names a step of the embedding program.
const HOST: &str = "host:";

impl ComponentRef {
    /// What stands for the bytes of a step of the embedding program, which has none: the digest of its name.
    #[must_use]
    pub fn host_digest(name: &ComponentName) -> ComponentDigest {
        ComponentDigest::of(format!("{HOST}{name}").as_bytes())
    }
}

/// Which version of a component or a workflow: all of it, or only its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(with = "String", description = "`1.0.3`, or a beginning such as `1` or `1.2`: the newest release of it.")]
pub enum VersionRequirement {
    /// Exactly this one.
    Exact(Version),
    /// The newest release that begins with these numbers.
    Newest {
        /// The first number.
        major: u64,
        /// The second one, if it matters.
        minor: Option<u64>,
    },
}

impl VersionRequirement {
    /// Whether `version` is one of those meant.
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        match self {
            Self::Exact(exact) => exact == version,
            Self::Newest { major, minor } => {
                version.pre.is_empty() && version.major == *major && minor.is_none_or(|minor| version.minor == minor)
            }
        }
    }
}

/// A text does not name a component; says how one is named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` names no component: {why}; write `name@1.0.3`, `name@1`, `sha256:<hex>`, `./file.wasm` or `host:name`"
)]
pub struct MalformedComponentRef {
    text: String,
    why: String,
}

impl FromStr for ComponentRef {
    type Err = MalformedComponentRef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = |why: String| MalformedComponentRef { text: text.chars().take(120).collect(), why };
        if text.starts_with("sha256:") {
            return text.parse().map(Self::Digest).map_err(|error| malformed(format!("{error}")));
        }
        if let Some(name) = text.strip_prefix(HOST) {
            return ComponentName::new(name).map(Self::Host).map_err(|error| malformed(error.to_string()));
        }
        if text.starts_with("./") || text.starts_with("../") || text.starts_with('/') || text.ends_with(".wasm") {
            return Ok(Self::File(text.to_owned()));
        }
        let (name, version) = text.split_once('@').ok_or_else(|| malformed("it has no version".to_owned()))?;
        let name = ComponentName::new(name).map_err(|error| malformed(error.to_string()))?;
        let version = version.parse().map_err(|()| malformed(format!("`{version}` is no version")))?;
        Ok(Self::Registered { name, version })
    }
}

impl FromStr for VersionRequirement {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Ok(version) = Version::parse(text) {
            return Ok(Self::Exact(version));
        }
        let number = |part: &str| match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => part.parse::<u64>().map_err(drop),
            false => Err(()),
        };
        match text.split_once('.') {
            None => Ok(Self::Newest { major: number(text)?, minor: None }),
            Some((major, minor)) => Ok(Self::Newest { major: number(major)?, minor: Some(number(minor)?) }),
        }
    }
}

impl Serialize for VersionRequirement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VersionRequirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(VersionVisitor)
    }
}

struct VersionVisitor;

impl Visitor<'_> for VersionVisitor {
    type Value = VersionRequirement;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a version in quotes, such as \"1.0.3\", or its beginning as in \"1\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<VersionRequirement, E> {
        text.parse()
            .map_err(|()| E::custom(format!("`{text}` is no version; write `1.0.3`, or its beginning as in `1`")))
    }
}

impl fmt::Display for VersionRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(version) => version.fmt(f),
            Self::Newest { major, minor: None } => write!(f, "{major}"),
            Self::Newest { major, minor: Some(minor) } => write!(f, "{major}.{minor}"),
        }
    }
}

impl fmt::Display for ComponentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { name, version } => write!(f, "{name}@{version}"),
            Self::Digest(digest) => digest.fmt(f),
            Self::File(path) => f.write_str(path),
            Self::Host(name) => write!(f, "{HOST}{name}"),
        }
    }
}

impl Serialize for ComponentRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ComponentRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_named_by_version_digest_file_or_host_step_and_prints_alike() {
        let digest = ComponentDigest::of(b"x").to_string();
        let texts = [
            "acme/pay@1.0.3",
            "acme/pay@1",
            "acme/pay@1.2",
            digest.as_str(),
            "./pay.wasm",
            "steps/pay.wasm",
            "host:acme/pay",
        ];
        for text in texts {
            assert_eq!(text.parse::<ComponentRef>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_names_no_component_is_refused_with_the_reason() {
        for text in ["", "pay", "pay@", "pay@x", "@1", "pay@1.+2", "sha256:12", "pay@1.2.3.4", "host:", "host:1"] {
            assert!(text.parse::<ComponentRef>().is_err(), "{text}");
        }
        let error = "acme/pay".parse::<ComponentRef>().unwrap_err();
        insta::assert_snapshot!(error, @"`acme/pay` names no component: it has no version; write `name@1.0.3`, `name@1`, `sha256:<hex>`, `./file.wasm` or `host:name`");
    }

    #[test]
    fn a_short_version_takes_releases_only() {
        let newest_1: VersionRequirement = "1".parse().unwrap();

        assert!(newest_1.matches(&Version::new(1, 9, 0)));
        assert!(!newest_1.matches(&Version::new(2, 0, 0)));
        assert!(!newest_1.matches(&Version::parse("1.9.0-rc.1").unwrap()));
    }
}
