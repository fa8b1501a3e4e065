//! JSON documents: a text that is taken is kept to the letter, and everything made of it agrees.

use serde_json::Value;
use stepcell_model::json::{JSON_DEPTH_MAX, Json};

use super::{assert_shown, depth};

/// One JSON document.
pub fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Json::parse(text.to_owned()) {
        Ok(json) => taken(text, &json),
        Err(error) => assert_shown(&error.to_string()),
    }
    // Rows of a store are not looked at again: whatever is in them reads as something.
    let trusted = Json::trusted(text.to_owned());
    let _ = (trusted.tree(), trusted.depth(), serde_json::to_string(&trusted).unwrap());
}

fn taken(text: &str, json: &Json) {
    assert_eq!((json.text(), json.to_string().as_str(), json.len_bytes()), (text, text, text.len()));
    assert!(depth(json.tree()) <= json.depth() && json.depth() <= JSON_DEPTH_MAX);
    let later = Json::trusted(text.to_owned());
    assert_eq!(later.tree(), json.tree(), "it reads the same from a store");
    assert_eq!(&later, json);

    let written = Json::from(json.tree().clone());
    assert_eq!(&Json::parse(written.text().to_owned()).unwrap(), json, "a tree that is written reads as itself");
    assert_eq!(Json::parse(written.text().to_owned()).unwrap().text(), written.text());

    let inside = serde_json::to_string(&[json]).unwrap();
    assert_eq!(
        inside,
        format!("[{}]", text.trim_matches([' ', '\t', '\n', '\r'])),
        "text stays as it is inside others"
    );
    let outside: Vec<Json> = serde_json::from_str(&inside).unwrap();
    assert_eq!(outside.as_slice(), std::slice::from_ref(json));
    assert_eq!(serde_json::from_str::<Value>(&inside).unwrap()[0], *json.tree());
}
