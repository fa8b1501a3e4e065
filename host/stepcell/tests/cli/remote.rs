//! The same verbs through a server.

mod access;
mod catalog;
mod events;
mod kit;
mod refusals;
mod verbs;
mod webhooks;
mod wire;
