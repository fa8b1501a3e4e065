//! Conditions and mappings: short texts in the Common Expression Language (CEL) that tenants write.
//!
//! No text can crash or stall the host. A text is bounded before it is parsed, parsed once on a stack of its own by the
//! `cel` crate, and then turned into a small tree of ours that holds only what is allowed; names and functions that
//! do not exist are refused there. That tree is evaluated here, not by the crate: reads borrow from the context instead of converting
//! it, the work of an evaluation is counted, and nothing in it can panic.
//!
//! Where JSON asks for it, the meaning differs from CEL's: a key that is missing reads as `null` in every form, whole
//! and other numbers mix (`1 + 0.5`, `85.5 >= 80`), and a result that JSON can not hold, such as an infinity, is an
//! error. There are no loops (`all`, `map`, …), no regular expressions, no times and no bytes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::attempt::ContextData;
use crate::json::Json;
use crate::name::UserId;
use crate::record::InstanceIdentity;

mod compute;
mod datum;
mod error;
mod evaluate;
mod lower;
mod parse;
mod reads;
mod scan;
mod tree;

pub use error::{EvaluationError, ExpressionError};
pub use reads::ValueRead;
pub use scan::{EXPRESSION_DEPTH_MAX, EXPRESSION_LEN_BYTES_MAX, EXPRESSION_SIGNS_MAX};

use evaluate::Evaluation;
use tree::Node;

/// The most parts that an expression may have: names, constants, operators, calls.
pub const EXPRESSION_NODES_MAX: usize = 200;

/// How deep an expression's tree may be; `a + b + c` is three deep, chains of `&&` and `||` are balanced.
///
/// Protects the stack of whoever evaluates: some KiB a level in a build for debugging.
pub const EXPRESSION_TREE_DEPTH_MAX: usize = 64;

/// How many bytes one evaluation may compare, copy or make; protects the host from long loops over large values.
pub const EVALUATION_BYTES_MAX: usize = 16 << 20;

/// What an expression can see.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The data that the steps share: `context`.
    pub context: &'a ContextData,
    /// What the step before returned: `result`, `null` if there is none.
    pub result: Option<&'a Json>,
    /// Values fixed when the instance was started: `metadata`.
    pub metadata: &'a ContextData,
    /// The instance: `instance`.
    pub instance: &'a InstanceFacts,
}

/// What an expression can see of its instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceFacts {
    /// `instance.id`.
    pub id: String,
    /// `instance.workflow_name`.
    pub workflow_name: String,
    /// `instance.workflow_version`.
    pub workflow_version: String,
    /// `instance.tenant`, or `null`.
    pub tenant: Option<String>,
    /// `instance.user`, or `null`.
    pub user: Option<String>,
}

impl InstanceFacts {
    /// What can be seen of an instance that `user` acted on last.
    #[must_use]
    pub fn of(identity: &InstanceIdentity, user: Option<&UserId>) -> Self {
        Self {
            id: identity.id.to_string(),
            workflow_name: identity.workflow_name.to_string(),
            workflow_version: identity.workflow_version.to_string(),
            tenant: identity.tenant.as_ref().map(ToString::to_string),
            user: user.map(ToString::to_string),
        }
    }
}

/// Which values an expression may look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Of the context.
    pub context: KeysRead,
    /// Of the metadata.
    pub metadata: KeysRead,
    /// Whether it looks at the result.
    pub result: bool,
    /// Which facts of the instance.
    pub instance: KeysRead,
}

/// Which keys an expression may look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysRead {
    /// These, which it names.
    Only(BTreeSet<String>),
    /// Any: it computes a key, or uses the whole.
    All,
}

impl Default for KeysRead {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

/// A text that was understood. Clones share it.
#[derive(Clone)]
struct Expression(Arc<Inner>);

struct Inner {
    source: String,
    root: Node,
    reads: Reads,
}

impl Expression {
    fn compile(source: &str) -> Result<Self, ExpressionError> {
        let root = parse::parse(source)?;
        let reads = reads::collect(&root);
        Ok(Self(Arc::new(Inner { source: source.to_owned(), root, reads })))
    }

    fn evaluate<T>(
        &self,
        scope: &Scope<'_>,
        finish: impl FnOnce(datum::Datum<'_>) -> Result<T, String>,
    ) -> Result<T, EvaluationError> {
        let result = Evaluation::new(*scope).run(&self.0.root).and_then(finish);
        result.map_err(|reason| EvaluationError::new(&self.0.source, &reason, reads::values_read(&self.0.reads, scope)))
    }
}

/// An expression that says yes or no, such as an edge's `condition:`.
///
/// # Examples
/// ```
/// use stepcell_model::attempt::ContextData;
/// use stepcell_model::expression::{Condition, InstanceFacts, Scope};
/// use stepcell_model::json::Json;
/// use stepcell_model::name::ContextKey;
///
/// let condition = Condition::compile("context.get('score') >= 80")?;
/// let context = ContextData::from([(ContextKey::new("score")?, Json::parse("85.5".to_owned())?)]);
/// let (metadata, instance) = (ContextData::new(), InstanceFacts::default());
/// let scope = Scope { context: &context, result: None, metadata: &metadata, instance: &instance };
/// assert!(condition.evaluate(&scope)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Condition(Expression);

impl Condition {
    /// Understands a text, once, when its definition is registered.
    ///
    /// # Errors
    /// [`ExpressionError`] if it is too large, is no CEL, uses what does not exist, or can not be true or false.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        let expression = Expression::compile(source)?;
        if let Some(kind) = expression.0.root.kind_but_boolean() {
            let reason = format!("a condition is true or false, and this is {kind}");
            return Err(ExpressionError::new(source, 0, reason));
        }
        Ok(Self(expression))
    }

    /// Decides.
    ///
    /// # Errors
    /// [`EvaluationError`] if what the values are makes no sense here, such as an order between `null` and a number.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<bool, EvaluationError> {
        self.0.evaluate(scope, |datum| match datum {
            datum::Datum::Bool(holds) => Ok(holds),
            other => Err(format!("a condition is true or false, and this gave {}", other.describe())),
        })
    }

    /// The text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.0.source
    }

    /// Which values it may look at.
    #[must_use]
    pub fn reads(&self) -> &Reads {
        &self.0.0.reads
    }

    /// The values that it names, as they are in `scope`, shortened for people.
    #[must_use]
    pub fn values_read(&self, scope: &Scope<'_>) -> Vec<ValueRead> {
        reads::values_read(self.reads(), scope)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.source()).finish()
    }
}

/// An expression that makes a value, such as a step's `input:`.
#[derive(Clone)]
pub struct Mapping(Expression);

impl Mapping {
    /// Understands a text, once, when its definition is registered.
    ///
    /// # Errors
    /// [`ExpressionError`] if it is too large, is no CEL, or uses what does not exist.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        Expression::compile(source).map(Self)
    }

    /// Makes the value.
    ///
    /// # Errors
    /// [`EvaluationError`] if what the values are makes no sense here, or the value would be too large or too deep.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Json, EvaluationError> {
        self.0.evaluate(scope, |datum| Evaluation::new(*scope).finish(datum))
    }

    /// The text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.0.source
    }

    /// Which values it may look at.
    #[must_use]
    pub fn reads(&self) -> &Reads {
        &self.0.0.reads
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mapping").field(&self.source()).finish()
    }
}

#[cfg(test)]
mod tests;
