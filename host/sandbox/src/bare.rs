//! The floor under an attempt: a store, an instance, two calls and the drop, in the same runtime with the same safety settings,
//! and nothing else of ours. Only benchmarks ask for it, to measure what the rest of an attempt costs.
//!
//! Deliberately not here: a call's input and output are text and stay it, nothing is written down, and nobody takes turns.

use std::sync::Arc;

use stepcell_model::attempt::CellLimits;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::budget::CALL_BYTES_MAX;
use crate::config::{EngineUse, Walls, engine_config};
use crate::epoch::{Running, Ticker};
use crate::limits::CellLimiter;
use crate::wit::bindings::StepComponentPre;

/// A component that is ready to be entered.
pub struct BareStep {
    engine: Engine,
    step: StepComponentPre<BareCell>,
    limits: CellLimits,
    // The epoch rises as it does while attempts run.
    _ticking: Running,
    _ticker: Arc<Ticker>,
}

/// What a cell has without a host behind it.
struct BareCell {
    limiter: CellLimiter,
    wasi: Option<WasiCtx>,
    resources: ResourceTable,
}

impl WasiView for BareCell {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| WasiCtx::builder().build());
        WasiCtxView { ctx, table: &mut self.resources }
    }
}

impl BareStep {
    /// Compiles a component in this process, for so many cells at once. What it imports beside WASI is not there: a call of
    /// it is a trap.
    ///
    /// # Errors
    /// What the runtime says.
    pub fn compile(bytes: &[u8], cells: u32) -> Result<Self, String> {
        Self::of(bytes, cells).map_err(|error| format!("{error:#}"))
    }

    fn of(bytes: &[u8], cells: u32) -> wasmtime::Result<Self> {
        let engine = Engine::new(&engine_config(EngineUse::Cells(cells), &Walls::default()))?;
        let component = Component::new(&engine, bytes)?;
        let mut linker = Linker::<BareCell>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        linker.define_unknown_imports_as_traps(&component)?;
        let step = StepComponentPre::new(linker.instantiate_pre(&component)?)?;
        let ticker = Arc::new(Ticker::start(engine.clone())?);
        let limits = CellLimits::default().within_top();
        Ok(Self { engine, step, limits, _ticking: ticker.keep_ticking(), _ticker: ticker })
    }

    /// Makes a store and an instance, asks `can-execute`, calls `execute`, and drops both.
    ///
    /// # Errors
    /// What the runtime says, or that the step failed.
    pub async fn enter(&self, input: &str) -> Result<String, String> {
        let output = self.two_calls(input).await.map_err(|error| format!("{error:#}"))?;
        output.ok_or_else(|| "the step did nothing, or failed".to_owned())
    }

    async fn two_calls(&self, input: &str) -> wasmtime::Result<Option<String>> {
        let input = input.to_owned();
        let mut store = self.new_store();
        let component = self.step.instantiate_async(&mut store).await?;
        let exports = component.stepcell_step_step();
        if !matches!(exports.call_can_execute(&mut store, &input).await?, Ok(true)) {
            return Ok(None);
        }
        Ok(exports.call_execute(&mut store, &input).await?.ok())
    }

    fn new_store(&self) -> Store<BareCell> {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(self.limits.handles_max as usize);
        let cell = BareCell { limiter: CellLimiter::new(&self.limits), wasi: None, resources };
        let mut store = Store::new(&self.engine, cell);
        store.limiter(|cell| &mut cell.limiter);
        store.set_hostcall_fuel(CALL_BYTES_MAX);
        store.set_max_component_handles(self.limits.handles_max as usize);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
        store
    }
}
