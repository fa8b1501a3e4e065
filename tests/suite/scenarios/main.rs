//! The whole host with real components: from a definition to rows, through cells.

mod binary;
mod contained;
mod demo;
mod embedded;
mod examples;
mod exports;
mod first_step;
mod flow;
mod gateways;
mod operator;
mod parts;
mod refused;
mod restart;
mod secrets;
