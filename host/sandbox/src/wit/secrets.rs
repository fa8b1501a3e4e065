//! `stepcell:step/secrets`: confidential settings, each granted by name.
//!
//! The answer is the same for one that is not granted whether or not it exists. Each that is told is noted by name, and
//! blanked out of what the step logs and fails with.

use stepcell_model::attempt::Wanted;
use stepcell_model::secret::SecretText;

use crate::cell::Cell;
use crate::wit::bindings::stepcell::step::secrets::{Host, SecretError};

impl Host for Cell {
    fn get(&mut self, name: String) -> wasmtime::Result<Result<String, SecretError>> {
        self.count_host_call()?;
        let granted = self.call().secrets.get_key_value(name.as_str());
        let Some((name, value)) = granted.map(|(name, value)| (name.clone(), value.clone())) else {
            self.deny(Wanted::Secret, &name);
            return Ok(Err(SecretError::NotGranted));
        };
        self.note_secret(&name);
        let value = value.as_ref().map(SecretText::expose).map(str::to_owned);
        Ok(self.give(value).ok_or(SecretError::NoValue))
    }
}
