//! What the names inside a component, or inside the type of one, refer to: as much of it as counting needs.
//!
//! Every entry is an item of the file, never of what the file expands to: an instance shares the exports of what it is
//! an instance of. So this takes memory in proportion to the definitions in the file, of which there is a bound.

use std::collections::HashMap;
use std::rc::Rc;

use wasmparser::{ComponentExternalKind, ComponentTypeRef, TypeBounds};

use super::cost::Cost;
use super::weight::Weight;
use crate::refusal::Refusal;

/// The index spaces of a component or of the type of a component or instance, as far as it has been read.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    /// What an instance of it takes.
    pub(super) cost: Cost,
    /// The types of its imports.
    pub(super) imports: Weight,
    /// How many functions it imports.
    pub(super) imported_functions: u64,
    /// What it exports.
    pub(super) exports: Exports<'a>,
    types: Vec<Type<'a>>,
    modules: Vec<Option<Cost>>,
    components: Vec<Option<Rc<Template<'a>>>>,
    instances: Vec<Rc<Exports<'a>>>,
    funcs: Vec<Weight>,
}

/// What a name refers to.
#[derive(Clone, Debug)]
pub(super) enum Item<'a> {
    /// A module, and what an instance of it takes; none if it comes from outside.
    Module(Option<Cost>),
    /// A component; none if it comes from outside.
    Component(Option<Rc<Template<'a>>>),
    /// An instance.
    Instance(Rc<Exports<'a>>),
    /// A function, with its type.
    Func(Weight),
    /// A type.
    Type(Type<'a>),
    /// A value, with its type.
    Value(Weight),
}

/// A component in the file that can be instantiated.
#[derive(Debug)]
pub(super) struct Template<'a> {
    /// What an instance of it takes.
    pub(super) cost: Cost,
    /// The types of its imports.
    pub(super) imports: Weight,
    /// What an instance of it exports.
    pub(super) exports: Rc<Exports<'a>>,
}

/// A type; of an instance also what it exports.
#[derive(Clone, Debug)]
pub(super) struct Type<'a> {
    pub(super) weight: Weight,
    pub(super) exports: Option<Rc<Exports<'a>>>,
}

/// What an instance exports.
#[derive(Debug, Default)]
pub(super) struct Exports<'a> {
    pub(super) weight: Weight,
    /// How many functions, in instances inside too.
    pub(super) functions: u64,
    items: HashMap<&'a str, Item<'a>>,
}

impl<'a> Exports<'a> {
    pub(super) fn insert(&mut self, name: &'a str, item: Item<'a>) {
        self.weight.contain(item.weight());
        self.weight.name(name);
        self.functions = self.functions.saturating_add(item.functions());
        self.items.insert(name, item);
    }
}

impl Item<'_> {
    pub(super) fn weight(&self) -> Weight {
        match self {
            Self::Module(_) | Self::Component(None) => Weight::ONE,
            Self::Component(Some(template)) => {
                let mut weight = Weight::ONE;
                weight.contain(template.imports);
                weight.contain(template.exports.weight);
                weight
            }
            Self::Instance(exports) => exports.weight,
            Self::Func(weight) | Self::Value(weight) => *weight,
            Self::Type(ty) => ty.weight,
        }
    }

    /// How many functions it is or exports.
    pub(super) fn functions(&self) -> u64 {
        match self {
            Self::Func(_) => 1,
            Self::Instance(exports) => exports.functions,
            Self::Module(_) | Self::Component(_) | Self::Type(_) | Self::Value(_) => 0,
        }
    }
}

impl<'a> Scope<'a> {
    /// Gives an item the next index of its kind.
    pub(super) fn push(&mut self, item: Item<'a>) {
        match item {
            Item::Module(module) => self.modules.push(module),
            Item::Component(component) => self.components.push(component),
            Item::Instance(instance) => self.instances.push(instance),
            Item::Func(func) => self.funcs.push(func),
            Item::Type(ty) => self.types.push(ty),
            // The proposal for values is off: whatever refers to one is refused when types are checked.
            Item::Value(_) => {}
        }
    }

    /// The item of a kind with an index.
    pub(super) fn item(&self, kind: ComponentExternalKind, index: u32) -> Result<Item<'a>, Refusal> {
        Ok(match kind {
            ComponentExternalKind::Module => Item::Module(*at(&self.modules, index, "module")?),
            ComponentExternalKind::Component => Item::Component(at(&self.components, index, "component")?.clone()),
            ComponentExternalKind::Instance => Item::Instance(Rc::clone(at(&self.instances, index, "instance")?)),
            ComponentExternalKind::Func => Item::Func(*at(&self.funcs, index, "function")?),
            ComponentExternalKind::Type => Item::Type(self.ty(index)?.clone()),
            ComponentExternalKind::Value => return Err(missing("value", index)),
        })
    }

    /// An item that comes from outside, by what is said of its type.
    pub(super) fn of_type(&self, ty: ComponentTypeRef) -> Result<Item<'a>, Refusal> {
        Ok(match ty {
            ComponentTypeRef::Module(_) => Item::Module(None),
            ComponentTypeRef::Component(_) => Item::Component(None),
            ComponentTypeRef::Func(index) => Item::Func(self.ty(index)?.weight),
            ComponentTypeRef::Value(ty) => Item::Value(self.weight_of(ty)?),
            ComponentTypeRef::Type(TypeBounds::Eq(index)) => Item::Type(self.ty(index)?.clone()),
            ComponentTypeRef::Type(TypeBounds::SubResource) => Item::Type(Type { weight: Weight::ONE, exports: None }),
            ComponentTypeRef::Instance(index) => {
                let exports = self.ty(index)?.exports.as_ref();
                Item::Instance(Rc::clone(exports.ok_or_else(|| missing("type of an instance", index))?))
            }
        })
    }

    /// An export of an instance.
    pub(super) fn export_of(&self, instance: u32, name: &str) -> Result<Item<'a>, Refusal> {
        let exports = at(&self.instances, instance, "instance")?;
        let item = exports.items.get(name).cloned();
        item.ok_or_else(|| Refusal::Unreadable { reason: format!("instance {instance} lacks an export that is used") })
    }

    pub(super) fn ty(&self, index: u32) -> Result<&Type<'a>, Refusal> {
        at(&self.types, index, "type")
    }

    pub(super) fn weight_of(&self, ty: wasmparser::ComponentValType) -> Result<Weight, Refusal> {
        match ty {
            wasmparser::ComponentValType::Primitive(_) => Ok(Weight::ONE),
            wasmparser::ComponentValType::Type(index) => Ok(self.ty(index)?.weight),
        }
    }
}

fn at<'s, T>(space: &'s [T], index: u32, what: &str) -> Result<&'s T, Refusal> {
    space.get(index as usize).ok_or_else(|| missing(what, index))
}

fn missing(what: &str, index: u32) -> Refusal {
    Refusal::Unreadable { reason: format!("there is no {what} {index}") }
}
