//! Every setting of wasmtime, in one place.
//!
//! Proposals that steps do not need are off. The pool is sized by the number of cells, and admission lets no more in
//! than that, because the pool's own limits are hard failures.

use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stepcell_model::attempt::CellLimits;
use stepcell_model::host_key::HostKey;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy};

use crate::child::ChildCommand;
use crate::error::SandboxError;

/// Cells per processor by default: enough that steps that wait leave work for those that compute.
const CELLS_PER_CPU: usize = 16;

/// The most cells that one sandbox may have. Protects the address space: a cell reserves 32 GiB of it.
pub(crate) const CELLS_MAX: usize = 1_000;

/// The wasm stack of a cell, in bytes. What is left of the fiber is for the host's own frames.
const WASM_STACK_BYTES: usize = 512 << 10;

/// The whole stack of a cell, in bytes.
const FIBER_STACK_BYTES: usize = 2 << 20;

/// How much of a used stack is zeroed and kept instead of given back to the kernel, in bytes.
const FIBER_STACK_KEPT_BYTES: usize = 64 << 10;

/// Address space for one linear memory, in bytes: with all that a 32-bit pointer can reach, no access needs a check.
const MEMORY_RESERVED_BYTES: u64 = 4 << 30;

/// How much of a used memory is cleared and kept instead of given back to the kernel, in bytes.
const MEMORY_KEPT_BYTES: usize = 4 << 20;

/// How much of a used table is cleared and kept instead of given back to the kernel, in bytes.
const TABLE_KEPT_BYTES: usize = 64 << 10;

/// The most core instances of one component. Protects the host's memory.
const CORE_INSTANCES_MAX: u32 = 256;

/// The most linear memories of one component. Protects the address space.
pub(crate) const MEMORIES_MAX: u32 = 8;

/// The most tables of one component. Protects the host's memory.
pub(crate) const TABLES_MAX: u32 = 128;

/// The most prepared components that are kept ready by default. Protects the host's memory.
const PREPARED_MAX: usize = 1_000;

/// The most code of prepared components that is kept ready by default, in bytes. Protects the host's memory.
const PREPARED_BYTES_MAX: u64 = 2 << 30;

/// The most compiled components that are kept on disk by default, in bytes. Protects the disk.
const CACHE_BYTES_MAX: u64 = 4 << 30;

/// How a sandbox is set up.
///
/// # Examples
/// ```
/// use stepcell_sandbox::SandboxConfig;
///
/// let config = SandboxConfig { cells: 4, ..SandboxConfig::default() };
/// assert!(config.cache_dir.is_none());
/// ```
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// How many attempts run at once; further ones wait. 1 to 1,000. Each cell reserves 32 GiB of address space,
    /// and memory only as steps use it.
    pub cells: usize,
    /// Where compiled components are kept between runs. Must be writable for the host's own user alone: what lies
    /// there is run as native code. Without it every component is compiled anew.
    pub cache_dir: Option<PathBuf>,
    /// The most bytes that lie there; what was not used for the longest time goes first.
    pub cache_bytes_max: u64,
    /// What compiled components are sealed with: no others are loaded. Without it a key is made that nobody else has,
    /// and what lies in the cache from before is compiled anew.
    pub host_key: Option<HostKey>,
    /// The most prepared components that are kept ready; what was not used for the longest time goes first, and is
    /// prepared again when it is needed. What is in use stays.
    pub prepared_max: usize,
    /// The most bytes of code of prepared components that are kept ready, likewise.
    pub prepared_bytes_max: u64,
    /// Where components are compiled.
    pub compiler: Compiler,
    /// Where attempts run.
    pub isolation: Isolation,
    /// What compiling one component in a child process may use up.
    pub compile_limits: CompileLimits,
    /// Walls to leave away, for measuring what they cost.
    #[doc(hidden)]
    pub walls: Walls,
}

/// Where components are compiled. What compiling costs is bounded in a child process alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Compiler {
    /// In a child process if this program has called [`child_main`](crate::child_main), else in its own.
    #[default]
    Any,
    /// In a child process with limits of its own, started like this.
    Child(ChildCommand),
    /// In this process: only for components that are trusted not to be made to be hard to compile.
    InProcess,
}

impl SandboxConfig {
    /// How a child that compiles is started, if one is to.
    pub(crate) fn compiler_command(&self) -> Option<ChildCommand> {
        match (&self.compiler, &self.isolation) {
            (Compiler::Child(command), _) | (Compiler::Any, Isolation::Process(command)) => Some(command.clone()),
            (Compiler::Any, Isolation::Thread) => ChildCommand::find_this_program(),
            (Compiler::InProcess, _) => None,
        }
    }
}

/// Where attempts run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// In cells of this process.
    #[default]
    Thread,
    /// In cells of child processes without files, network, keys or database, started like this. Whoever breaks out of
    /// a cell, or brings its process down, has cost one attempt. Components are compiled in such processes, too, unless
    /// another [`Compiler`] is set.
    Process(ChildCommand),
}

/// The least memory that a child can compile anything in, with its own code, in bytes of address space.
pub(crate) const COMPILE_MEMORY_BYTES_LEAST: u64 = 512 << 20;

/// What compiling one component in a child process may use up. A step in Python takes 22 s on a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Time on the wall.
    pub wall_max: Duration,
    /// Time on a processor, over all threads, in whole seconds from 1.
    pub cpu_s_max: u64,
    /// Address space, in bytes from 512 MiB; small components get less.
    pub memory_bytes_max: u64,
}

impl Default for CompileLimits {
    /// 90 s on the wall, 60 s on a processor, 2 GiB.
    fn default() -> Self {
        Self { wall_max: Duration::from_secs(90), cpu_s_max: 60, memory_bytes_max: 2 << 30 }
    }
}

impl CompileLimits {
    /// Refuses limits within which nothing can be compiled.
    pub(crate) fn check(&self) -> Result<(), SandboxError> {
        if self.cpu_s_max == 0 || self.memory_bytes_max < COMPILE_MEMORY_BYTES_LEAST || self.wall_max.is_zero() {
            return Err(SandboxError::CompileLimits { memory_bytes_least: COMPILE_MEMORY_BYTES_LEAST });
        }
        Ok(())
    }
}

/// Walls that a cell can be built without, to measure what each costs. Never where strangers' code runs.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// Interrupting guests that compute, which CPU limits need.
    pub epoch: Wall,
    /// Zeroing stacks between cells.
    pub stack_zeroing: Wall,
    /// Sealing compiled components on disk.
    pub seal: Wall,
    /// Counting memory and table entries over a whole cell.
    pub limiter: Wall,
    /// Turns between tenants for attempts that compute long.
    pub lanes: Wall,
}

/// Whether there is a wall.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wall {
    /// It stands.
    Up,
    /// It is left away.
    Down,
}

impl Default for Walls {
    /// All of them.
    fn default() -> Self {
        Self { epoch: Wall::Up, stack_zeroing: Wall::Up, seal: Wall::Up, limiter: Wall::Up, lanes: Wall::Up }
    }
}

impl Default for SandboxConfig {
    /// Sixteen cells for each processor, no cache.
    fn default() -> Self {
        let cpus = available_parallelism().map_or(2, usize::from);
        Self {
            cells: (cpus * CELLS_PER_CPU).min(CELLS_MAX),
            cache_dir: None,
            cache_bytes_max: CACHE_BYTES_MAX,
            host_key: None,
            prepared_max: PREPARED_MAX,
            prepared_bytes_max: PREPARED_BYTES_MAX,
            compiler: Compiler::default(),
            isolation: Isolation::default(),
            compile_limits: CompileLimits::default(),
            walls: Walls::default(),
        }
    }
}

/// What an engine is for. Each loads what any other of the same walls has compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineUse {
    /// Running that many cells at once, in the host's own process.
    Cells(u32),
    /// Running one cell at a time in a worker process, which has no files to look at its memory through.
    Worker,
    /// Compiling alone: nothing is reserved for cells.
    Compile,
}

/// The only place where wasmtime is configured.
pub(crate) fn engine_config(engine_use: EngineUse, walls: &Walls) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .allocation_strategy(allocation(engine_use))
        .memory_reservation(MEMORY_RESERVED_BYTES)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .async_stack_zeroing(walls.stack_zeroing == Wall::Up)
        .epoch_interruption(walls.epoch == Wall::Up)
        .concurrency_support(false)
        .wasm_backtrace_max_frames(None);
    turn_off_what_steps_do_not_need(&mut config);
    config
}

fn turn_off_what_steps_do_not_need(config: &mut Config) {
    config
        .gc_support(false)
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        .wasm_threads(false)
        .shared_memory(false)
        .wasm_memory64(false)
        .wasm_stack_switching(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .relaxed_simd_deterministic(true);
}

fn allocation(engine_use: EngineUse) -> InstanceAllocationStrategy {
    match engine_use {
        EngineUse::Cells(cells) => InstanceAllocationStrategy::Pooling(pool(cells)),
        EngineUse::Worker => {
            let mut pool = pool(1);
            pool.pagemap_scan(Enabled::No);
            InstanceAllocationStrategy::Pooling(pool)
        }
        EngineUse::Compile => InstanceAllocationStrategy::OnDemand,
    }
}

fn pool(cells: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    let memory_bytes_max = usize::try_from(CellLimits::TOP.memory_bytes_max).unwrap_or(usize::MAX);
    pool.total_component_instances(cells)
        .total_core_instances(cells.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(cells.saturating_mul(MEMORIES_MAX))
        .total_tables(cells.saturating_mul(TABLES_MAX))
        .total_stacks(cells)
        .total_gc_heaps(0)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_memories_per_module(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_tables_per_module(TABLES_MAX)
        .table_elements(CellLimits::TOP.table_entries_max as usize)
        .max_memory_size(memory_bytes_max)
        .max_unused_warm_slots(cells)
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(TABLE_KEPT_BYTES)
        .async_stack_keep_resident(FIBER_STACK_KEPT_BYTES)
        .pagemap_scan(Enabled::Auto);
    pool
}
