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

/// The world of gateways; it shares everything but its export with that of steps.
pub mod gateway {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "gateway-component",
        with: {
            "stepcell:step/types@0.1.0": crate::bindings::stepcell::step::types,
            "stepcell:step/context@0.1.0": crate::bindings::stepcell::step::context,
            "stepcell:step/log@0.1.0": crate::bindings::stepcell::step::log,
            "stepcell:step/config@0.1.0": crate::bindings::stepcell::step::config,
            "stepcell:step/secrets@0.1.0": crate::bindings::stepcell::step::secrets,
        },
        pub_export_macro: true,
        export_macro_name: "export_gateway_component",
        default_bindings_module: "stepcell_sdk::bindings::gateway",
    });
}

/// What sends HTTP requests. Apart from the contract, so that a step that sends none imports nothing of it.
pub mod http {
    wit_bindgen::generate!({
        path: "wit",
        world: "http-client",
        generate_all,
    });
}
