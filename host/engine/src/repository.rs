//! What is kept, for reading, in the words of the library that the names come from; and the changes that it offers there.
//!
//! No change here goes past the engine: what would leave an instance in a state that no transition leads to is refused,
//! with what to call instead. Lists are pages: at most [`LIST_LEN_MAX`](stepcell_store::LIST_LEN_MAX) rows and the number of all.

mod definitions;
mod executions;
mod instances;
mod tasks;

pub use self::definitions::WorkflowDefinitionRepository;
pub use self::executions::StepExecutionRepository;
pub use self::instances::WorkflowInstanceRepository;
pub use self::tasks::HumanTaskRepository;
