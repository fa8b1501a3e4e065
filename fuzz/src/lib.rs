//! What must hold of whatever comes from outside, as the tests of the host have it, for as long as one likes.
//!
//! Nothing is here but the way there: the properties are `host/model/tests/fuzz/targets/` and
//! `host/admission/tests/fuzz/targets/`, so that a short run of them is part of every test. Seeds are beside them.

#[path = "../../host/model/tests/fuzz/targets/mod.rs"]
pub mod targets;

#[path = "../../host/admission/tests/fuzz/targets/mod.rs"]
pub mod components;
