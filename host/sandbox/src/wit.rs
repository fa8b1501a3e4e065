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
}

/// The text of the contract, which components are held against.
pub(crate) const CONTRACT: &str = include_str!("../../../wit/step.wit");
