//! What is no component, no step, or lies about what it is.

use std::borrow::Cow;

use wasm_encoder::CustomSection;
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

use crate::case::AttackGroup::Damaged;
use crate::case::Expected::{Harmless, Refused, RefusedOrHarmless};
use crate::case::{Expected, HostileCase};
use crate::compose::Composed;
use crate::guest::{CONTRACT, Guest};

/// What no reader can make sense of.
const UNREADABLE: &[&str] = &["admission.format"];

/// What does not keep the contract.
const CONTRACT_BROKEN: &[&str] = &["admission.contract"];

/// What the manifest's own rules refuse.
const MANIFEST: &[&str] = &["admission.manifest"];

const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>, expects: Expected) -> HostileCase {
    HostileCase::step(Damaged, name, tries, make, expects)
}

const fn unreadable(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>) -> HostileCase {
    case(name, tries, make, Refused(UNREADABLE))
}

/// A step without its end: so many hundredths of it.
fn cut_at(hundredths: usize) -> Vec<u8> {
    let mut bytes = Guest::step().build();
    bytes.truncate(bytes.len() * hundredths / 100);
    bytes
}

/// A step in which every so many bytes one bit is turned, from the first section on.
fn flipped_every(bytes_apart: usize) -> Vec<u8> {
    let mut bytes = Guest::step().build();
    bytes.iter_mut().skip(8 + bytes_apart).step_by(bytes_apart).for_each(|byte| *byte ^= 0x10);
    bytes
}

fn with_custom(name: &str, data: &[u8]) -> Vec<u8> {
    Composed::step().section(&CustomSection { name: name.into(), data: Cow::Borrowed(data) }).build()
}

fn with_manifest(text: impl AsRef<[u8]>) -> Vec<u8> {
    with_custom("stepcell:manifest", text.as_ref())
}

/// A component with functions that do nothing, of a world with these items.
fn of_world(contract: &str, items: &str, packages: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let wit = format!("{contract}\nworld hostile {{ {items} }}\n{packages}");
    let package = resolve.push_source("hostile.wit", &wit).expect("the WIT of attacks is well-formed");
    let world = resolve.select_world(&[package], Some("hostile")).expect("the world is in that text");
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("a world can be embedded");
    let mut encoder = ComponentEncoder::default().module(&module).expect("the module was made of the world");
    encoder.encode().expect("the module was made of the world")
}

/// The contract with a text in it that is another.
fn changed(from: &str, to: &str) -> String {
    assert!(CONTRACT.contains(from), "the contract has `{from}`");
    CONTRACT.replace(from, to)
}

pub(super) const CASES: &[HostileCase] = &[
    case("damaged-empty-file", "Is an empty file.", Vec::new, Refused(UNREADABLE)),
    case(
        "damaged-program-of-the-machine",
        "Is a program for the machine itself.",
        || b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00".to_vec(),
        Refused(UNREADABLE),
    ),
    case(
        "damaged-compiled-code",
        "Claims to be compiled already, so that nobody checks it.",
        || b"\x7fELF\x02\x01\x01\xc8wasmtime\x00\x00\x00\x00".to_vec(),
        Refused(UNREADABLE),
    ),
    case(
        "damaged-core-module",
        "Is a module where a component is wanted.",
        || wat::parse_str("(module)").expect("a module may be empty"),
        Refused(UNREADABLE),
    ),
    case(
        "damaged-wit-package",
        "Is the contract itself instead of something that keeps it.",
        || {
            let mut resolve = Resolve::default();
            let package = resolve.push_source("step.wit", CONTRACT).expect("the contract is well-formed");
            wit_component::encode(&resolve, package).expect("the contract can be encoded")
        },
        Refused(UNREADABLE),
    ),
    case(
        "damaged-header-alone",
        "Is a component with nothing in it.",
        || b"\0asm\x0d\0\x01\0".to_vec(),
        Refused(CONTRACT_BROKEN),
    ),
    unreadable("damaged-version-of-the-future", "Is of a version of the format that there is not.", || {
        let mut bytes = Guest::step().build();
        bytes[4] = 0x7f;
        bytes
    }),
    unreadable("damaged-cut-at-a-half", "Ends in its middle.", || cut_at(50)),
    unreadable("damaged-cut-near-the-end", "Ends shortly before its end.", || cut_at(97)),
    unreadable("damaged-flipped-bits", "Has a bit turned in every fortieth byte.", || flipped_every(40)),
    unreadable("damaged-one-flipped-bit", "Has one bit turned, somewhere in its middle.", || {
        let middle = Guest::step().build().len() / 2;
        flipped_every(middle)
    }),
    unreadable("damaged-length-that-lies", "Has a section that claims to have four thousand million bytes.", || {
        [b"\0asm\x0d\0\x01\0".as_slice(), &[0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, b'x']].concat()
    }),
    unreadable("damaged-count-that-lies", "Has a section that claims to hold four thousand million types.", || {
        [b"\0asm\x0d\0\x01\0".as_slice(), &[7, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat()
    }),
    unreadable("damaged-rubbish-behind-the-end", "Has rubbish behind its last section.", || {
        let mut bytes = Guest::step().build();
        bytes.extend([0x7f; 64]);
        bytes
    }),
    case(
        "damaged-manifest-that-is-none",
        "Has a manifest that is no JSON.",
        || with_manifest("{name:"),
        Refused(MANIFEST),
    ),
    case(
        "damaged-manifest-of-a-mib",
        "Has a manifest of one MiB.",
        || with_manifest(format!("\"{}\"", "x".repeat(1 << 20))),
        Refused(MANIFEST),
    ),
    case(
        "damaged-manifest-of-brackets",
        "Has a manifest of sixty thousand brackets.",
        || with_manifest("[".repeat(60_000)),
        Refused(MANIFEST),
    ),
    case(
        "damaged-manifest-that-shouts",
        "Claims in its manifest to be of the engine, in escapes for a terminal.",
        || with_manifest(r#"{"name":"engine/\u001b[2Jroot","version":"99999999999.0.0","summary":["\u202e"]}"#),
        Harmless,
    ),
    case(
        "damaged-names-that-lie",
        "Has a section of names that is rubbish.",
        || with_custom("name", &[0xff; 300]),
        RefusedOrHarmless(UNREADABLE),
    ),
    case(
        "damaged-world-that-lies",
        "Claims in a custom section to be made of another world.",
        || with_custom("component-type:hostile:encoded world", &[0; 300]),
        RefusedOrHarmless(UNREADABLE),
    ),
    case(
        "contract-no-step",
        "Implements nothing that the engine calls.",
        || of_world(CONTRACT, "export greet: func() -> string;", ""),
        Refused(CONTRACT_BROKEN),
    ),
    case(
        "contract-half-a-step",
        "Implements a step without its hooks.",
        || {
            let contract = changed("on-success: func(output: json) -> result<_, step-failure>;", "");
            of_world(&contract, "export step;", "")
        },
        Refused(CONTRACT_BROKEN),
    ),
    case(
        "contract-other-parameters",
        "Takes other parameters than it is called with.",
        || {
            let wanted = "execute: func(input: json) -> result<json, step-failure>;";
            let contract = changed(wanted, "execute: func(input: list<u64>) -> result<json, step-failure>;");
            of_world(&contract, "export step;", "")
        },
        Refused(CONTRACT_BROKEN),
    ),
    case(
        "contract-of-the-future",
        "Was built for a version of the contract that there is not.",
        || of_world(&changed("stepcell:step@0.1.0", "stepcell:step@0.9.0"), "export step;", ""),
        Refused(CONTRACT_BROKEN),
    ),
    case(
        "contract-more-than-there-is",
        "Calls a function of the host that there is not.",
        || {
            let contract = changed("interface config {", "interface config { read-file: func(path: string) -> string;");
            of_world(&contract, "import config; export step;", "")
        },
        Refused(CONTRACT_BROKEN),
    ),
    case(
        "contract-strange-imports",
        "Imports a store of other tenants' values.",
        || {
            let package = "package wasi:keyvalue@0.2.0 { interface store { get: func(key: string) -> string; } }";
            of_world(CONTRACT, "import wasi:keyvalue/store@0.2.0; export step;", package)
        },
        Refused(CONTRACT_BROKEN),
    ),
    case(
        "contract-wasi-of-another-shape",
        "Imports a function of WASI with other parameters than it has.",
        || {
            let package = "package wasi:cli@0.2.0 { interface environment { get-arguments: func(at: u64) -> u64; } }";
            of_world(CONTRACT, "import wasi:cli/environment@0.2.0; export step;", package)
        },
        Refused(&["admission.link", "admission.contract"]),
    ),
];
