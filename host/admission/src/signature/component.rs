//! The types of a component, as the validator knows them.

use wasmparser::PrimitiveValType;
use wasmparser::component_types::{
    ComponentDefinedType, ComponentDefinedTypeId, ComponentFuncTypeId, ComponentValType,
};
use wasmparser::types::TypesRef;

use super::{ASYNC_FUNC, FUNC, Write};

/// A function's type as text, such as `func(key: string) -> option<string>`.
pub(crate) fn signature(types: TypesRef<'_>, function: ComponentFuncTypeId) -> String {
    let mut writer = Writer { types, text: String::new() };
    let function = &types[function];
    let keyword = if function.async_ { ASYNC_FUNC } else { FUNC };
    let params = function.params.iter().map(|(name, ty)| (name.as_str(), ty));
    writer.function(keyword, params, function.result.as_ref());
    writer.text
}

struct Writer<'a> {
    types: TypesRef<'a>,
    text: String,
}

impl Write for Writer<'_> {
    type Ty = ComponentValType;

    fn text(&mut self) -> &mut String {
        &mut self.text
    }

    fn ty(&mut self, ty: &ComponentValType, depth: usize) {
        match ty {
            ComponentValType::Primitive(ty) => self.primitive(*ty),
            ComponentValType::Type(id) => self.defined(*id, depth + 1),
        }
    }
}

impl Writer<'_> {
    fn primitive(&mut self, ty: PrimitiveValType) {
        self.text.push_str(&ty.to_string());
    }

    fn defined(&mut self, id: ComponentDefinedTypeId, depth: usize) {
        use ComponentDefinedType as Ty;
        let types = self.types;
        match &types[id] {
            Ty::Primitive(ty) => self.primitive(*ty),
            Ty::Option { ty, .. } => self.around("option", [Some(ty)], depth),
            Ty::List { element, .. } => self.around("list", [Some(element)], depth),
            Ty::Result { ok, err, .. } => self.around("result", [ok.as_ref(), err.as_ref()], depth),
            Ty::Tuple(tuple) => self.around("tuple", tuple.types.iter().map(Some), depth),
            Ty::Record(record) => {
                self.cases("record", record.fields.iter().map(|(name, ty)| (name.as_str(), Some(ty))), depth);
            }
            Ty::Variant(variant) => {
                let cases = variant.cases.iter().map(|(name, case)| (name.as_str(), case.ty.as_ref()));
                self.cases("variant", cases, depth);
            }
            Ty::Enum(words) => self.cases("enum", words.iter().map(|word| (word.as_str(), None)), depth),
            Ty::Flags(flags) => self.cases("flags", flags.iter().map(|flag| (flag.as_str(), None)), depth),
            Ty::Own(_) => self.text.push_str("own"),
            Ty::Borrow(_) => self.text.push_str("borrow"),
            Ty::Map { key, value, .. } => self.around("map", [Some(key), Some(value)], depth),
            Ty::FixedLengthList { .. } => self.text.push_str("fixed-length list"),
            Ty::Future { ty, .. } => self.around("future", [ty.as_ref()], depth),
            Ty::Stream { ty, .. } => self.around("stream", [ty.as_ref()], depth),
        }
    }
}
