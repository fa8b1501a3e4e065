//! `stepcell:step/config`: settings that the definition gives the step.

use stepcell_model::attempt::Wanted;

use crate::cell::Cell;
use crate::wit::bindings::stepcell::step::config::Host;

impl Host for Cell {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        if self.call().config.contains_key(&key) && !self.call().grants.may_configure(&key) {
            self.deny(Wanted::Config, &key);
            return Ok(None);
        }
        let value = self.call().config.get(&key).map(|value| value.text().to_owned());
        Ok(self.give(value))
    }
}
