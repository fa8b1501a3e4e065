//! Derives for stepcell-sdk.
