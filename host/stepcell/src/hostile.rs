//! A host under attack: every hostile component is let loose on it, and what stopped each is told.
//!
//! An attack goes the way that everything of a tenant goes: it is registered, started as a workflow of one step, and driven
//! by the host. What the tenant can see afterwards is searched for anything of the host, and then the same tenant runs a
//! step that harms nobody. Nothing here makes a host: whoever attacks says which, and so whose settings are tried.

mod evidence;
mod usage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use semver::Version;
use stepcell_engine::{EngineError, StartRequest};
use stepcell_hostile::well_behaved_step;
use stepcell_model::definition::{ComponentRef, MachineStep, WorkflowDefinition};
use stepcell_model::id::{ComponentDigest, InstanceId};
use stepcell_model::name::{ComponentName, TenantId};
use stepcell_model::problem::Problems;
use stepcell_model::status::WorkflowStatus;

pub use stepcell_hostile::{AttackGroup, Expected, HostileCase, Role, hostile_cases};

pub use self::usage::ProcessUsage;

use self::evidence::Evidence;
use crate::host::Host;

/// How long an attack may go on. One that nothing has stopped by then is not stopped by the host's limits.
const ATTACK_MAX: Duration = Duration::from_secs(120);

/// Whose components they are.
const TENANT: &str = "hostile";

/// What the step that harms nobody goes by.
const GOOD: &str = "hostile/good";

/// A host under attack.
#[derive(Debug)]
pub struct Siege<'a> {
    host: &'a Host,
    tenant: TenantId,
    good: ComponentDigest,
}

/// What came of one attack.
#[derive(Clone, Debug)]
pub struct AttackReport {
    /// The attack.
    pub case: &'static HostileCase,
    /// How it ended.
    pub ended: Ended,
    /// What is not as it should be; nothing, if the host held.
    pub problems: Vec<String>,
    /// How long it took to check and compile, up to a refusal.
    pub prepare: Duration,
    /// How long it took from its start to its end; nothing, where it was refused.
    pub run: Duration,
    /// The most memory that its cell had at once, in bytes.
    pub cell_bytes_peak: u64,
    /// By how much the whole process grew meanwhile, in bytes; none where the system does not tell.
    pub process_bytes_peak: Option<u64>,
}

/// How an attack ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was not let in, for this reason.
    Refused(String),
    /// Its attempt failed with this code.
    Failed(String),
    /// A hook of it failed with this code.
    HookFailed(String),
    /// It succeeded, and so many lines of its log were dropped.
    Succeeded(u32),
    /// It succeeded, once it was told that it may not have what it wanted.
    Denied,
    /// Nothing stopped it.
    Never,
}

impl AttackReport {
    /// Whether the host held.
    #[must_use]
    pub const fn is_contained(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Ended {
    /// What stopped it, as a code; none where it ended by itself or not at all.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&str> {
        match self {
            Self::Refused(code) | Self::Failed(code) | Self::HookFailed(code) => Some(code),
            Self::Denied => Some("denied"),
            Self::Succeeded(_) | Self::Never => None,
        }
    }

    /// Whether that is what must come of it.
    fn is(&self, expected: Expected) -> bool {
        match (expected, self) {
            (Expected::Refused(codes) | Expected::RefusedOrHarmless(codes), Self::Refused(code)) => {
                codes.contains(&code.as_str())
            }
            (Expected::Failed(wanted), Self::Failed(code)) | (Expected::HookFailed(wanted), Self::HookFailed(code)) => {
                code == wanted
            }
            (Expected::Harmless | Expected::RefusedOrHarmless(_), Self::Succeeded(_) | Self::Denied) => true,
            (Expected::Denied, Self::Denied) => true,
            (Expected::LinesDropped(least), Self::Succeeded(dropped)) => *dropped >= least,
            _ => false,
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(code) => write!(f, "refused: {code}"),
            Self::Failed(code) => write!(f, "failed: {code}"),
            Self::HookFailed(code) => write!(f, "hook failed: {code}"),
            Self::Denied => f.write_str("harmless, denied"),
            Self::Succeeded(0) => f.write_str("harmless"),
            Self::Succeeded(lines) => write!(f, "harmless, {lines} lines dropped"),
            Self::Never => f.write_str("not stopped"),
        }
    }
}

impl<'a> Siege<'a> {
    /// Registers the step that harms nobody, and sees that it runs.
    ///
    /// # Errors
    /// [`EngineError`] if the host can not even do that.
    pub async fn begin(host: &'a Host) -> Result<Self, EngineError> {
        let bytes = well_behaved_step();
        let good = ComponentDigest::of(&bytes);
        let siege = Self { host, tenant: name_of(TENANT), good };
        siege.register(GOOD, bytes.into()).await?;
        let step = MachineStep::new(ComponentRef::Digest(good));
        siege.define(WorkflowDefinition::builder(GOOD, "1.0.0").step("good", step).build()).await?;
        Ok(siege)
    }

    /// Whether the tenant's step that harms nobody still runs.
    ///
    /// # Errors
    /// [`EngineError`] if it can not be started.
    pub async fn good_step_works(&self) -> Result<bool, EngineError> {
        let id = self.start(GOOD).await?;
        let settled = tokio::time::timeout(ATTACK_MAX, self.host.engine().wait_until_settled(id)).await;
        Ok(matches!(settled, Ok(Ok(summary)) if summary.status == WorkflowStatus::Completed))
    }

    /// Attacks the host with one component, and then has the tenant run a step that harms nobody.
    ///
    /// # Errors
    /// [`EngineError`] if the host can not do its part, which no attack may bring about.
    pub async fn attack(&self, case: &'static HostileCase) -> Result<AttackReport, EngineError> {
        let bytes: Arc<[u8]> = (case.make)().into();
        let before = ProcessUsage::measure();
        ProcessUsage::forget_peak();
        let mut report = self.let_loose(case, bytes).await?;
        report.process_bytes_peak = before.grown_to(ProcessUsage::measure());
        if !self.good_step_works().await? {
            report.problems.push("the next step of the same tenant does not work".to_owned());
        }
        Ok(report)
    }

    async fn let_loose(&self, case: &'static HostileCase, bytes: Arc<[u8]>) -> Result<AttackReport, EngineError> {
        let name = format!("hostile/{}", case.name);
        let digest = ComponentDigest::of(&bytes);
        let began = Instant::now();
        let prepared = self.host.sandbox().prepare(None, digest, Arc::clone(&bytes)).await;
        let prepare = began.elapsed();
        let evidence = match prepared {
            Err(refusal) => Evidence::of_refusal(refusal.code(), &refusal.to_string()),
            Ok(()) => {
                self.register(&name, bytes).await?;
                self.run(case, &name, digest).await?
            }
        };
        let run = if matches!(evidence.ended, Ended::Refused(_)) { Duration::ZERO } else { began.elapsed() - prepare };
        let mut problems = evidence.problems;
        if !evidence.ended.is(case.expects) {
            problems.insert(0, format!("it should have ended as `{}`: {}", case.expects, evidence.told));
        }
        let (ended, cell_bytes_peak) = (evidence.ended, evidence.cell_bytes_peak);
        Ok(AttackReport { case, ended, problems, prepare, run, cell_bytes_peak, process_bytes_peak: None })
    }

    async fn run(
        &self,
        case: &'static HostileCase,
        name: &str,
        digest: ComponentDigest,
    ) -> Result<Evidence, EngineError> {
        let builder = WorkflowDefinition::builder(name, "1.0.0");
        let builder = builder.step("attack", case.definition(ComponentRef::Digest(digest)));
        self.define(match case.role {
            Role::Step => builder.build(),
            Role::Gateway => {
                let next = MachineStep::new(ComponentRef::Digest(self.good));
                builder.step("next", next).edge("attack", "next").build()
            }
        })
        .await?;
        let id = self.start(name).await?;
        let engine = self.host.engine();
        match tokio::time::timeout(ATTACK_MAX, engine.wait_until_settled(id)).await {
            Ok(summary) => Evidence::of_instance(self.host.store().as_ref(), &summary?, case.expects).await,
            Err(_) => {
                engine.cancel_workflow(id, "nothing stopped it").await?;
                Ok(Evidence::of_what_goes_on())
            }
        }
    }

    async fn register(&self, name: &str, bytes: Arc<[u8]>) -> Result<(), EngineError> {
        let name: ComponentName = name_of(name);
        self.host.engine().registry().register_component(name, Version::new(1, 0, 0), bytes).await.map(drop)
    }

    async fn define(&self, built: Result<WorkflowDefinition, Problems>) -> Result<(), EngineError> {
        let definition = built.map_err(|problems| EngineError::Validation { problems })?;
        self.host.engine().registry().register_definition(definition).await.map(drop)
    }

    async fn start(&self, workflow: &str) -> Result<InstanceId, EngineError> {
        let request = StartRequest {
            tenant: Some(self.tenant.clone()),
            ..StartRequest::new(name_of(workflow)).with_data(serde_json::json!({}))
        };
        Ok(self.host.engine().start_workflow(request).await?.identity.id)
    }
}

/// A name of ours as whatever it names.
fn name_of<T: std::str::FromStr>(name: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    name.parse().expect("names of attacks are lower case and hyphens")
}
