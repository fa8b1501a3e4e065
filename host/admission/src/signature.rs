//! Function types as text, with every name resolved, so that a component's and the contract's can be compared.
//!
//! Types of a component are written by strangers: nesting and length are bounded, and what passes a bound compares
//! as unequal to anything in the contract.

pub(crate) mod component;
pub(crate) mod contract;

/// The deepest nesting of a type that is written out. Protects the host's stack.
const DEPTH_MAX: usize = 24;

/// The longest signature, in bytes. Protects the host's memory: a type may name others twice, and those others twice.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// The keyword of a function's type.
const FUNC: &str = "func";

/// The keyword of the type of a function that does not block.
const ASYNC_FUNC: &str = "async func";

/// Writes types out. What it is that has types, and how they are found, is for the implementation to say.
trait Write {
    /// How a type is named where it is used.
    type Ty;

    fn text(&mut self) -> &mut String;

    /// Writes a type that is at a depth within bounds.
    fn ty(&mut self, ty: &Self::Ty, depth: usize);

    fn write(&mut self, ty: &Self::Ty, depth: usize) {
        if depth > DEPTH_MAX || self.text().len() > TEXT_BYTES_MAX {
            self.text().push('…');
            return;
        }
        self.ty(ty, depth);
    }

    /// Writes a type that is made of others, such as `option<u8>`.
    fn around<'a>(&mut self, name: &str, types: impl IntoIterator<Item = Option<&'a Self::Ty>>, depth: usize)
    where
        Self::Ty: 'a,
    {
        self.text().push_str(name);
        self.text().push('<');
        self.list(types, |writer, ty| match ty {
            Some(ty) => writer.write(ty, depth),
            None => writer.text().push('_'),
        });
        self.text().push('>');
    }

    /// Writes a type with names inside, such as `record { text: string }`.
    fn cases<'a>(&mut self, name: &str, cases: impl IntoIterator<Item = (&'a str, Option<&'a Self::Ty>)>, depth: usize)
    where
        Self::Ty: 'a,
    {
        self.text().push_str(name);
        self.text().push_str(" { ");
        self.list(cases, |writer, (name, ty)| {
            writer.text().push_str(name);
            if let Some(ty) = ty {
                writer.text().push_str(": ");
                writer.write(ty, depth);
            }
        });
        self.text().push_str(" }");
    }

    /// Writes a function's type.
    fn function<'a>(
        &mut self,
        keyword: &str,
        params: impl IntoIterator<Item = (&'a str, &'a Self::Ty)>,
        result: Option<&Self::Ty>,
    ) where
        Self::Ty: 'a,
    {
        self.text().push_str(keyword);
        self.text().push('(');
        self.list(params, |writer, (name, ty)| {
            writer.text().push_str(name);
            writer.text().push_str(": ");
            writer.write(ty, 0);
        });
        self.text().push(')');
        if let Some(result) = result {
            self.text().push_str(" -> ");
            self.write(result, 0);
        }
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        for (at, item) in items.into_iter().enumerate() {
            if self.text().len() > TEXT_BYTES_MAX {
                self.text().push('…');
                return;
            }
            if at > 0 {
                self.text().push_str(", ");
            }
            write(self, item);
        }
    }
}
