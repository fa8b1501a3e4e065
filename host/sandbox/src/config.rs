//! Every setting of wasmtime, in one place.
//!
//! Proposals that steps do not need are off. The pool is sized by the number of cells, and admission lets no more in
//! than that, because the pool's own limits are hard failures.

use std::path::PathBuf;
use std::thread::available_parallelism;

use stepcell_model::attempt::CellLimits;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy};

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
pub(crate) const TABLES_MAX: u32 = 32;

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
}

impl Default for SandboxConfig {
    /// Sixteen cells for each processor, no cache.
    fn default() -> Self {
        let cpus = available_parallelism().map_or(2, usize::from);
        Self { cells: (cpus * CELLS_PER_CPU).min(CELLS_MAX), cache_dir: None }
    }
}

/// The only place where wasmtime is configured.
pub(crate) fn engine_config(cells: u32) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(cells)))
        .memory_reservation(MEMORY_RESERVED_BYTES)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .async_stack_zeroing(true)
        .epoch_interruption(true)
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
