//! A step or gateway written in WebAssembly's text form: what each of its functions does is up to the attack.
//!
//! Memory has four pages unless an attack says otherwise: at `$ok` and `$failed` lie results, at `$ret` is room for what
//! a host function returns, at 512 what an attack puts there, at 1024 the output, and from 131072 on whatever the host
//! hands in.

use std::fmt::Write as _;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The contract.
pub(crate) const CONTRACT: &str = include_str!("../../../wit/step.wit");

/// What attacks import of WASI.
const WASI: &str = include_str!("../wit/wasi.wit");

/// Everything that an attack may import; what its module does not name is left out of the component.
const IMPORTS: &str = "
    include imports;
    import wasi:io/poll@0.2.0;
    import wasi:io/streams@0.2.0;
    import wasi:clocks/monotonic-clock@0.2.0;
    import wasi:clocks/wall-clock@0.2.0;
    import wasi:random/random@0.2.0;
    import wasi:random/insecure@0.2.0;
    import wasi:filesystem/preopens@0.2.0;
    import wasi:cli/environment@0.2.0;
    import wasi:cli/exit@0.2.0;
    import wasi:cli/stdin@0.2.0;
    import wasi:cli/stdout@0.2.0;
    import wasi:cli/stderr@0.2.0;
    import wasi:cli/terminal-stdout@0.2.0;
    import wasi:sockets/instance-network@0.2.0;
    import wasi:sockets/ip-name-lookup@0.2.0;
    import wasi:sockets/tcp-create-socket@0.2.0;
    import wasi:sockets/udp-create-socket@0.2.0;
    import wasi:http/types@0.2.0;
    import wasi:http/outgoing-handler@0.2.0;";

/// What every attack may call: answers with a text, and a look at what should not be.
const PRELUDE: &str = r#"
    (global $ok i32 (i32.const 32))
    (global $failed i32 (i32.const 64))
    (global $ret i32 (i32.const 256))
    (data (i32.const 0) "\00\00\00\00\01")
    (func $answer (param $at i32) (param $bytes i32) (result i32)
        (i32.store (i32.const 36) (local.get $at))
        (i32.store (i32.const 40) (local.get $bytes))
        (i32.const 32))
    (func $must (param $holds i32)
        (if (i32.eqz (local.get $holds)) (then unreachable)))"#;

/// What computes for ever.
pub(crate) const FOR_EVER: &str = "(loop $again (br $again)) unreachable";

/// A component in the making. Without anything said, it is a step that does nothing and returns `1`.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    interface: Interface,
    imports: String,
    memory: String,
    definitions: String,
    output: Vec<u8>,
    realloc: String,
    can_execute: String,
    work: String,
    post_return: Option<String>,
    on_success: String,
    on_failure: String,
}

/// What a component exports.
#[derive(Clone, Copy, Debug)]
enum Interface {
    Step,
    Gateway,
}

/// What a guest says of its failure, as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failing {
    pub(crate) code: &'static str,
    pub(crate) message: &'static str,
    pub(crate) retry_after_ms: Option<u32>,
    pub(crate) details: Option<&'static str>,
}

impl Failing {
    /// A failure with this code.
    pub(crate) const fn with(code: &'static str) -> Self {
        Self { code, message: "It did not work.", retry_after_ms: None, details: None }
    }
}

impl Guest {
    /// A step.
    pub(crate) fn step() -> Self {
        Self {
            interface: Interface::Step,
            imports: String::new(),
            memory: r#"(memory (export "memory") 4)"#.to_owned(),
            definitions: String::new(),
            output: b"1".to_vec(),
            realloc: "(i32.const 131072)".to_owned(),
            can_execute: "(i32.const 0)".to_owned(),
            work: "(global.get $ok)".to_owned(),
            post_return: None,
            on_success: "(i32.const 0)".to_owned(),
            on_failure: "(i32.const 0)".to_owned(),
        }
    }

    /// A gateway that names no step.
    pub(crate) fn gateway() -> Self {
        Self { interface: Interface::Gateway, work: "(i32.const 16)".to_owned(), ..Self::step() }
    }

    /// Imports functions of the host.
    pub(crate) fn importing(mut self, functions: &[&str]) -> Self {
        for function in functions {
            self.imports.push_str(function);
        }
        self
    }

    /// Has memory of so many pages of 64 KiB.
    pub(crate) fn pages(self, pages: u32) -> Self {
        let memory = format!(r#"(memory (export "memory") {pages})"#);
        Self { memory, ..self }
    }

    /// Has more functions, data, tables, globals.
    pub(crate) fn with(mut self, definitions: &str) -> Self {
        self.definitions.push_str(definitions);
        self
    }

    /// Has a text where attacks keep theirs.
    pub(crate) fn text(self, text: impl AsRef<[u8]>) -> Self {
        self.with(&format!(r#"(data (i32.const 512) "{}")"#, escaped(text.as_ref())))
    }

    /// Returns this text.
    pub(crate) fn output(self, output: impl AsRef<[u8]>) -> Self {
        Self { output: output.as_ref().to_vec(), ..self }
    }

    /// Does this where the host asks for room, which its parameters `$old`, `$old_bytes`, `$align` and `$bytes` tell of.
    pub(crate) fn realloc(self, body: &str) -> Self {
        Self { realloc: body.to_owned(), ..self }
    }

    /// Does this in `can-execute`.
    pub(crate) fn can_execute(self, body: &str) -> Self {
        Self { can_execute: body.to_owned(), ..self }
    }

    /// Does this in `execute`, or `evaluate`, and returns the address of its result.
    pub(crate) fn work(self, body: &str) -> Self {
        Self { work: body.to_owned(), ..self }
    }

    /// Does this in `execute`, and returns its usual output.
    pub(crate) fn first(self, body: &str) -> Self {
        self.work(&format!("{body} (global.get $ok)"))
    }

    /// Does this so many times in `execute`, and returns its usual output. `$i` counts.
    pub(crate) fn times(self, times: u32, body: &str) -> Self {
        self.work(&format!(
            "(local $i i32)
             (loop $again
                {body}
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const {times}))))
             (global.get $ok)"
        ))
    }

    /// Does this in `execute` again and again.
    pub(crate) fn endlessly(self, body: &str) -> Self {
        self.work(&format!("(loop $again {body} (br $again)) unreachable"))
    }

    /// Does this once the host has read what `execute` returned.
    pub(crate) fn post_return(self, body: &str) -> Self {
        Self { post_return: Some(body.to_owned()), ..self }
    }

    /// Does this in `on-success`.
    pub(crate) fn on_success(self, body: &str) -> Self {
        Self { on_success: body.to_owned(), ..self }
    }

    /// Does this in `on-failure`.
    pub(crate) fn on_failure(self, body: &str) -> Self {
        Self { on_failure: body.to_owned(), ..self }
    }

    /// Has a failure at `$failed`.
    pub(crate) fn failure(self, failing: Failing) -> Self {
        let Failing { code, message, retry_after_ms, details } = failing;
        let (code_at, message_at, details_at) = (512_u32, 8_192_u32, 65_536_u32);
        let len = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
        let words = [
            1,
            code_at,
            len(code),
            message_at,
            len(message),
            u32::from(retry_after_ms.is_some()),
            u32::from(retry_after_ms.is_some()),
            retry_after_ms.unwrap_or(0),
            u32::from(details.is_some()),
            details_at,
            len(details.unwrap_or("")),
        ];
        let mut guest = self.with(&format!(r#"(data (i32.const 64) "{}")"#, escaped(&bytes_of(&words))));
        for (at, text) in [(code_at, code), (message_at, message), (details_at, details.unwrap_or(""))] {
            let _ = write!(guest.definitions, r#"(data (i32.const {at}) "{}")"#, escaped(text.as_bytes()));
        }
        guest
    }

    /// Fails so in `execute`.
    pub(crate) fn failing(self, failing: Failing) -> Self {
        self.failure(failing).work("(global.get $failed)")
    }

    /// The component.
    ///
    /// # Panics
    /// If an attack is written wrong.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut module = wat::parse_str(self.module()).expect("attacks are written in WebAssembly's text form");
        let exported = match self.interface {
            Interface::Step => "step",
            Interface::Gateway => "gateway",
        };
        let wit = format!("{CONTRACT}\nworld hostile {{ {IMPORTS} export {exported}; }}\n{WASI}");
        let mut resolve = Resolve::default();
        let package = resolve.push_source("hostile.wit", &wit).expect("the WIT of attacks is well-formed");
        let world = resolve.select_world(&[package], Some("hostile")).expect("the world is in that text");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("a world can be embedded");
        let encoder = ComponentEncoder::default().module(&module).expect("attacks import what their world has");
        encoder.validate(false).encode().expect("attacks export what their world has")
    }

    fn module(&self) -> String {
        let Self { imports, memory, definitions, realloc, .. } = self;
        let output = format!(
            r#"(data (i32.const 32) "\00\00\00\00\00\04\00\00{}") (data (i32.const 1024) "{}")"#,
            escaped(&bytes_of(&[u32::try_from(self.output.len()).unwrap_or(u32::MAX)])),
            escaped(&self.output)
        );
        format!(
            r#"(module
                {imports}
                {memory}
                {PRELUDE}
                {output}
                {definitions}
                (func $realloc (export "cabi_realloc")
                    (param $old i32) (param $old_bytes i32) (param $align i32) (param $bytes i32) (result i32)
                    {realloc})
                {exports})"#,
            exports = self.exports(),
        )
    }

    fn exports(&self) -> String {
        let Self { can_execute, work, on_success, on_failure, .. } = self;
        let (worker, mut exports) = match self.interface {
            Interface::Step => (
                "stepcell:step/step@0.1.0#execute",
                format!(
                    r#"
                    (func (export "stepcell:step/step@0.1.0#can-execute") (param i32 i32) (result i32) {can_execute})
                    (func (export "stepcell:step/step@0.1.0#execute") (param i32 i32) (result i32) {work})
                    (func (export "stepcell:step/step@0.1.0#on-success") (param i32 i32) (result i32) {on_success})
                    (func (export "stepcell:step/step@0.1.0#on-failure")
                        (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {on_failure})"#
                ),
            ),
            Interface::Gateway => (
                "stepcell:step/gateway@0.1.0#evaluate",
                format!(
                    r#"(func (export "stepcell:step/gateway@0.1.0#evaluate") (param i32 i32 i32 i32) (result i32) {work})"#
                ),
            ),
        };
        if let Some(body) = &self.post_return {
            let _ = write!(exports, r#"(func (export "cabi_post_{worker}") (param i32) {body})"#);
        }
        exports
    }
}

fn bytes_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Bytes as the text form writes them.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:02x}");
        text
    })
}
