//! The manifest that the SDK puts inside a component: its name, version, summary and schemas.

use stepcell_model::json::Json;
use wasmparser::Payload;

use crate::refusal::{Refusal, excerpt};
use crate::structure::parser;

/// The custom section's name.
const SECTION: &str = "stepcell:manifest";

/// The largest manifest, in bytes. Protects the store.
const MANIFEST_BYTES_MAX: usize = 64 << 10;

/// Finds the manifest in a component or in the modules and components inside it; the first one counts.
///
/// # Errors
/// [`Refusal::Manifest`] if there is one that is no JSON object, or too large; [`Refusal::Unreadable`].
pub(crate) fn find(bytes: &[u8]) -> Result<Option<Json>, Refusal> {
    for payload in parser().parse_all(bytes) {
        let payload = payload.map_err(|error| Refusal::Unreadable { reason: excerpt(error.message()) })?;
        if let Payload::CustomSection(section) = payload
            && section.name() == SECTION
        {
            return parse(section.data()).map(Some).map_err(|reason| Refusal::Manifest { reason });
        }
    }
    Ok(None)
}

fn parse(data: &[u8]) -> Result<Json, String> {
    if data.len() > MANIFEST_BYTES_MAX {
        return Err(format!("has {} bytes, and may have {MANIFEST_BYTES_MAX}", data.len()));
    }
    let text = std::str::from_utf8(data).map_err(|_| "is no UTF-8".to_owned())?;
    let manifest =
        Json::parse(text.to_owned()).map_err(|error| format!("is no JSON: {}", excerpt(&error.to_string())))?;
    if manifest.tree().is_object() { Ok(manifest) } else { Err("is no JSON object".to_owned()) }
}
