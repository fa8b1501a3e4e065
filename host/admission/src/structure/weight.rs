//! How large a type is when everything that it refers to is written out.

use wasmparser::{ComponentDefinedType, ComponentFuncType, ComponentType, ComponentValType};

use super::bound::Bound;
use super::scope::Scope;
use crate::refusal::Refusal;

/// How many bytes of a name count as one part: types are copied along with the names in them.
const NAME_BYTES_A_PART: u64 = 64;

/// The size and depth of a type. Sums saturate: types may refer to others twice, and those to others twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weight {
    /// Its parts, each as often as it is used.
    pub(super) size: u64,
    /// Its levels.
    pub(super) depth: u64,
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}

impl Weight {
    /// A type without parts.
    pub(super) const ONE: Self = Self { size: 1, depth: 1 };

    /// Adds a part, of which the type is then made.
    pub(super) fn contain(&mut self, part: Self) {
        self.size = self.size.saturating_add(part.size);
        self.depth = self.depth.max(part.depth.saturating_add(1));
    }

    /// Adds a name that stands in the type.
    pub(super) const fn name(&mut self, name: &str) {
        self.size = self.size.saturating_add(name.len() as u64 / NAME_BYTES_A_PART);
    }

    /// Refuses a type that is too deep to be gone through.
    pub(super) fn check_depth(self) -> Result<(), Refusal> {
        Bound::TYPE_DEPTH.check(self.depth)
    }

    /// A type that has no scope of its own.
    pub(super) fn of(ty: &ComponentType<'_>, scope: &Scope<'_>) -> Result<Self, Refusal> {
        match ty {
            ComponentType::Defined(defined) => Self::of_defined(defined, scope),
            ComponentType::Func(func) => Self::of_func(func, scope),
            // The types that have a scope are read apart, one declaration at a time.
            ComponentType::Resource { .. } | ComponentType::Component(_) | ComponentType::Instance(_) => Ok(Self::ONE),
        }
    }

    fn of_func(func: &ComponentFuncType<'_>, scope: &Scope<'_>) -> Result<Self, Refusal> {
        let types = func.params.iter().map(|(_, ty)| *ty).chain(func.result);
        Ok(Self::made_of(types, scope)?.with_names(func.params.iter().map(|(name, _)| *name)))
    }

    fn of_defined(ty: &ComponentDefinedType<'_>, scope: &Scope<'_>) -> Result<Self, Refusal> {
        use ComponentDefinedType as Ty;
        match ty {
            Ty::Record(fields) => {
                let weight = Self::made_of(fields.iter().map(|(_, ty)| *ty), scope)?;
                Ok(weight.with_names(fields.iter().map(|(name, _)| *name)))
            }
            Ty::Variant(cases) => {
                let mut weight = Self::made_of(cases.iter().filter_map(|case| case.ty), scope)?;
                weight.size = weight.size.saturating_add(cases.len() as u64);
                Ok(weight.with_names(cases.iter().map(|case| case.name)))
            }
            Ty::Tuple(parts) => Self::made_of(parts.iter().copied(), scope),
            Ty::List(of) | Ty::Option(of) => Self::made_of([*of], scope),
            Ty::Result { ok, err } => Self::made_of([*ok, *err].into_iter().flatten(), scope),
            Ty::Map(key, value) => Self::made_of([*key, *value], scope),
            Ty::Future(of) | Ty::Stream(of) => Self::made_of(*of, scope),
            Ty::FixedLengthList(of, len) => {
                let mut weight = Self::made_of([*of], scope)?;
                weight.size = weight.size.saturating_mul(u64::from(*len).max(1));
                Ok(weight)
            }
            Ty::Flags(names) | Ty::Enum(names) => {
                let weight = Self { size: 1 + names.len() as u64, ..Self::ONE };
                Ok(weight.with_names(names.iter().copied()))
            }
            Ty::Primitive(_) | Ty::Own(_) | Ty::Borrow(_) => Ok(Self::ONE),
        }
    }

    fn with_names<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().for_each(|name| self.name(name));
        self
    }

    fn made_of(parts: impl IntoIterator<Item = ComponentValType>, scope: &Scope<'_>) -> Result<Self, Refusal> {
        let mut weight = Self::ONE;
        for part in parts {
            weight.contain(scope.weight_of(part)?);
        }
        Ok(weight)
    }
}
