//! What a component exports is told by the command line, and held against what a step needs.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use stepcell_tests::built::guests_dir;
use stepcell_tests::scenario::cache_dir;
use stepcell_tests::stepcell_bin;

/// Runs the binary in a folder whose database has a step, a gateway and a component that is both.
fn stepcell(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(stepcell_bin());
    command.current_dir(folder).env("STEPCELL_CACHE", cache_dir()).env_remove("STEPCELL_DB");
    command.args(arguments).output().expect("the binary can be run")
}

fn json_of(folder: &Path, arguments: &[&str]) -> Value {
    let output = stepcell(folder, &[arguments, &["--output", "json"]].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("stdout is JSON")
}

fn guest(name: &str) -> String {
    guests_dir().join(format!("{}.wasm", name.replace('-', "_"))).display().to_string()
}

fn fields_after<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    let fields = value.as_object().expect("it is an object").keys().map(String::as_str);
    fields.skip_while(move |name| *name != field).skip(1).collect::<Vec<_>>().into_iter()
}

#[test]
fn components_are_listed_pushed_and_inspected_with_what_they_export() {
    let folder = tempfile::tempdir().unwrap();
    let components =
        [("greet", json!(["step"])), ("route-by-amount", json!(["gateway"])), ("probe", json!(["step", "gateway"]))];

    for (name, exports) in &components {
        let pushed = json_of(folder.path(), &["component", "push", &guest(name)]);
        let inspected = json_of(folder.path(), &["component", "inspect", &format!("{name}@1")]);

        assert_eq!((&pushed["exports"], &inspected["exports"]), (exports, exports), "{name}");
        assert_eq!(pushed["is_new"], true);
        for value in [pushed, inspected] {
            let later: Vec<_> = fields_after(&value, "exports").collect();
            assert!(
                later.starts_with(&["capabilities"]) && !later.contains(&"manifest"),
                "new fields come last: {later:?}"
            );
        }
    }
    let listed = json_of(folder.path(), &["component", "list"]);
    let exports: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| &item["exports"]).collect();
    assert_eq!(exports, [&components[0].1, &components[2].1, &components[1].1]);
    let again = stepcell(folder.path(), &["component", "push", &guest("probe")]);
    let (again, table) = (again.stdout, stepcell(folder.path(), &["component", "list"]).stdout);
    assert!(String::from_utf8_lossy(&again).ends_with(" exports step, gateway\n"), "{again:?}");
    assert!(String::from_utf8_lossy(&table).contains("EXPORTS"));
}

#[test]
fn a_machine_step_that_names_a_gateway_is_refused_where_it_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, definition) = (folder.path(), "schema: stepcell/v1\nname: w\nversion: 1.0.0\ninitial_step: a\nsteps:\n");
    std::fs::copy(guest("route-by-amount"), path.join("route.wasm")).unwrap();
    assert!(stepcell(path, &["component", "push", "route.wasm"]).status.success());
    let told = |component: &str| {
        let text = format!("{definition}  a: {{ type: machine, component: {component} }}\n");
        std::fs::write(path.join("w.yaml"), text).unwrap();
        let output = stepcell(path, &["definition", "apply", "w.yaml"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };

    insta::assert_snapshot!(told("./route.wasm"), @r#"
    w.yaml:6:34: steps.a.component: `./route.wasm` exports `gateway` and no `step`, which a machine step needs; name another component, or make it a gateway step
    error: `w.yaml` has 1 problem
    "#);
    insta::assert_snapshot!(told("route-by-amount@1"), @r#"
    w.yaml:6:34: steps.a.component: component `route-by-amount` 1.0.0 exports `gateway` and no `step`, which a machine step needs; name another component, or make it a gateway step
    error: `w.yaml` has 1 problem
    "#);
}
