//! Steps written in Rust, one call a setting.

use std::time::Duration;

use super::{
    CompleteWhen, ComponentRef, ConditionalGroup, GatewayMode, GatewayStep, HumanStep, MachineStep, ParallelGroup,
    RetryPolicy, SequentialGroup, SignalStep, StepDefinition, StepLimits, TimerStep, WebhookStep, WorkflowStep,
};
use crate::json::Json;
use crate::name::{ContextKey, GroupId, StepName, UserId};
use crate::time::Span;

impl MachineStep {
    /// The same step, with what it is for.
    #[must_use]
    pub fn described(self, description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..self }
    }

    /// The same step, with one more setting that the component may read.
    #[must_use]
    pub fn with_config(mut self, key: impl Into<String>, value: impl Into<Json>) -> Self {
        self.config.insert(key.into(), value.into());
        self
    }

    /// The same step, whose input is the value of a CEL expression.
    #[must_use]
    pub fn with_input(self, expression: impl Into<String>) -> Self {
        Self { input: Some(expression.into()), ..self }
    }

    /// The same step, retried so.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// The same step, each attempt of which may take that long.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(Span::new(timeout)), ..self }
    }

    /// The same step, each attempt of which may use that much.
    #[must_use]
    pub fn with_limits(self, limits: StepLimits) -> Self {
        Self { limits, ..self }
    }
}

/// # Examples
/// ```
/// use std::time::Duration;
/// use serde_json::json;
/// use stepcell_model::definition::{GatewayStep, HumanStep, MachineStep, WorkflowDefinition};
///
/// let review = HumanStep::titled("Approve {context.amount}")
///     .with_form(json!({ "type": "object", "required": ["approved"] }))
///     .assigned_by("manager".parse()?)
///     .due_after(Duration::from_secs(2 * 86_400));
/// let pay = MachineStep::new("acme/pay@1".parse()?).with_config("currency", json!("EUR"));
///
/// let definition = WorkflowDefinition::builder("approval", "1.0.0")
///     .step("review", review)
///     .step("decide", GatewayStep::exclusive())
///     .step("pay", pay)
///     .edge("review", "decide")
///     .edge_when("decide", "pay", "context.get('approved') == true")
///     .build()?;
/// assert_eq!(definition.steps.len(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl HumanStep {
    /// A task with a title, which may contain `{context.key}`.
    #[must_use]
    pub fn titled(title: impl Into<String>) -> Self {
        Self { title: Some(title.into()), ..Self::default() }
    }

    /// The same task, with what to do at length.
    #[must_use]
    pub fn described(self, description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..self }
    }

    /// The same task, whose answer must fit a JSON Schema.
    #[must_use]
    pub fn with_form(self, schema: impl Into<Json>) -> Self {
        Self { form_schema: Some(schema.into()), ..self }
    }

    /// The same task, for one user.
    #[must_use]
    pub fn assigned_to(self, user: UserId) -> Self {
        Self { assignee: Some(user), ..self }
    }

    /// The same task, for the user whose id the context has under a key.
    #[must_use]
    pub fn assigned_by(self, key: ContextKey) -> Self {
        Self { assignee_key: Some(key), ..self }
    }

    /// The same task, for the members of a group.
    #[must_use]
    pub fn for_group(self, group: GroupId) -> Self {
        Self { assignee_group: Some(group), ..self }
    }

    /// The same task, due that long after it was reached.
    #[must_use]
    pub fn due_after(self, wait: Duration) -> Self {
        Self { due_in: Some(Span::new(wait)), ..self }
    }

    /// The same task, reminded of that long after it was reached.
    #[must_use]
    pub fn remind_after(self, wait: Duration) -> Self {
        Self { reminder_in: Some(Span::new(wait)), ..self }
    }
}

impl GatewayStep {
    /// Takes the first edge whose condition holds.
    #[must_use]
    pub fn exclusive() -> Self {
        Self::of_mode(GatewayMode::Exclusive)
    }

    /// Takes all edges whose condition holds.
    #[must_use]
    pub fn inclusive() -> Self {
        Self::of_mode(GatewayMode::Inclusive)
    }

    /// Takes all edges.
    #[must_use]
    pub fn parallel() -> Self {
        Self::of_mode(GatewayMode::Parallel)
    }

    /// The same gateway, with what it is for.
    #[must_use]
    pub fn described(self, description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..self }
    }
}

impl SequentialGroup {
    /// A group without members.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::definition::{ComponentRef, SequentialGroup, WorkflowDefinition};
    ///
    /// let check = |name: &str| format!("acme/{name}@1").parse::<ComponentRef>();
    /// let validation = SequentialGroup::new()
    ///     .with("format".parse()?, check("format")?)
    ///     .with("content".parse()?, check("content")?);
    /// let definition = WorkflowDefinition::builder("w", "1.0.0").step("validation", validation).build()?;
    /// assert_eq!(definition.components().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same group with one more member, which is given what the one before returned.
    #[must_use]
    pub fn with(mut self, name: StepName, step: impl Into<StepDefinition>) -> Self {
        self.steps.insert(name, step.into());
        self
    }
}

impl ParallelGroup {
    /// A group without members.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::definition::{ComponentRef, ParallelGroup, WorkflowDefinition};
    ///
    /// let step = |name: &str| format!("acme/{name}@1").parse::<ComponentRef>();
    /// let notifications = ParallelGroup::new()
    ///     .with("email".parse()?, step("email")?)
    ///     .with("slack".parse()?, step("slack")?)
    ///     .with_callback(step("log")?);
    /// let definition = WorkflowDefinition::builder("w", "1.0.0").step("notify", notifications).build()?;
    /// assert_eq!(definition.components().len(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same group with one more member.
    #[must_use]
    pub fn with(mut self, name: StepName, step: impl Into<StepDefinition>) -> Self {
        self.steps.insert(name, step.into());
        self
    }

    /// The same group with a step that is given the list of results, and whose result is the group's.
    #[must_use]
    pub fn with_callback(self, step: impl Into<StepDefinition>) -> Self {
        Self { callback: Some(Box::new(step.into())), ..self }
    }

    /// The same group, which succeeds once so many members have.
    #[must_use]
    pub fn complete_when(self, complete_when: CompleteWhen) -> Self {
        Self { complete_when, ..self }
    }

    /// The same group, of which so many members run at once.
    #[must_use]
    pub fn at_most(self, members: u32) -> Self {
        Self { max_concurrency: Some(members), ..self }
    }
}

/// Makes each kind of step a step.
macro_rules! kinds {
    ($($step:ident => $kind:ident),+ $(,)?) => {
        $(
            impl From<$step> for StepDefinition {
                fn from(step: $step) -> Self {
                    Self::$kind(step)
                }
            }
        )+
    };
}

kinds! {
    MachineStep => Machine,
    HumanStep => Human,
    GatewayStep => Gateway,
    TimerStep => Timer,
    WebhookStep => Webhook,
    SignalStep => Signal,
    SequentialGroup => Sequential,
    ParallelGroup => Parallel,
    ConditionalGroup => Conditional,
    WorkflowStep => Workflow,
}

impl From<ComponentRef> for StepDefinition {
    /// A machine step that runs the component with the defaults.
    fn from(component: ComponentRef) -> Self {
        Self::Machine(MachineStep::new(component))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::WorkflowDefinition;

    #[test]
    fn a_machine_step_built_in_rust_is_the_one_written_in_yaml() {
        let pay = MachineStep::new("acme/pay@1".parse().unwrap())
            .described("Pays.")
            .with_config("currency", serde_json::json!("EUR"))
            .with_input("context.get('amount')")
            .with_retry(RetryPolicy::never())
            .with_timeout(Duration::from_secs(5))
            .with_limits(StepLimits { cpu: Some(Span::new(Duration::from_secs(1))), ..StepLimits::default() });
        let text = "{schema: stepcell/v1, name: w, version: 1.0.0, initial_step: pay, steps: {pay: {type: machine, \
             component: acme/pay@1, description: Pays., config: {currency: EUR}, input: context.get('amount'), \
             retry: {max_attempts: 1}, timeout: 5s, limits: {cpu: 1s}}}}";

        let built = WorkflowDefinition::builder("w", "1.0.0").step("pay", pay).build().unwrap();

        assert_eq!(built, WorkflowDefinition::from_text(text).unwrap());
    }

    #[test]
    fn a_human_step_built_in_rust_is_the_one_written_in_yaml() {
        let review = HumanStep::titled("Look")
            .described("At it.")
            .with_form(serde_json::json!({"type": "object"}))
            .assigned_to("ada".parse().unwrap())
            .for_group("finance".parse().unwrap())
            .due_after(Duration::from_secs(3_600))
            .remind_after(Duration::from_secs(60));
        let text = "{schema: stepcell/v1, name: w, version: 1.0.0, initial_step: review, steps: {review: {type: human, \
             title: Look, description: At it., form_schema: {type: object}, assignee: ada, assignee_group: finance, \
             due_in: 1h, reminder_in: 1m}}}";

        let built = WorkflowDefinition::builder("w", "1.0.0").step("review", review).build().unwrap();

        assert_eq!(built, WorkflowDefinition::from_text(text).unwrap());
    }

    #[test]
    fn a_gateway_built_in_rust_is_the_one_written_in_yaml() {
        for (gateway, mode) in [
            (GatewayStep::exclusive(), "exclusive"),
            (GatewayStep::inclusive(), "inclusive"),
            (GatewayStep::parallel(), "parallel"),
        ] {
            let step: StepDefinition = gateway.described("Decides.").into();
            let text = format!(r#"{{"type": "gateway", "mode": "{mode}", "description": "Decides."}}"#);
            assert_eq!(step, serde_json::from_str(&text).unwrap());
        }
    }

    #[test]
    fn groups_built_in_rust_are_those_written_in_yaml() {
        let step = |name: &str| format!("acme/{name}@1").parse::<ComponentRef>().unwrap();
        let name = |name: &str| name.parse::<StepName>().unwrap();
        let both = ParallelGroup::new()
            .with(name("email"), step("email"))
            .with(name("slack"), step("slack"))
            .with_callback(step("log"))
            .complete_when(CompleteWhen::Any)
            .at_most(1);
        let line = SequentialGroup::new().with(name("first"), step("first")).with(name("both"), both);
        let text = "{schema: stepcell/v1, name: w, version: 1.0.0, initial_step: line, steps: {line: {type: sequential, \
             steps: {first: {type: machine, component: acme/first@1}, both: {type: parallel, complete_when: any, \
             max_concurrency: 1, callback: {type: machine, component: acme/log@1}, steps: {email: {type: machine, \
             component: acme/email@1}, slack: {type: machine, component: acme/slack@1}}}}}}}";

        let built = WorkflowDefinition::builder("w", "1.0.0").step("line", line).build().unwrap();

        assert_eq!(built, WorkflowDefinition::from_text(text).unwrap());
    }
}
