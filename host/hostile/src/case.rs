//! One attack: what it tries, how it is made, and what must come of it.

use std::fmt;
use std::time::Duration;

use stepcell_model::definition::{ComponentRef, GatewayStep, MachineStep, RetryPolicy, StepDefinition};
use stepcell_model::limits::StepLimits;
use stepcell_model::time::{ByteSize, Span};

/// One hostile component, and what must stop it.
#[derive(Clone, Copy, Debug)]
pub struct HostileCase {
    /// What it goes by: lower case and hyphens, its own among all.
    pub name: &'static str,
    /// What kind of attack it is.
    pub group: AttackGroup,
    /// What it tries, as one sentence.
    pub tries: &'static str,
    /// Makes the component.
    pub make: fn() -> Vec<u8>,
    /// What must come of it.
    pub expects: Expected,
    /// What it is used as.
    pub role: Role,
    limits: CaseLimits,
}

/// What kind of attack it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttackGroup {
    /// Computes for ever, in any function that the host calls.
    Loops,
    /// Takes memory, table entries and stack.
    Memory,
    /// Calls the host without end.
    Calls,
    /// Says more than anybody wants to keep.
    Logs,
    /// Takes handles of the host's resources, and misuses them.
    Handles,
    /// Sleeps and polls without end.
    Waits,
    /// Traps and exits, wherever it can.
    Traps,
    /// Hands pointers, lengths and texts to the host that are none.
    Lies,
    /// Returns what is no JSON, or no JSON that anybody wants.
    Output,
    /// Writes what no context should hold.
    Context,
    /// Fails with what no failure should hold.
    Failures,
    /// Looks for whatever it was not granted.
    Probes,
    /// Sends requests to where no step may reach.
    Requests,
    /// Costs more to compile than to run.
    Compile,
    /// Is no component, or no step.
    Damaged,
}

/// What a component is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A step.
    Step,
    /// A gateway.
    Gateway,
}

/// What must come of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It is not let in, for one of these reasons.
    Refused(&'static [&'static str]),
    /// It is not let in for one of these reasons, or runs and gains nothing: what it costs depends on the machine.
    RefusedOrHarmless(&'static [&'static str]),
    /// Its attempt fails with this code.
    Failed(&'static str),
    /// `on-success` or `on-failure` fails with this code, and the outcome stands.
    HookFailed(&'static str),
    /// It succeeds and has gained nothing; where it can tell that it has, it traps.
    Harmless,
    /// It succeeds and has gained nothing, and a denial is recorded.
    Denied,
    /// It succeeds, and at least so many lines of its log are dropped.
    LinesDropped(u32),
}

/// What of the host's limits a case lowers or raises, so that the whole set is quick and ends the same everywhere.
#[derive(Clone, Copy, Debug, Default)]
struct CaseLimits {
    cpu_ms: Option<u64>,
    wall_ms: Option<u64>,
    memory_mib: Option<u64>,
}

impl HostileCase {
    /// An attack by a step, within the host's own limits.
    pub(crate) const fn step(
        group: AttackGroup,
        name: &'static str,
        tries: &'static str,
        make: fn() -> Vec<u8>,
        expects: Expected,
    ) -> Self {
        let limits = CaseLimits { cpu_ms: None, wall_ms: None, memory_mib: None };
        Self { name, group, tries, make, expects, role: Role::Step, limits }
    }

    /// The same attack by a gateway.
    pub(crate) const fn as_gateway(self) -> Self {
        Self { role: Role::Gateway, ..self }
    }

    /// The same attack, with so much time on a CPU.
    pub(crate) const fn cpu_ms(self, cpu_ms: u64) -> Self {
        Self { limits: CaseLimits { cpu_ms: Some(cpu_ms), ..self.limits }, ..self }
    }

    /// The same attack, with so much time on the wall.
    pub(crate) const fn wall_ms(self, wall_ms: u64) -> Self {
        Self { limits: CaseLimits { wall_ms: Some(wall_ms), ..self.limits }, ..self }
    }

    /// The same attack, with so much memory.
    pub(crate) const fn memory_mib(self, memory_mib: u64) -> Self {
        Self { limits: CaseLimits { memory_mib: Some(memory_mib), ..self.limits }, ..self }
    }

    /// The step of a definition that lets the component attack, once.
    #[must_use]
    pub fn definition(&self, component: ComponentRef) -> StepDefinition {
        let (retry, limits) = (RetryPolicy::never(), self.limits.of_step());
        match self.role {
            Role::Step => MachineStep { retry, limits, ..MachineStep::new(component) }.into(),
            Role::Gateway => GatewayStep { retry, limits, ..GatewayStep::of_component(component) }.into(),
        }
    }
}

impl CaseLimits {
    fn of_step(self) -> StepLimits {
        let span = |ms| Span::new(Duration::from_millis(ms));
        StepLimits {
            memory: self.memory_mib.map(ByteSize::from_mib),
            cpu: self.cpu_ms.map(span),
            wall: self.wall_ms.map(span),
            ..StepLimits::default()
        }
    }
}

impl fmt::Display for AttackGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Loops => "loops",
            Self::Memory => "memory",
            Self::Calls => "calls",
            Self::Logs => "logs",
            Self::Handles => "handles",
            Self::Waits => "waits",
            Self::Traps => "traps",
            Self::Lies => "lies",
            Self::Output => "output",
            Self::Context => "context",
            Self::Failures => "failures",
            Self::Probes => "probes",
            Self::Requests => "requests",
            Self::Compile => "compile",
            Self::Damaged => "damaged",
        })
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(codes) => write!(f, "refused: {}", codes.join(" or ")),
            Self::RefusedOrHarmless(codes) => write!(f, "refused: {}, or harmless", codes.join(" or ")),
            Self::Failed(code) => write!(f, "failed: {code}"),
            Self::HookFailed(code) => write!(f, "hook failed: {code}"),
            Self::Harmless => f.write_str("harmless"),
            Self::Denied => f.write_str("harmless, denied"),
            Self::LinesDropped(lines) => write!(f, "harmless, {lines} lines dropped"),
        }
    }
}
