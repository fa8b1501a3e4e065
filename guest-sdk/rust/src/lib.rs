//! Write a Stepcell step in Rust: a type, typed input and output, one export line.
