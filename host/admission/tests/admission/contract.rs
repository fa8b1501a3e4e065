//! What is let in and what is not, and what each refusal says.

use stepcell_admission::{Refusal, inspect};
use stepcell_model::component::{Capability, ComponentExports};
use stepcell_model::id::ComponentDigest;

use crate::assembly::{CONTRACT, component_of, package_of, with_section, with_world};
use crate::guests;

fn refusal(bytes: &[u8]) -> Refusal {
    inspect(bytes).unwrap_err()
}

/// The contract with one text replaced.
fn changed(from: &str, to: &str) -> String {
    assert!(CONTRACT.contains(from), "{from}");
    CONTRACT.replace(from, to)
}

#[test]
fn a_step_made_with_the_sdk_is_let_in_and_described() {
    let bytes = guests::component("greet");

    let facts = inspect(&bytes).unwrap();

    assert_eq!((facts.digest, facts.size_bytes), (ComponentDigest::of(&bytes), bytes.len()));
    assert_eq!(facts.exports, ComponentExports::Step);
    let manifest = facts.manifest.unwrap();
    assert_eq!((&manifest.tree()["name"], &manifest.tree()["version"]), (&"greet".into(), &"1.0.0".into()));
    assert_eq!(manifest.tree()["input_schema"]["required"], serde_json::json!(["name"]));
    assert!(facts.imports.iter().any(|import| import.name.starts_with("wasi:io/streams@0.2")));
}

#[test]
fn a_gateway_made_with_the_sdk_is_let_in_and_one_component_may_be_both() {
    let gateway = inspect(&guests::component("route-by-amount")).unwrap();
    let both = inspect(&guests::component("probe")).unwrap();

    assert_eq!((gateway.exports, both.exports), (ComponentExports::Gateway, ComponentExports::Both));
    let manifest = gateway.manifest.unwrap();
    assert_eq!(manifest.tree()["name"], "route-by-amount");
    assert_eq!(manifest.tree()["input_schema"]["required"], serde_json::json!(["amount"]));
    assert_eq!(manifest.tree()["output_schema"]["items"], serde_json::json!({ "type": "string" }));
    assert_eq!(both.manifest.unwrap().tree()["name"], "probe");
}

#[test]
fn imports_are_listed_by_interface_and_function() {
    let facts = inspect(&with_world("import log; import context; export step;", "")).unwrap();

    let log = facts.imports.iter().find(|import| import.name == "stepcell:step/log@0.1.0").unwrap();
    assert_eq!(log.functions, ["write"]);
    assert!(facts.imports.iter().any(|import| import.functions.contains(&"previous-result".to_owned())));
}

#[test]
fn what_a_component_could_want_of_its_host_follows_from_the_functions_that_it_imports() {
    use Capability::{Clock, Http, Randomness, Secrets};
    const WASI: &str = "
        package wasi:http@0.2.3 {
            interface types { resource fields { constructor(); } }
            interface outgoing-handler { handle: func(); }
        }
        package wasi:clocks@0.2.3 {
            interface monotonic-clock { now: func() -> u64; }
            interface wall-clock { resolution: func() -> u64; }
        }
        package wasi:random@0.2.3 { interface insecure-seed { insecure-seed: func() -> u64; } }";

    for (import, expected) in [
        ("", vec![]),
        ("import wasi:http/types@0.2.3;", vec![]),
        ("import wasi:clocks/wall-clock@0.2.3;", vec![]),
        ("import wasi:http/outgoing-handler@0.2.3;", vec![Http]),
        ("import secrets;", vec![Secrets]),
        ("import wasi:clocks/monotonic-clock@0.2.3;", vec![Clock]),
        ("import wasi:random/insecure-seed@0.2.3;", vec![Randomness]),
        ("import secrets; import wasi:http/outgoing-handler@0.2.3;", vec![Http, Secrets]),
    ] {
        let facts = inspect(&with_world(&format!("{import} export step;"), WASI)).unwrap();

        assert_eq!(facts.capabilities.iter().copied().collect::<Vec<_>>(), expected, "{import}");
        let told = [
            (Http, facts.imports_http()),
            (Secrets, facts.imports_secrets()),
            (Clock, facts.imports_clock()),
            (Randomness, facts.imports_randomness()),
        ];
        let told: Vec<_> = told.into_iter().filter(|(_, wanted)| *wanted).map(|(capability, _)| capability).collect();
        assert_eq!(told, expected, "{import}");
    }
}

#[test]
fn a_gateway_is_let_in_and_further_exports_do_not_matter() {
    let facts = inspect(&component_of(CONTRACT, "gateway-component")).unwrap();
    assert_eq!(facts.exports, ComponentExports::Gateway);

    let more = "export step; export other: interface { f: func(); } export g: func();";
    assert_eq!(inspect(&with_world(more, "")).unwrap().exports, ComponentExports::Step);
}

#[test]
fn files_that_are_no_components_are_told_what_they_are() {
    let too_large = vec![0; (32 << 20) + 1];
    let mut truncated = guests::component("greet");
    truncated.truncate(truncated.len() / 2);

    assert!(matches!(refusal(&too_large), Refusal::TooLarge { .. }));
    assert_eq!(refusal(b"#!/bin/sh"), Refusal::NotWasm);
    assert_eq!(refusal(b""), Refusal::NotWasm);
    assert_eq!(refusal(b"\0asm\x01\0\0\0"), Refusal::CoreModule);
    assert_eq!(refusal(&package_of(CONTRACT)), Refusal::WitPackage);
    assert!(matches!(refusal(&truncated), Refusal::Unreadable { .. }));
}

#[test]
fn a_component_without_the_step_is_told_what_it_exports_instead() {
    let message = refusal(&with_world("import log; export run: func();", "")).to_string();

    assert!(
        message.starts_with("the component exports `run`, and a step exports `stepcell:step/step@0.1.0`"),
        "{message}"
    );
    assert!(refusal(&with_world("import log;", "")).to_string().contains("exports nothing"));
}

#[test]
fn functions_that_are_missing_are_named() {
    let wit = changed("    on-failure: func(failure: step-failure) -> result<_, step-failure>;\n", "");
    let message = refusal(&component_of(&wit, "step-component")).to_string();

    assert_eq!(
        message,
        "the component's `stepcell:step/step@0.1.0` lacks `on-failure`; implement every function of the interface"
    );
}

#[test]
fn a_signature_that_differs_anywhere_is_shown_beside_the_right_one() {
    let of_export =
        changed("execute: func(input: json) -> result<json, ", "execute: func(input: list<u8>) -> result<json, ");
    let of_import = changed("delete: func(key: string) -> result<bool", "delete: func(name: string) -> result<bool");
    let of_record = changed("retryable: bool,", "retryable: u8,");

    for (wit, function) in [(of_export, "execute"), (of_import, "delete"), (of_record, "history")] {
        let refusal = refusal(&component_of(&wit, "step-component"));
        let Refusal::Signature { function: found, .. } = &refusal else { panic!("{refusal}") };
        assert_eq!(found, function, "{refusal}");
    }
}

#[test]
fn a_type_that_doubles_at_each_level_is_cut_off_instead_of_shown() {
    let words: String = (0..30).map(|at| format!("{}{at}, ", "long".repeat(14))).collect();
    let types: String = (1..6).map(|at| format!("type t{at} = tuple<t{0}, t{0}>;", at - 1)).collect();
    let wit = changed("interface step {\n", &format!("interface step {{ enum t0 {{ {words} }} {types}\n"))
        .replace("execute: func(input: json) -> result<json, ", "execute: func(input: t5) -> result<json, ");

    let refusal = refusal(&component_of(&wit, "step-component"));

    let Refusal::Signature { found, .. } = &refusal else { panic!("{refusal}") };
    assert!(found.contains('…') && found.len() < 3_000, "{found}");
}

#[test]
fn a_function_that_this_host_does_not_have_yet_is_named() {
    let wit = changed("    /// Removes a key, and", "    swap: func(key: string);\n    /// Removes a key, and");

    let refusal = refusal(&component_of(&wit, "step-component"));

    assert!(matches!(&refusal, Refusal::UnknownFunction { function, .. } if function == "swap"), "{refusal}");
}

#[test]
fn a_later_patch_of_the_contract_is_let_in_and_another_minor_version_is_not() {
    let patch = changed("stepcell:step@0.1.0", "stepcell:step@0.1.7");
    let minor = changed("stepcell:step@0.1.0", "stepcell:step@0.2.0");
    let none = changed("stepcell:step@0.1.0", "stepcell:step");

    inspect(&component_of(&patch, "step-component")).unwrap();
    for wit in [minor, none] {
        let refusal = refusal(&component_of(&wit, "step-component"));
        assert!(matches!(refusal, Refusal::OtherVersion { .. }), "{refusal}");
        assert!(refusal.to_string().contains("this host speaks version 0.1.0"), "{refusal}");
    }
}

#[test]
fn imports_that_no_host_gives_are_refused_by_name() {
    for (items, packages, name) in [
        (
            "import evil:corp/thing@1.0.0; export step;",
            "package evil:corp@1.0.0 { interface thing { f: func(); } }",
            "evil:corp/thing@1.0.0",
        ),
        (
            "import wasi:http/incoming-handler@0.2.0; export step;",
            "package wasi:http@0.2.0 { interface incoming-handler { f: func(); } }",
            "wasi:http/incoming-handler@0.2.0",
        ),
        (
            "import wasi:keyvalue/store@0.2.0; export step;",
            "package wasi:keyvalue@0.2.0 { interface store { f: func(); } }",
            "wasi:keyvalue/store@0.2.0",
        ),
        (
            "import wasi:cli/exit@0.3.0; export step;",
            "package wasi:cli@0.3.0 { interface exit { f: func(); } }",
            "wasi:cli/exit@0.3.0",
        ),
        ("import format-disk: func(); export step;", "", "format-disk"),
        ("import disk: interface { format: func(); } export step;", "", "disk"),
    ] {
        let refusal = refusal(&with_world(items, packages));
        assert!(matches!(&refusal, Refusal::UnknownImport { import, .. } if import == name), "{refusal}");
    }
}

#[test]
fn a_damaged_manifest_is_refused_and_a_missing_one_is_not() {
    let plain = component_of(CONTRACT, "step-component");

    assert_eq!(inspect(&plain).unwrap().manifest, None);
    for data in ["{", "[]", "\u{feff}{}"] {
        let refusal = refusal(&with_section(plain.clone(), "stepcell:manifest", data.as_bytes()));
        assert!(matches!(refusal, Refusal::Manifest { .. }), "{refusal}");
    }
    let good = with_section(plain, "stepcell:manifest", br#"{"name":"x"}"#);
    assert_eq!(inspect(&good).unwrap().manifest.unwrap().tree()["name"], "x");
}

#[test]
fn bytes_that_were_changed_anywhere_never_bring_the_host_down() {
    let bytes = guests::component("greet");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;

    for _ in 0..60 {
        let mut changed = bytes.clone();
        for _ in 0..4 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = usize::try_from(random).unwrap() % changed.len();
            changed[at] = (random >> 56) as u8;
        }
        let _ = inspect(&changed);
    }
}
