//! Function types as text, with every name resolved, so that a component's and the contract's can be compared.
//!
//! Types of a component are written by strangers: nesting and length are bounded, and what passes a bound compares
//! as unequal to anything in the contract.

use wit_parser::{Function, Handle, Resolve, Type, TypeDefKind, TypeId};

/// The deepest nesting of a type that is written out. Protects the host's stack.
const DEPTH_MAX: usize = 24;

/// The longest signature, in bytes. Protects the host's memory: a type may name others twice, and those others twice.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// A function's type as text, such as `func(key: string) -> option<string>`.
pub(crate) fn signature(resolve: &Resolve, function: &Function) -> String {
    let mut writer = Writer { resolve, text: String::new() };
    writer.text.push_str(if function.kind.is_async() { "async func(" } else { "func(" });
    writer.list(&function.params, |writer, param| {
        writer.text.push_str(&param.name);
        writer.text.push_str(": ");
        writer.write(&param.ty, 0);
    });
    writer.text.push(')');
    if let Some(result) = &function.result {
        writer.text.push_str(" -> ");
        writer.write(result, 0);
    }
    writer.text
}

struct Writer<'a> {
    resolve: &'a Resolve,
    text: String,
}

impl Writer<'_> {
    fn write(&mut self, ty: &Type, depth: usize) {
        if depth > DEPTH_MAX || self.text.len() > TEXT_BYTES_MAX {
            self.text.push('…');
            return;
        }
        match primitive(ty) {
            Ok(name) => self.text.push_str(name),
            Err(id) => self.defined(id, depth + 1),
        }
    }

    fn defined(&mut self, id: TypeId, depth: usize) {
        let resolve = self.resolve;
        let definition = &resolve.types[id];
        match &definition.kind {
            TypeDefKind::Type(alias) => self.write(alias, depth),
            TypeDefKind::Option(of) => self.around("option", [Some(of)], depth),
            TypeDefKind::List(of) => self.around("list", [Some(of)], depth),
            TypeDefKind::Result(result) => self.around("result", [result.ok.as_ref(), result.err.as_ref()], depth),
            TypeDefKind::Tuple(tuple) => self.around("tuple", tuple.types.iter().map(Some), depth),
            TypeDefKind::Record(record) => {
                self.cases("record", record.fields.iter().map(|field| (field.name.as_str(), Some(&field.ty))), depth);
            }
            TypeDefKind::Variant(variant) => {
                self.cases("variant", variant.cases.iter().map(|case| (case.name.as_str(), case.ty.as_ref())), depth);
            }
            TypeDefKind::Enum(words) => {
                self.cases("enum", words.cases.iter().map(|case| (case.name.as_str(), None)), depth);
            }
            TypeDefKind::Flags(flags) => {
                self.cases("flags", flags.flags.iter().map(|flag| (flag.name.as_str(), None)), depth);
            }
            TypeDefKind::Handle(Handle::Own(id)) => self.resource("own", *id),
            TypeDefKind::Handle(Handle::Borrow(id)) => self.resource("borrow", *id),
            other => self.text.push_str(other.as_str()),
        }
    }

    fn around<'a>(&mut self, name: &str, types: impl IntoIterator<Item = Option<&'a Type>>, depth: usize) {
        self.text.push_str(name);
        self.text.push('<');
        self.list(types, |writer, ty| match ty {
            Some(ty) => writer.write(ty, depth),
            None => writer.text.push('_'),
        });
        self.text.push('>');
    }

    fn cases<'a>(&mut self, name: &str, cases: impl IntoIterator<Item = (&'a str, Option<&'a Type>)>, depth: usize) {
        self.text.push_str(name);
        self.text.push_str(" { ");
        self.list(cases, |writer, (name, ty)| {
            writer.text.push_str(name);
            if let Some(ty) = ty {
                writer.text.push_str(": ");
                writer.write(ty, depth);
            }
        });
        self.text.push_str(" }");
    }

    fn resource(&mut self, handle: &str, id: TypeId) {
        let name = self.resolve.types[id].name.as_deref().unwrap_or("_");
        self.text.push_str(&format!("{handle}<{name}>"));
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        for (at, item) in items.into_iter().enumerate() {
            if self.text.len() > TEXT_BYTES_MAX {
                self.text.push('…');
                return;
            }
            if at > 0 {
                self.text.push_str(", ");
            }
            write(self, item);
        }
    }
}

/// The name of a type that has no parts, or the id of one that is defined.
const fn primitive(ty: &Type) -> Result<&'static str, TypeId> {
    Ok(match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
        Type::Id(id) => return Err(*id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signatures(wit: &str) -> Vec<String> {
        let mut resolve = Resolve::default();
        resolve.push_source("test.wit", wit).unwrap();
        let (_, interface) = resolve.interfaces.iter().next().unwrap();
        interface.functions.values().map(|function| signature(&resolve, function)).collect()
    }

    #[test]
    fn aliases_are_resolved_and_records_written_out() {
        let wit = "package a:b; interface i {
            type json = string;
            enum level { low, high }
            record line { text: json, level: level }
            variant end { clean, broken(u8) }
            f: func(key: json, of: list<line>) -> result<_, end>;
            g: func() -> result<option<u64>>;
        }";

        assert_eq!(
            signatures(wit),
            [
                "func(key: string, of: list<record { text: string, level: enum { low, high } }>) \
                 -> result<_, variant { clean, broken: u8 }>",
                "func() -> result<option<u64>, _>",
            ]
        );
    }

    #[test]
    fn a_type_that_doubles_at_each_level_is_cut_off_instead_of_written_out() {
        let types: String = (1..60).map(|at| format!("type t{at} = tuple<t{0}, t{0}>;\n", at - 1)).collect();
        let wit = format!("package a:b; interface i {{ type t0 = u8; {types} f: func(a: t59, b: t59); }}");

        let text = signatures(&wit).remove(0);

        assert!(text.contains('…') && text.len() < 2 * TEXT_BYTES_MAX, "{}", text.len());
    }
}
