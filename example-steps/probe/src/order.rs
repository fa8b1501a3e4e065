//! What the step can be told to do.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use stepcell_sdk::{Failure, Level, ReadContext, Value, json, serde_json};

/// What `can_execute` and `execute` are told to do.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Order {
    /// Return the input.
    Echo,
    /// Panic.
    Trap,
    /// Compute without end.
    Loop,
    /// Compute for about so many turns.
    Compute { turns: u64 },
    /// Take memory, without end unless told how much.
    Alloc { mib: Option<usize> },
    /// Recurse without end.
    Stack,
    /// Call exit.
    Exit {
        #[serde(default)]
        status: i32,
    },
    /// Fail.
    Fail { code: Option<String>, message: Option<String>, details: Option<Value> },
    /// Fail, and say that it might work later.
    FailRetryable { code: Option<String>, retry_after_ms: Option<u64> },
    /// Fail until the attempt of that number.
    Flaky {
        until: u32,
        #[serde(default)]
        retry_after_ms: Option<u64>,
    },
    /// Say no in the guard.
    Skip,
    /// Fail in the guard.
    FailCanExecute,
    /// Panic in the guard.
    TrapCanExecute,
    /// Write to the context in the guard, past the SDK's types.
    WriteCanExecute,
    /// Write a value to the context.
    Write {
        key: String,
        #[serde(default)]
        value: Value,
    },
    /// Write so many values of so many bytes.
    WriteMany { count: usize, bytes: usize },
    /// Write a value and fail.
    WriteThenFail { key: String },
    /// Write a value and panic.
    WriteThenTrap { key: String },
    /// Read a value of the context.
    Read { key: String },
    /// Remove a value of the context.
    Delete { key: String },
    /// List the keys of the context.
    Keys {
        #[serde(default)]
        prefix: String,
    },
    /// Read a value of the metadata.
    Metadata { key: String },
    /// Read a setting.
    Config { key: String },
    /// Ask for a secret.
    Secret { name: String },
    /// Tell a secret in every way there is but its output, then end as told.
    TellSecret { name: String, end: Ending },
    /// Return what the step before returned.
    Previous,
    /// Return the names and outputs of the steps before.
    History,
    /// Return who runs what.
    Info,
    /// Write to the log.
    Log {
        message: String,
        #[serde(default)]
        level: LogLevel,
        fields: Option<Value>,
        #[serde(default = "once")]
        times: u32,
    },
    /// Print.
    Print {
        text: String,
        #[serde(default)]
        to_stderr: bool,
        #[serde(default = "once")]
        times: u32,
    },
    /// Wait.
    Sleep { ms: u64 },
    /// Return a text of so many bytes.
    BigOutput { bytes: usize },
    /// Return arrays within arrays.
    DeepOutput { depth: usize },
    /// Call the host so many times.
    HostCalls { times: u32 },
    /// Return the time.
    Clock,
    /// Return 16 random bytes.
    Random,
    /// Return environment, arguments and files of the root.
    Surroundings,
    /// Connect to an address.
    Connect { address: String },
}

/// How a step ends that has told a secret.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// Its failure tells it, too.
    Fail,
    /// It panics with it.
    Trap,
    /// It returns nothing of it.
    Succeed,
}

/// What a hook is told to do after its writes.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HookOrder {
    /// Nothing more.
    Write,
    /// Fail.
    Fail,
    /// Panic.
    Trap,
    /// Compute without end.
    Loop,
}

/// How grave a line of the log is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

impl Order {
    /// Takes the order from the input or the settings.
    pub(crate) fn read(input: &Value, ctx: &ReadContext) -> Result<Self, Failure> {
        Ok(told(input, ctx)?.unwrap_or(Self::Echo))
    }
}

/// What the input says to do, or else the settings.
pub(crate) fn told<T: DeserializeOwned>(input: &Value, ctx: &ReadContext) -> Result<Option<T>, Failure> {
    let order = if input.get("do").is_some_and(Value::is_string) {
        input.clone()
    } else {
        match ctx.config::<Value>("do")? {
            None => return Ok(None),
            Some(Value::String(name)) => json!({ "do": name }),
            Some(order) => order,
        }
    };
    serde_json::from_value(order).map_err(|error| Failure::new("unknown-order", error.to_string()))
}

impl HookOrder {
    pub(crate) fn carry_out(self) -> Result<(), Failure> {
        match self {
            Self::Write => Ok(()),
            Self::Fail => Err(Failure::new("hook-failed", "The hook was told to fail.")),
            Self::Trap => panic!("the hook was told to panic"),
            Self::Loop => crate::work::compute(u64::MAX),
        }
    }
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Trace => Self::Trace,
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warn => Self::Warn,
            LogLevel::Error => Self::Error,
        }
    }
}

fn once() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    #[test]
    fn the_input_goes_before_the_setting_and_both_may_be_missing() {
        let ctx = MockContext::new().with_config("do", json!({ "do": "sleep", "ms": 5 }));

        assert_eq!(Order::read(&json!({ "do": "trap" }), &ctx), Ok(Order::Trap));
        assert_eq!(Order::read(&json!(3), &ctx), Ok(Order::Sleep { ms: 5 }));
        assert_eq!(Order::read(&json!(3), &MockContext::new().with_config("do", "loop")), Ok(Order::Loop));
        assert_eq!(Order::read(&json!(3), &MockContext::new()), Ok(Order::Echo));
    }
}
