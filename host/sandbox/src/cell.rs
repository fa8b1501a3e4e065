//! What one attempt has of its host: its call, its staged writes, its log, its budgets, and a WASI without anything
//! behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use stepcell_model::attempt::{AttemptTrace, Receipt, StepCall, Wanted};
use stepcell_model::grants::{ClockGrant, RandomnessGrant};
use stepcell_model::name::SecretName;
use stepcell_model::staged::Staged;
use stepcell_outbound::Outbound;
use wasmtime::Engine;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::blank::Blanker;
use crate::clock::FrozenClock;
use crate::config::Walls;
use crate::denials::Denials;
use crate::http::HttpState;
use crate::limits::CellLimiter;
use crate::log::{AttemptLog, LogLimits, Stream};
use crate::meter::Meter;
use crate::random::SeededRandom;
use crate::stdio::LogStream;
use crate::trap::Breach;

/// What cells are made with.
#[derive(Clone)]
pub(crate) struct CellHost {
    pub(crate) engine: Engine,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) walls: Walls,
}

/// What one attempt has of its host. Dropped with it.
pub(crate) struct Cell {
    call: Box<StepCall>,
    staged: Staged,
    log: AttemptLog,
    limiter: CellLimiter,
    meter: Arc<Meter>,
    host_calls: u64,
    bytes_given: u64,
    denials: Denials,
    secrets_read: BTreeSet<SecretName>,
    blanker: Blanker,
    wasi: Option<WasiCtx>,
    outbound: Arc<dyn Outbound>,
    http: Option<HttpState>,
    resources: ResourceTable,
}

impl Cell {
    pub(crate) fn new(call: Box<StepCall>, outbound: Arc<dyn Outbound>) -> Self {
        let mut resources = ResourceTable::new();
        let limits = &call.limits;
        resources.set_max_capacity(limits.handles_max as usize);
        let blanker = Blanker::of(&call.secrets);
        Self {
            staged: Staged::new(Arc::clone(&call.context)).with_value_limit(limits.context_value_bytes_max),
            limiter: CellLimiter::new(limits),
            log: AttemptLog::new(LogLimits::of(limits), blanker.clone()),
            meter: Arc::default(),
            host_calls: 0,
            bytes_given: call.input.len_bytes() as u64,
            denials: Denials::default(),
            secrets_read: BTreeSet::new(),
            blanker,
            wasi: None,
            outbound,
            http: None,
            resources,
            call,
        }
    }

    pub(crate) fn call(&self) -> &StepCall {
        &self.call
    }

    pub(crate) const fn staged(&self) -> &Staged {
        &self.staged
    }

    pub(crate) const fn staged_mut(&mut self) -> &mut Staged {
        &mut self.staged
    }

    pub(crate) const fn log(&self) -> &AttemptLog {
        &self.log
    }

    /// What must not be told.
    pub(crate) const fn blanker(&self) -> &Blanker {
        &self.blanker
    }

    /// Notes that the guest wanted what it is not granted.
    pub(crate) fn deny(&mut self, wanted: Wanted, name: &str) {
        self.denials.note(wanted, &self.blanker.text(name));
    }

    /// Notes that the guest was told a secret.
    pub(crate) fn note_secret(&mut self, name: &SecretName) {
        if !self.secrets_read.contains(name) {
            self.secrets_read.insert(name.clone());
        }
    }

    pub(crate) const fn limiter(&self) -> &CellLimiter {
        &self.limiter
    }

    pub(crate) const fn limiter_mut(&mut self) -> &mut CellLimiter {
        &mut self.limiter
    }

    pub(crate) const fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Counts a call of a host function.
    ///
    /// # Errors
    /// [`Breach::HostCalls`], which ends the attempt, once the budget is used up.
    pub(crate) fn count_host_call(&mut self) -> Result<(), Breach> {
        self.host_calls += 1;
        self.check_host_calls()
    }

    fn check_host_calls(&self) -> Result<(), Breach> {
        if self.host_calls > self.call.limits.host_calls_max.into() { Err(Breach::HostCalls) } else { Ok(()) }
    }

    /// Counts what is handed to the guest.
    pub(crate) fn give(&mut self, value: Option<String>) -> Option<String> {
        self.count_given(value.as_ref().map_or(0, |value| value.len() as u64));
        value
    }

    /// Counts bytes that are handed to the guest.
    pub(crate) const fn count_given(&mut self, bytes: u64) {
        self.bytes_given += bytes;
    }

    /// What the look at each epoch finds.
    ///
    /// # Errors
    /// The [`Breach`] that ends the attempt.
    pub(crate) fn check_at_epoch(&self) -> Result<(), Breach> {
        if self.meter.used_now() > self.call.limits.cpu_max {
            return Err(Breach::Cpu);
        }
        // WASI's functions count their calls and can not refuse one themselves.
        self.check_host_calls()
    }

    /// What the attempt cost so far and what it said; empties the log.
    pub(crate) fn trace(&self, wall_us: u64, output_bytes: usize) -> AttemptTrace {
        let (log, log_lines_dropped) = self.log.finish();
        let receipt = Receipt {
            cpu_us: u64::try_from(self.meter.used().as_micros()).unwrap_or(u64::MAX),
            wall_us,
            memory_bytes_peak: self.limiter.memory_bytes_peak(),
            host_calls: self.host_calls,
            bytes_in: self.bytes_given + self.http.as_ref().map_or(0, HttpState::bytes_in),
            bytes_out: (output_bytes + self.staged.written_bytes()) as u64
                + self.http.as_ref().map_or(0, HttpState::bytes_out),
            guest_us: u64::try_from(self.meter.guest_wall().as_micros()).unwrap_or(u64::MAX),
            denials: self.denials.count(),
            http_requests: self.http.as_ref().map_or(0, HttpState::requests),
        };
        AttemptTrace {
            receipt,
            log,
            log_lines_dropped,
            denials: self.denials.kept(),
            secrets_read: self.secrets_read.iter().cloned().collect(),
            ..AttemptTrace::default()
        }
    }
}

impl WasiView for Cell {
    /// Most steps call nothing of WASI, so its context is made at the first call.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.host_calls += 1;
        let ctx = self.wasi.get_or_insert_with(|| empty_wasi(&self.call, &self.log));
        WasiCtxView { ctx, table: &mut self.resources }
    }
}

impl WasiHttpView for Cell {
    /// As with the rest of WASI, made at the first call.
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.host_calls += 1;
        let http = self.http.get_or_insert_with(|| {
            HttpState::new(&self.call, Arc::clone(&self.outbound), self.denials.clone(), self.blanker.clone())
        });
        http.view(&mut self.resources)
    }
}

/// A WASI context with nothing behind it: no files, no environment, no arguments, no network, no input. Clocks and
/// randomness are the host's own stand-ins unless the real ones are granted.
fn empty_wasi(call: &StepCall, log: &AttemptLog) -> WasiCtx {
    let execution = call.info.execution;
    let mut wasi = WasiCtx::builder();
    wasi.stdout(LogStream::new(log.clone(), Stream::Output))
        .stderr(LogStream::new(log.clone(), Stream::Error))
        .max_random_size(call.limits.random_bytes_max)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    if call.grants.clock() == ClockGrant::Frozen {
        let clock = FrozenClock::at(call.info.execution_started_at);
        wasi.wall_clock(clock).monotonic_clock(clock);
    }
    if call.grants.randomness() == RandomnessGrant::Seeded {
        wasi.secure_random(SeededRandom::secure(execution))
            .insecure_random(SeededRandom::insecure(execution))
            .insecure_random_seed(SeededRandom::insecure(execution).draw_u128());
    }
    wasi.build()
}
