//! The cell: the only crate that knows wasmtime. Checks, compiles, caches and runs components within limits.
