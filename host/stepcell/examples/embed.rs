//! Embeds the engine: a step of this program, a person, and a workflow of both.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use stepcell::{
    Actor, ExecutionEngine as _, Failure, HumanStep, HumanTaskRepository, Json, LocalExecutionEngine, Step,
    WorkflowContext, WorkflowDefinition,
};

/// Books what was approved.
struct Book;

#[async_trait]
impl Step for Book {
    fn name(&self) -> &str {
        "shop/book"
    }

    async fn can_execute(&self, context: &WorkflowContext) -> Result<bool, Failure> {
        Ok(context.get_or("approved", false) == true)
    }

    async fn execute(&self, context: &mut WorkflowContext) -> Result<Json, Failure> {
        let amount = context.get("amount").and_then(Value::as_i64);
        let amount = amount.ok_or_else(|| Failure::new("no-amount", "`amount` is no whole number."))?;
        context.set("booked", amount)?;
        Ok(json!({ "receipt": format!("R-{amount}") }).into())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let engine = LocalExecutionEngine::open(|registry| registry.register_step(Arc::new(Book))).await?;
    let expense = WorkflowDefinition::builder("expense", "1.0.0")
        .step("review", HumanStep::titled("Approve {context.amount}"))
        .machine("book", "host:shop/book")
        .edge("review", "book")
        .build()?;
    engine.registry().register_definition(expense).await?;

    let instance = engine.start_workflow(&"expense".parse()?, json!({ "amount": 12 }).into(), None).await?;
    let ada = Actor::user("ada".parse()?);
    for task in HumanTaskRepository::new(engine.engine()).find_pending(Some(&ada.user), None).await?.items {
        println!("{} asks: {}", task.step, task.title);
        engine.complete_human_task(task.instance, &task.step, ada.clone(), json!({ "approved": true }).into()).await?;
    }

    let instance = engine.engine().wait_until_settled(instance.identity.id).await?;
    println!("{}: {}", instance.status, instance.result.unwrap_or_else(Json::null));
    engine.close().await;
    Ok(())
}
