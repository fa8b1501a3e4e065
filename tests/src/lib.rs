//! Whole-host scenarios, fault tests and the test kit.
