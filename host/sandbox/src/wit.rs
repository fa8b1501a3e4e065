//! The contract as Rust, and the host's side of it: one file per interface.

mod config;
mod context;
mod log;
mod secrets;

pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "step-component",
        imports: { default: trappable },
        exports: { default: async },
    });

    /// The world of gateways; it shares everything but its export with that of steps.
    pub(crate) mod gateway {
        wasmtime::component::bindgen!({
            path: "../../wit",
            world: "gateway-component",
            imports: { default: trappable },
            exports: { default: async },
            with: {
                "stepcell:step/types": super::stepcell::step::types,
                "stepcell:step/context": super::stepcell::step::context,
                "stepcell:step/log": super::stepcell::step::log,
                "stepcell:step/config": super::stepcell::step::config,
                "stepcell:step/secrets": super::stepcell::step::secrets,
            },
        });
    }
}

/// What a step exports, and every later patch of it.
pub(crate) const STEP: &str = "stepcell:step/step@0.1.0";

/// What a gateway exports, and every later patch of it.
pub(crate) const GATEWAY: &str = "stepcell:step/gateway@0.1.0";
