//! The types of the contract, which is WIT.

use wit_parser::{Function, Handle, Resolve, Type, TypeDefKind, TypeId};

use super::{ASYNC_FUNC, FUNC, Write};

/// A function's type as text, such as `func(key: string) -> option<string>`.
pub(crate) fn signature(resolve: &Resolve, function: &Function) -> String {
    let mut writer = Writer { resolve, text: String::new() };
    let keyword = if function.kind.is_async() { ASYNC_FUNC } else { FUNC };
    let params = function.params.iter().map(|param| (param.name.as_str(), &param.ty));
    writer.function(keyword, params, function.result.as_ref());
    writer.text
}

struct Writer<'a> {
    resolve: &'a Resolve,
    text: String,
}

impl Write for Writer<'_> {
    type Ty = Type;

    fn text(&mut self) -> &mut String {
        &mut self.text
    }

    fn ty(&mut self, ty: &Type, depth: usize) {
        match primitive(ty) {
            Ok(name) => self.text.push_str(name),
            Err(id) => self.defined(id, depth + 1),
        }
    }
}

impl Writer<'_> {
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
            TypeDefKind::Handle(Handle::Own(_)) => self.text.push_str("own"),
            TypeDefKind::Handle(Handle::Borrow(_)) => self.text.push_str("borrow"),
            other => self.text.push_str(other.as_str()),
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
        let mut resolve = Resolve::default();
        resolve.push_source("test.wit", wit).unwrap();
        let (_, interface) = resolve.interfaces.iter().next().unwrap();

        let signatures: Vec<_> = interface.functions.values().map(|function| signature(&resolve, function)).collect();

        assert_eq!(
            signatures,
            [
                "func(key: string, of: list<record { text: string, level: enum { low, high } }>) \
                 -> result<_, variant { clean, broken: u8 }>",
                "func() -> result<option<u64>, _>",
            ]
        );
    }
}
