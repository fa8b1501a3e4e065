//! `stepcell:step/config`: settings that the definition gives the step.

use crate::cell::Cell;
use crate::wit::bindings::stepcell::step::config::Host;

impl Host for Cell {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        let value = self.call().config.get(&key).map(|value| value.text().to_owned());
        Ok(self.give(value))
    }
}
