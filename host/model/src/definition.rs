//! What people write: documents with places, and how they are read.

pub mod document;
pub mod read;
