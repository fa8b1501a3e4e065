//! The whole host with real components: from a definition to rows, through cells.

mod contained;
mod demo;
mod embedded;
mod examples;
mod exports;
mod first_step;
mod flow;
mod gateways;
mod hostile;
mod parts;
mod refused;
mod restart;
