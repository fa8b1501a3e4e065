//! How a gateway is asked: a fresh cell, `evaluate`, and a report of it. It never may write.

use std::sync::Arc;

use stepcell_model::attempt::{AttemptOutcome, AttemptReport, StepCall};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::json::Json;
use stepcell_model::name::StepName;

use super::Attempt;
use crate::budget::{GATEWAY_NAMES_BYTES_MAX, GATEWAY_NAMES_MAX};
use crate::cell::{Cell, CellHost};
use crate::wit::bindings::gateway::GatewayComponentPre;

/// Asks a gateway once which of `targets` to follow. Its output is the list of names as they came, strangers and
/// repetitions included.
pub(crate) async fn run_gateway(
    host: &CellHost,
    gateway: &GatewayComponentPre<Cell>,
    call: Box<StepCall>,
    targets: &[StepName],
) -> AttemptReport {
    let mut attempt = Attempt::begin(host, call);
    let outcome = match attempt.evaluate(gateway, targets).await {
        Ok(names) => AttemptOutcome::Succeeded(names),
        Err(failure) => AttemptOutcome::Failed(failure),
    };
    attempt.report(outcome, None)
}

impl Attempt {
    async fn evaluate(&mut self, gateway: &GatewayComponentPre<Cell>, targets: &[StepName]) -> Result<Json, Failure> {
        let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
        let store = &mut self.store;
        store.data_mut().count_given(bytes_of(&targets));
        let input = store.data().call().input.text().to_owned();
        let meter = Arc::clone(store.data().meter());
        let guest = async {
            let component = gateway.instantiate_async(&mut *store).await?;
            component.stepcell_step_gateway().call_evaluate(&mut *store, &input, &targets).await
        };
        let ended = self.deadline.bound(meter.measure(guest)).await?;
        let names = ended.map_err(|error| self.explain(&error))?.map_err(|failure| self.told(failure))?;
        checked_names(names)
    }
}

fn checked_names(names: Vec<String>) -> Result<Json, Failure> {
    let bytes = bytes_of(&names);
    let too_large = |message: String| Failure::engine(EngineCode::Output, message);
    if names.len() > GATEWAY_NAMES_MAX {
        let message = format!("The gateway named {} steps, and may name {GATEWAY_NAMES_MAX}.", names.len());
        return Err(too_large(message));
    }
    if bytes > GATEWAY_NAMES_BYTES_MAX as u64 {
        let message =
            format!("The names that the gateway gave have {bytes} bytes, and may have {GATEWAY_NAMES_BYTES_MAX}.");
        return Err(too_large(message));
    }
    Ok(serde_json::Value::from(names).into())
}

fn bytes_of(names: &[String]) -> u64 {
    names.iter().map(|name| name.len() as u64).sum()
}
