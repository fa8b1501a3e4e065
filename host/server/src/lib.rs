//! The HTTP face of the engine: for now a health route.
