//! How each order is carried out.

use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stepcell_sdk::bindings::stepcell::step::context;
use stepcell_sdk::{Context, Failure, Level, Value, json};

use crate::order::{Ending, Order};

/// Carries out an order; the guard's are done by now.
pub(crate) fn carry_out(order: Order, input: Value, ctx: &mut Context) -> Result<Value, Failure> {
    match order {
        Order::Echo | Order::Skip | Order::FailCanExecute | Order::TrapCanExecute | Order::WriteCanExecute => Ok(input),
        Order::Trap => panic!("told to panic"),
        Order::Loop => compute(u64::MAX).map(|()| Value::Null),
        Order::Compute { turns } => compute(turns).map(|()| Value::Null),
        Order::Alloc { mib } => Ok(alloc(mib.unwrap_or(usize::MAX))),
        Order::Stack => Ok(json!(recurse(1))),
        Order::Exit { status } => std::process::exit(status),
        Order::Fail { code, message, details } => Err(failure(code, message, details)),
        Order::FailRetryable { code, retry_after_ms } => Err(wait(failure(code, None, None), retry_after_ms)),
        Order::Flaky { until, retry_after_ms } => flaky(until, retry_after_ms, ctx),
        Order::Sleep { ms } => Ok(sleep(ms)),
        Order::BigOutput { bytes } => Ok("x".repeat(bytes).into()),
        Order::DeepOutput { depth } => Ok((0..depth).fold(Value::Null, |inner, _| json!([inner]))),
        Order::HostCalls { times } => Ok((0..times).map(|_| ctx.keys("").len()).sum::<usize>().into()),
        Order::Clock => Ok(clock()),
        Order::Random => Ok(json!(RandomState::new().hash_one(0).to_string())),
        Order::Surroundings => Ok(surroundings()),
        Order::Connect { address } => connect(&address),
        order => use_context(order, ctx),
    }
}

fn use_context(order: Order, ctx: &mut Context) -> Result<Value, Failure> {
    match order {
        Order::Write { key, value } => {
            ctx.set(&key, &value)?;
            Ok(json!({ "written": key }))
        }
        Order::WriteMany { count, bytes } => {
            let value = "x".repeat(bytes);
            (0..count).try_for_each(|at| ctx.set(&format!("key{at}"), &value))?;
            Ok(json!({ "written": count }))
        }
        Order::WriteThenFail { key } => {
            ctx.set(&key, true)?;
            Err(failure(None, None, None))
        }
        Order::WriteThenTrap { key } => {
            ctx.set(&key, true)?;
            panic!("told to panic after writing")
        }
        Order::Read { key } => Ok(json!({ "value": ctx.get::<Value>(&key)? })),
        Order::Delete { key } => Ok(json!({ "deleted": ctx.delete(&key)? })),
        Order::Keys { prefix } => Ok(json!(ctx.keys(&prefix))),
        Order::Metadata { key } => Ok(json!({ "value": ctx.metadata::<Value>(&key)? })),
        Order::Config { key } => Ok(json!({ "value": ctx.config::<Value>(&key)? })),
        Order::Secret { name } => Ok(json!(ctx.secret(&name)?)),
        Order::TellSecret { name, end } => tell(&ctx.secret(&name)?, &end, ctx),
        Order::Previous => Ok(json!({ "previous": ctx.previous_result::<Value>()? })),
        Order::Log { message, level, fields, times } => {
            (0..times).for_each(|_| match &fields {
                Some(fields) => ctx.log_with(level.into(), &message, fields),
                None => ctx.log(level.into(), &message),
            });
            Ok(Value::Null)
        }
        Order::Print { text, to_stderr, times } => {
            (0..times).for_each(|_| if to_stderr { eprint!("{text}") } else { print!("{text}") });
            Ok(Value::Null)
        }
        Order::History => Ok(history(ctx)),
        Order::Info => Ok(info(ctx)),
        other => {
            ctx.log(Level::Error, format!("{other:?}"));
            Err(Failure::new("unknown-order", "The probe does not know how to do this."))
        }
    }
}

/// Tells a secret by printing, logging and, if told so, by how it ends.
fn tell(secret: &str, end: &Ending, ctx: &mut Context) -> Result<Value, Failure> {
    println!("printed {secret}");
    eprint!("printed without an end {secret}");
    ctx.log(Level::Warn, format!("logged {secret}"));
    ctx.log_with(Level::Info, "logged beside", json!({ secret: [secret] }));
    match end {
        Ending::Fail => {
            Err(failure(Some(secret.to_owned()), Some(format!("failed with {secret}")), Some(json!({ "s": secret }))))
        }
        Ending::Trap => panic!("panicked with {secret}"),
        Ending::Succeed => Ok(Value::Null),
    }
}

/// Computes for so many turns.
pub(crate) fn compute(turns: u64) -> Result<(), Failure> {
    let mut turn = 0_u64;
    while turn < turns {
        turn = black_box(turn + 1);
    }
    Ok(())
}

/// Writes through the bare contract, where the SDK's types forbid it.
pub(crate) fn write_where_only_reading_is_allowed() -> Result<(), Failure> {
    context::set("from_guard", "1").map_err(|_| Failure::new("guard-refused", "The guard could not write."))
}

fn alloc(mib: usize) -> Value {
    let mut blocks = Vec::new();
    while blocks.len() < mib {
        blocks.push(black_box(vec![1_u8; 1 << 20]));
    }
    json!({ "mib": blocks.len() })
}

/// Recurses until the calls themselves use up the stack: locals whose address is taken would hit the end of the
/// memory first.
fn recurse(depth: u64) -> u64 {
    static DEPTH_MAX: AtomicU64 = AtomicU64::new(u64::MAX);
    if depth >= DEPTH_MAX.load(Ordering::Relaxed) { depth } else { recurse(depth + 1).rotate_left(1) ^ depth }
}

fn failure(code: Option<String>, message: Option<String>, details: Option<Value>) -> Failure {
    let code = code.unwrap_or_else(|| "told-to-fail".to_owned());
    let mut failure = Failure::new(code, message.unwrap_or_else(|| "The step was told to fail.".to_owned()));
    failure.details = details.map(Box::new);
    failure
}

fn wait(failure: Failure, retry_after_ms: Option<u64>) -> Failure {
    match retry_after_ms {
        Some(ms) => failure.retry_after(Duration::from_millis(ms)),
        None => failure.retryable(),
    }
}

fn flaky(until: u32, retry_after_ms: Option<u64>, ctx: &Context) -> Result<Value, Failure> {
    let attempt = ctx.info().attempt;
    if attempt < until {
        return Err(wait(failure(Some("flaky".to_owned()), None, None), retry_after_ms));
    }
    Ok(json!({ "attempt": attempt }))
}

fn sleep(ms: u64) -> Value {
    std::thread::sleep(Duration::from_millis(ms));
    json!({ "slept_ms": ms })
}

fn clock() -> Value {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
    json!(ms.to_string())
}

fn surroundings() -> Value {
    json!({
        "environment": std::env::vars().count(),
        "arguments": std::env::args().count(),
        "root": std::fs::read_dir("/").map_or(0, Iterator::count),
        "input": std::io::stdin().lines().count(),
    })
}

fn connect(address: &str) -> Result<Value, Failure> {
    match std::net::TcpStream::connect(address) {
        Ok(_) => Ok(json!({ "connected": address })),
        Err(error) => Err(Failure::new("not-connected", error.to_string())),
    }
}

fn history(ctx: &Context) -> Value {
    ctx.history()
        .into_iter()
        .map(|step| json!({ "step": step.step_name, "status": format!("{:?}", step.status), "output": step.output }))
        .collect()
}

fn info(ctx: &Context) -> Value {
    let info = ctx.info();
    json!({
        "workflow_name": info.workflow_name,
        "workflow_version": info.workflow_version,
        "workflow_id": info.workflow_id,
        "instance_id": info.instance_id,
        "step_name": info.step_name,
        "attempt": info.attempt,
        "max_attempts": info.max_attempts,
        "idempotency_key": info.idempotency_key,
        "tenant_id": info.tenant_id,
        "user_id": info.user_id,
        "started_at": info.started_at,
        "deadline": info.deadline,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Probe;
    use stepcell_sdk::{MockContext, Step};

    #[test]
    fn a_flaky_step_fails_until_the_attempt_it_is_told() {
        let run = |attempt| {
            let mut ctx = MockContext::new().with_info(|info| info.attempt = attempt);
            Probe::execute(json!({ "do": "flaky", "until": 3 }), &mut ctx)
        };

        assert!(run(2).unwrap_err().retryable);
        assert_eq!(run(3), Ok(json!({ "attempt": 3 })));
    }

    #[test]
    fn the_hooks_leave_their_marks() {
        let mut ctx = MockContext::new().with_config("on_success", "write");

        Probe::on_success(&json!(1), &mut ctx).unwrap();
        Probe::on_failure(&Failure::new("busy", "Later."), &mut ctx).unwrap();

        assert_eq!(ctx.written("on_success"), Some(true.into()));
        assert_eq!(ctx.written("on_failure_code"), Some("busy".into()));
    }

    #[test]
    fn writing_reading_and_logging_go_through_the_context() {
        let mut ctx = MockContext::new();
        let mut run = |order: Value| Probe::execute(order, &mut ctx).unwrap();

        run(json!({ "do": "write", "key": "k", "value": [1] }));
        run(json!({ "do": "log", "message": "hi", "times": 2 }));

        assert_eq!(run(json!({ "do": "read", "key": "k" })), json!({ "value": [1] }));
        assert_eq!(ctx.log_lines().len(), 2);
    }
}
