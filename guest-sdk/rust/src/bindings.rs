//! The contract as Rust: generated from the WIT package, for the SDK's own use.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "step-component",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "stepcell_sdk::bindings",
    additional_derives: [PartialEq],
});
