//! The types that a component defines, one declaration at a time.
//!
//! A type of a component or instance has declarations that may be such types again. The crate that reads them follows
//! with recursion, as deep as whoever wrote the file likes, and so does what checks them: a stack that overflows ends
//! the process. So these types are read here first, with a stack of our own, which has a bound.

use std::ops::Range;
use std::rc::Rc;

use wasmparser::{BinaryReader, ComponentExternName, ComponentType, ComponentTypeRef, FromReader};

use super::scope::{Item, Scope, Type};
use super::weight::Weight;
use super::{FEATURES, Walk, unreadable};
use crate::refusal::Refusal;

/// The byte that begins the type of a component.
const COMPONENT: u8 = 0x41;

/// The byte that begins the type of an instance.
const INSTANCE: u8 = 0x42;

/// A list of which some items are still to be read.
enum List {
    /// The types of the section.
    Section,
    /// The declarations in the type of a component.
    Component,
    /// The declarations in the type of an instance.
    Instance,
}

impl<'a> Walk<'a> {
    /// Takes in a section of types.
    pub(super) fn types(&mut self, range: Range<usize>) -> Result<(), Refusal> {
        let bytes = self.bytes.get(range.clone()).unwrap_or_default();
        let mut reader = BinaryReader::new_features(bytes, range.start, FEATURES);
        let mut lists = vec![(List::Section, reader.read_var_u32().map_err(unreadable)?)];
        while let Some((list, left)) = lists.last_mut() {
            if *left == 0 {
                self.close(list)?;
                lists.pop();
                continue;
            }
            *left -= 1;
            let opened = match list {
                List::Section => self.ty(&mut reader)?,
                List::Component | List::Instance => self.declaration(&mut reader)?,
            };
            lists.extend(opened);
        }
        Ok(())
    }

    /// Reads a declaration; gives back the list that begins with it.
    fn declaration(&mut self, reader: &mut BinaryReader<'a>) -> Result<Option<(List, u32)>, Refusal> {
        match reader.read_u8().map_err(unreadable)? {
            0x00 => self.core_type(&read(reader)?)?,
            0x01 => return self.ty(reader),
            0x02 => self.alias(&read(reader)?)?,
            // Only the types of components import; the others are refused when they are checked.
            0x03 => self.import(read(reader)?)?,
            0x04 => {
                let name: ComponentExternName<'a> = read(reader)?;
                let item = self.scope()?.of_type(read::<ComponentTypeRef>(reader)?)?;
                self.define(item.weight())?;
                self.name_export(name.name, item)?;
            }
            other => {
                return Err(Refusal::Unreadable {
                    reason: format!("a type has a declaration of unknown kind {other}"),
                });
            }
        }
        Ok(None)
    }

    /// Reads a type; gives back the list that begins with it.
    fn ty(&mut self, reader: &mut BinaryReader<'a>) -> Result<Option<(List, u32)>, Refusal> {
        let list = match reader.clone().read_u8().map_err(unreadable)? {
            COMPONENT => List::Component,
            INSTANCE => List::Instance,
            _ => {
                let ty: ComponentType<'a> = read(reader)?;
                let weight = Weight::of(&ty, self.scope()?)?;
                self.define(weight)?;
                self.scope()?.push(Item::Type(Type { weight, exports: None }));
                return Ok(None);
            }
        };
        reader.read_u8().map_err(unreadable)?;
        let len = reader.read_var_u32().map_err(unreadable)?;
        self.scopes.push(Scope::default());
        self.check_nesting()?;
        Ok(Some((list, len)))
    }

    /// Ends a list: what was declared in it is a type.
    fn close(&mut self, list: &List) -> Result<(), Refusal> {
        let scope = match list {
            List::Section => None,
            List::Component | List::Instance => self.scopes.pop(),
        };
        let Some(scope) = scope else { return Ok(()) };
        let (imports, exports) = (scope.imports, scope.exports);
        let mut weight = Weight::ONE;
        weight.contain(exports.weight);
        let exports = match list {
            List::Instance => Some(Rc::new(exports)),
            List::Section | List::Component => {
                weight.contain(imports);
                None
            }
        };
        self.define(weight)?;
        self.scope()?.push(Item::Type(Type { weight, exports }));
        Ok(())
    }
}

fn read<'a, T: FromReader<'a>>(reader: &mut BinaryReader<'a>) -> Result<T, Refusal> {
    reader.read().map_err(unreadable)
}
