//! The same verbs through a server.

mod kit;
mod refusals;
mod verbs;
mod wire;
