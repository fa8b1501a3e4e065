//! From the parser's tree to ours, refusing whatever an expression may not do.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SelectExpr, SourceInfo, operators};

use super::tree::{Binary, Function, Node, Root};
use super::{EXPRESSION_NODES_MAX, EXPRESSION_TREE_DEPTH_MAX, ExpressionError};
use crate::problem::{did_you_mean, shorten};

/// What `instance` has.
pub(super) const INSTANCE_FIELDS: [&str; 5] = ["id", "workflow_name", "workflow_version", "tenant", "user"];

/// Turns the parser's tree into ours. Recurses as deep as the parser did: runs on its stack.
pub(super) fn lower(source: &str, ast: &IdedExpr, places: &SourceInfo) -> Result<Node, ExpressionError> {
    Lowering { source, places, nodes: 0, depth: 0 }.node(ast)
}

struct Lowering<'s> {
    source: &'s str,
    places: &'s SourceInfo,
    nodes: usize,
    depth: usize,
}

impl Lowering<'_> {
    fn refuse<T>(&self, at: &IdedExpr, reason: impl Into<String>) -> Result<T, ExpressionError> {
        let offset = self.places.offset_for(at.id).map_or(0, |(start, _)| start as usize);
        // The parser counts in characters.
        let offset = self.source.char_indices().nth(offset).map_or(self.source.len(), |(at, _)| at);
        Err(ExpressionError::new(self.source, self.name_at(offset), reason))
    }

    /// The parser has calls stand at their bracket and fields at their dot; people look at the name.
    fn name_at(&self, offset: usize) -> usize {
        let (before, after) = self.source.split_at(offset);
        match after.chars().next() {
            Some('.') => self.source.len() - after[1..].trim_start().len(),
            Some('(') => before
                .trim_end_matches([' ', '\t', '\n'])
                .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .map_or(0, |separator| before[separator..].chars().next().map_or(0, |c| separator + c.len_utf8())),
            _ => offset,
        }
    }

    fn node(&mut self, ast: &IdedExpr) -> Result<Node, ExpressionError> {
        self.nodes += 1;
        if self.nodes > EXPRESSION_NODES_MAX {
            return self.refuse(ast, format!("the expression has more than {EXPRESSION_NODES_MAX} parts"));
        }
        if self.depth >= EXPRESSION_TREE_DEPTH_MAX {
            let reason =
                format!("more than {EXPRESSION_TREE_DEPTH_MAX} operators or fields follow on one another here");
            return self.refuse(ast, reason);
        }
        self.depth += 1;
        let node = self.inside(ast);
        self.depth -= 1;
        node
    }

    fn inside(&mut self, ast: &IdedExpr) -> Result<Node, ExpressionError> {
        match &ast.expr {
            Expr::Literal(literal) => self.literal(ast, literal),
            Expr::Ident(name) => self.name(ast, name),
            Expr::Select(select) => self.select(ast, select),
            Expr::Call(call) => self.call(ast, call),
            Expr::List(list) if list.optional_indices.is_empty() => Ok(Node::List(self.all(&list.elements)?)),
            Expr::Map(map) => self.object(ast, map.entries.iter().map(|entry| &entry.expr)),
            Expr::Comprehension(_) => {
                self.refuse(ast, "there are no loops in expressions (all, exists, exists_one, map, filter)")
            }
            Expr::Struct(message) => {
                let name = shorten(&message.type_name, 40);
                self.refuse(ast, format!("there is no type `{name}`; an object is written {{'key': value}}"))
            }
            Expr::List(_) | Expr::Unspecified => self.refuse(ast, "this is not allowed in expressions"),
        }
    }

    fn boxed(&mut self, ast: &IdedExpr) -> Result<Box<Node>, ExpressionError> {
        self.node(ast).map(Box::new)
    }

    fn all(&mut self, asts: &[IdedExpr]) -> Result<Vec<Node>, ExpressionError> {
        asts.iter().map(|ast| self.node(ast)).collect()
    }

    fn literal(&self, ast: &IdedExpr, literal: &LiteralValue) -> Result<Node, ExpressionError> {
        match literal {
            LiteralValue::Null => Ok(Node::Null),
            LiteralValue::Boolean(value) => Ok(Node::Bool(*value.inner())),
            LiteralValue::Int(value) => Ok(Node::Int(*value.inner())),
            LiteralValue::Double(value) if value.inner().is_finite() => Ok(Node::Double(*value.inner())),
            LiteralValue::Double(_) => self.refuse(ast, "this number is too large"),
            LiteralValue::String(text) => Ok(Node::Text(text.inner().to_owned())),
            LiteralValue::UInt(_) => self.refuse(ast, "numbers have no `u` at their end here"),
            LiteralValue::Bytes(_) => {
                self.refuse(ast, "there are no bytes in JSON; leave the `b` before the string out")
            }
        }
    }

    fn name(&self, ast: &IdedExpr, name: &str) -> Result<Node, ExpressionError> {
        if let Some(root) = Root::from_name(name) {
            return Ok(Node::Root(root));
        }
        let short = shorten(name, 40);
        if Function::NAMES.contains(&name) {
            return self.refuse(ast, format!("`{short}` is a function: write `{short}(…)`"));
        }
        let hint = match did_you_mean(name, Root::NAMES) {
            meant if meant.is_empty() => format!("; a value of the context is `context.{short}`"),
            meant => meant,
        };
        self.refuse(ast, format!("there is no `{short}`{hint}"))
    }

    fn select(&mut self, ast: &IdedExpr, select: &SelectExpr) -> Result<Node, ExpressionError> {
        let of = self.boxed(&select.operand)?;
        let name = select.field.clone();
        if matches!(*of, Node::Root(Root::Instance)) && !INSTANCE_FIELDS.contains(&name.as_str()) {
            let meant = did_you_mean(&name, INSTANCE_FIELDS);
            let (short, known) = (shorten(&name, 40), INSTANCE_FIELDS.join(", "));
            return self.refuse(ast, format!("`instance` has no `{short}`, only {known}{meant}"));
        }
        Ok(if select.test { Node::Has { of, name } } else { Node::Field { of, name } })
    }

    fn object<'e>(
        &mut self,
        ast: &IdedExpr,
        entries: impl Iterator<Item = &'e EntryExpr>,
    ) -> Result<Node, ExpressionError> {
        let mut object: Vec<(Node, Node)> = Vec::new();
        for entry in entries {
            let EntryExpr::MapEntry(entry) = entry else { return self.refuse(ast, "this is not allowed here") };
            let key = self.node(&entry.key)?;
            match &key {
                Node::Null | Node::Bool(_) | Node::Int(_) | Node::Double(_) => {
                    return self.refuse(&entry.key, "a key is a string: put quotes around it");
                }
                Node::Text(text) if object.iter().any(|(key, _)| matches!(key, Node::Text(other) if other == text)) => {
                    let short = shorten(text, 40);
                    return self.refuse(&entry.key, format!("the key '{short}' stands here a second time"));
                }
                _ => {}
            }
            object.push((key, self.node(&entry.value)?));
        }
        Ok(Node::Object(object))
    }

    fn call(&mut self, ast: &IdedExpr, call: &CallExpr) -> Result<Node, ExpressionError> {
        if let Some(node) = self.operator(call)? {
            return Ok(node);
        }
        match (call.func_name.as_str(), &call.target, call.args.as_slice()) {
            ("get", Some(of), [key]) => Ok(Node::Get { of: self.boxed(of)?, key: self.boxed(key)?, default: None }),
            ("get", Some(of), [key, default]) => {
                let (of, key) = (self.boxed(of)?, self.boxed(key)?);
                Ok(Node::Get { of, key, default: Some(self.boxed(default)?) })
            }
            ("get", ..) => self.refuse(ast, "`get` is called as `context.get('key')` or `context.get('key', default)`"),
            ("has", ..) => self.refuse(ast, "`has` is called as `has(context.key)`"),
            (name, target, arguments) => match Function::from_name(name) {
                Some(function) => self.function(ast, function, target.as_deref(), arguments),
                None => self.refuse(ast, unknown_function(name)),
            },
        }
    }

    /// Operators come from the parser as calls with names that nobody can write.
    fn operator(&mut self, call: &CallExpr) -> Result<Option<Node>, ExpressionError> {
        let node = match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [of]) => Node::Not(self.boxed(of)?),
            (operators::NEGATE, [of]) => Node::Negate(self.boxed(of)?),
            (operators::LOGICAL_AND, [left, right]) => Node::And(self.boxed(left)?, self.boxed(right)?),
            (operators::LOGICAL_OR, [left, right]) => Node::Or(self.boxed(left)?, self.boxed(right)?),
            (operators::INDEX, [of, key]) => Node::Index { of: self.boxed(of)?, key: self.boxed(key)? },
            (operators::CONDITIONAL, [condition, then, otherwise]) => Node::Choice {
                condition: self.boxed(condition)?,
                then: self.boxed(then)?,
                otherwise: self.boxed(otherwise)?,
            },
            (name, [left, right]) => match binary(name) {
                Some(binary) => Node::Binary(binary, self.boxed(left)?, self.boxed(right)?),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some(node))
    }

    fn function(
        &mut self,
        ast: &IdedExpr,
        function: Function,
        target: Option<&IdedExpr>,
        arguments: &[IdedExpr],
    ) -> Result<Node, ExpressionError> {
        let fits = matches!(
            (function, target, arguments.len()),
            (Function::Size, Some(_), 0)
                | (Function::Contains | Function::StartsWith | Function::EndsWith, Some(_), 1)
                | (Function::Min | Function::Max, None, 1..)
                | (Function::Size | Function::Int | Function::Double | Function::Text | Function::Bool, None, 1)
        );
        if !fits {
            return self.refuse(ast, format!("write this as `{}`", function.usage()));
        }
        let mut nodes = Vec::with_capacity(arguments.len() + 1);
        if let Some(target) = target {
            nodes.push(self.node(target)?);
        }
        nodes.extend(self.all(arguments)?);
        Ok(Node::Call(function, nodes))
    }
}

fn unknown_function(name: &str) -> String {
    let short = shorten(name, 40);
    match name {
        "all" | "exists" | "exists_one" | "map" | "filter" => format!("there are no loops in expressions (`{short}`)"),
        "matches" => "there are no regular expressions here; use `contains`, `startsWith` or `endsWith`".to_owned(),
        "len" | "length" | "count" => format!("there is no function `{short}`; did you mean `size`?"),
        "str" => "there is no function `str`; did you mean `string`?".to_owned(),
        "float" => "there is no function `float`; did you mean `double`?".to_owned(),
        _ => {
            let hint = match did_you_mean(name, Function::NAMES) {
                meant if meant.is_empty() => format!("; there are {}", Function::NAMES.join(", ")),
                meant => meant,
            };
            format!("there is no function `{short}`{hint}")
        }
    }
}

fn binary(name: &str) -> Option<Binary> {
    match name {
        operators::EQUALS => Some(Binary::Equal),
        operators::NOT_EQUALS => Some(Binary::NotEqual),
        operators::LESS => Some(Binary::Less),
        operators::LESS_EQUALS => Some(Binary::LessEqual),
        operators::GREATER => Some(Binary::Greater),
        operators::GREATER_EQUALS => Some(Binary::GreaterEqual),
        operators::IN => Some(Binary::In),
        operators::ADD => Some(Binary::Add),
        operators::SUBSTRACT => Some(Binary::Subtract),
        operators::MULTIPLY => Some(Binary::Multiply),
        operators::DIVIDE => Some(Binary::Divide),
        operators::MODULO => Some(Binary::Remainder),
        _ => None,
    }
}
