//! Says hello.
