//! An expression as the engine keeps it: only what is allowed can be written down here.

/// One part of an expression.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Root(Root),
    /// `of.name`
    Field {
        of: Box<Node>,
        name: String,
    },
    /// `of[key]`
    Index {
        of: Box<Node>,
        key: Box<Node>,
    },
    /// `of.get(key)` or `of.get(key, default)`
    Get {
        of: Box<Node>,
        key: Box<Node>,
        default: Option<Box<Node>>,
    },
    /// `has(of.name)`
    Has {
        of: Box<Node>,
        name: String,
    },
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Choice {
        condition: Box<Node>,
        then: Box<Node>,
        otherwise: Box<Node>,
    },
    Binary(Binary, Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
    List(Vec<Node>),
    Object(Vec<(Node, Node)>),
}

impl Node {
    /// Says what an expression gives if that can not be a boolean, whatever the values.
    pub(super) fn kind_but_boolean(&self) -> Option<&'static str> {
        match self {
            Self::Null => Some("null"),
            Self::Int(_) | Self::Double(_) | Self::Negate(_) => Some("a number"),
            Self::Text(_) => Some("a string"),
            Self::List(_) => Some("a list"),
            Self::Object(_) => Some("an object"),
            Self::Root(Root::Context | Root::Metadata | Root::Instance) => Some("an object"),
            Self::Binary(binary, ..) => binary.kind_but_boolean(),
            Self::Call(function, _) => function.kind_but_boolean(),
            Self::Choice { then, otherwise, .. } => then.kind_but_boolean().or_else(|| otherwise.kind_but_boolean()),
            Self::Bool(_)
            | Self::Root(Root::Result)
            | Self::Field { .. }
            | Self::Index { .. }
            | Self::Get { .. }
            | Self::Has { .. }
            | Self::Not(_)
            | Self::And(..)
            | Self::Or(..) => None,
        }
    }
}

/// A variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    Context,
    Metadata,
    Result,
    Instance,
}

impl Root {
    pub(super) const NAMES: [&'static str; 4] = ["context", "metadata", "result", "instance"];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "context" => Some(Self::Context),
            "metadata" => Some(Self::Metadata),
            "result" => Some(Self::Result),
            "instance" => Some(Self::Instance),
            _ => None,
        }
    }
}

/// An operator between two values, `&&` and `||` aside: those do not always look at both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Binary {
    /// As people write it.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }

    fn kind_but_boolean(self) -> Option<&'static str> {
        match self {
            Self::Subtract | Self::Multiply | Self::Divide | Self::Remainder => Some("a number"),
            Self::Add => Some("a sum"),
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessEqual
            | Self::Greater
            | Self::GreaterEqual
            | Self::In => None,
        }
    }
}

/// A function, `get` and `has` aside: those name what they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Int,
    Double,
    Text,
    Bool,
    Min,
    Max,
}

impl Function {
    /// Every function there is, for suggestions.
    pub(super) const NAMES: [&'static str; 12] =
        ["get", "has", "size", "contains", "startsWith", "endsWith", "int", "double", "string", "bool", "min", "max"];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "size" => Some(Self::Size),
            "contains" => Some(Self::Contains),
            "startsWith" => Some(Self::StartsWith),
            "endsWith" => Some(Self::EndsWith),
            "int" => Some(Self::Int),
            "double" => Some(Self::Double),
            "string" => Some(Self::Text),
            "bool" => Some(Self::Bool),
            "min" => Some(Self::Min),
            "max" => Some(Self::Max),
            _ => None,
        }
    }

    /// As people write it.
    pub(super) fn usage(self) -> &'static str {
        match self {
            Self::Size => "size(x)",
            Self::Contains => "text.contains(part)",
            Self::StartsWith => "text.startsWith(part)",
            Self::EndsWith => "text.endsWith(part)",
            Self::Int => "int(x)",
            Self::Double => "double(x)",
            Self::Text => "string(x)",
            Self::Bool => "bool(x)",
            Self::Min => "min(a, b)",
            Self::Max => "max(a, b)",
        }
    }

    fn kind_but_boolean(self) -> Option<&'static str> {
        match self {
            Self::Size | Self::Int | Self::Double | Self::Min | Self::Max => Some("a number"),
            Self::Text => Some("a string"),
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Bool => None,
        }
    }
}
