//! The numbers the README quotes.
