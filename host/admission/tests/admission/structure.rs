//! How much a component may ask for: each bound at its value and one above, and what small files expand to.

use stepcell_admission::{Bound, Refusal, inspect};

use crate::assembly::step_in_text;
use crate::bombs;
use crate::guests;

/// The bound that a component passes, if it passes one.
fn passed(component: &[u8]) -> Option<(&'static str, u64)> {
    match inspect(component) {
        Err(Refusal::TooComplex { bound, found }) => Some((bound.name, found)),
        Ok(_) | Err(Refusal::NoStep { .. } | Refusal::UnknownImport { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

/// A bound, and a component that asks for so much of the thing.
type Row = (Bound, fn(u64) -> Vec<u8>);

const ROWS: [Row; 18] = [
    (Bound::NESTING, bombs::nested),
    (Bound::PARTS, |count| bombs::text(&bombs::many(count - 1, |_| "(core module)".to_owned()))),
    (Bound::DEFINITIONS, |count| {
        // The module is one, too.
        bombs::text(&format!("(core module {})", bombs::many(count - 1, |_| "(global i32 (i32.const 0))".to_owned())))
    }),
    (Bound::TYPE_SIZE, |size| {
        let full = bombs::many(size / 10_000, |_| format!("(type (tuple {}))", "u8 ".repeat(9_999)));
        bombs::text(&format!("{full}{}", bombs::many(size % 10_000, |_| "(type u8)".to_owned())))
    }),
    (Bound::TYPE_DEPTH, |depth| {
        let levels = bombs::many(depth - 2, |at| format!("(type $t{} (option $t{at}))", at + 1));
        bombs::text(&format!("(type $t0 (option u8)){levels}"))
    }),
    (Bound::NAME_BYTES, |bytes| {
        bombs::text(&format!("(type (instance (export \"{}\" (func))))", "n".repeat(bytes as usize)))
    }),
    (Bound::IMPORTS, |count| bombs::text(&bombs::many(count, |at| format!("(import \"f{at}\" (func))")))),
    (Bound::EXPORTS, |count| {
        let exports = bombs::many(count, |at| format!("(export \"e{at}\" (func $f))"));
        bombs::text(&format!("(import \"f\" (func $f)){exports}"))
    }),
    (Bound::FUNCTIONS, bombs::empty_functions),
    (Bound::FUNCTION_BYTES, bombs::long_function),
    (Bound::FUNCTION_LOCALS, |count| bombs::variables(&[count])),
    (Bound::LOCALS, |count| {
        let mut locals = vec![10_000; (count / 10_000) as usize];
        locals.push(count % 10_000);
        bombs::variables(&locals)
    }),
    (Bound::FLOW, |flow| bombs::branches(1 << 13, flow.div_ceil(1 << 13))),
    (Bound::CORE_INSTANCES, |count| {
        bombs::text(&format!("(core module $m){}", "(core instance (instantiate $m))".repeat(count as usize)))
    }),
    (Bound::MEMORIES, |count| instantiated(&"(memory 0)".repeat(count as usize))),
    (Bound::MEMORY_BYTES, |bytes| instantiated(&format!("(memory {})", bytes.div_ceil(1 << 16)))),
    (Bound::TABLES, |count| {
        let instances = "(core instance (instantiate $m))".repeat(count as usize);
        bombs::text(&format!("(core module $m (table 0 funcref)){instances}"))
    }),
    (Bound::TABLE_ENTRIES, |count| instantiated(&format!("(table 1 funcref)(table {} externref)", count - 1))),
];

/// A component with one instance of one module.
fn instantiated(module: &str) -> Vec<u8> {
    bombs::text(&format!("(core module $m {module})(core instance (instantiate $m))"))
}

#[test]
fn a_component_may_have_as_much_as_a_bound_says_and_no_more() {
    for (bound, component) in ROWS {
        assert_eq!(passed(&component(bound.max)), None, "{}", bound.name);
        let (name, found) = passed(&component(bound.max + 1)).unwrap_or_else(|| panic!("{} is not held", bound.name));
        assert_eq!(name, bound.name);
        assert!(found > bound.max, "{name}: {found}");
    }
}

#[test]
fn every_bound_has_a_row() {
    let rows: Vec<_> = ROWS.iter().map(|(bound, _)| bound.name).collect();

    assert_eq!(rows, Bound::ALL.iter().map(|bound| bound.name).collect::<Vec<_>>());
}

#[test]
fn a_refusal_says_what_there_is_too_much_of_and_has_one_code_for_all() {
    let refusal = inspect(&bombs::nested(9)).unwrap_err();

    assert_eq!(refusal.code(), "admission.structure");
    assert_eq!(
        refusal.to_string(),
        "the component has 9 levels of components, modules and types within one another, and may have 8 (`nesting`); \
         split the step, or leave out what it does not need"
    );
}

#[test]
fn what_is_instantiated_many_times_counts_many_times() {
    const MODULE: &str = "(core module $m) (core instance (instantiate $m))";
    const MEMORY: &str = "(core module $m (memory 100)) (core instance (instantiate $m))";
    const TABLE: &str = "(core module $m (table 50 funcref)) (core instance (instantiate $m))";
    const RESOURCE: &str = "(type $r (resource (rep i32))) (export \"r\" (type $r))";

    for (levels, instances, inner, name) in [
        (6, 50, MODULE, "core-instances"),
        (1, 257, MODULE, "core-instances"),
        (1, 9, MEMORY, "memories"),
        (2, 12, TABLE, "tables"),
        // The sum is what counts.
        (1, 3, "(core module $m (memory 3000)) (core instance (instantiate $m))", "memory-bytes"),
        (1, 3, "(core module $m (table 20000 funcref)) (core instance (instantiate $m))", "table-entries"),
        (6, 50, RESOURCE, "definitions"),
        (6, 50, "", "definitions"),
    ] {
        let component = bombs::multiplied(levels, instances, inner);
        assert!(component.len() < 12_000, "{}", component.len());
        assert_eq!(passed(&component).map(|(name, _)| name), Some(name), "{levels} levels of {instances}: {inner}");
    }
    assert_eq!(passed(&bombs::multiplied(2, 8, MODULE)), None);
}

#[test]
fn what_is_never_instantiated_takes_no_place_in_a_cell() {
    let modules = bombs::many(20, |_| "(core module (memory 8000) (table 40000 funcref))".to_owned());

    assert_eq!(passed(&bombs::text(&modules)), None);
}

#[test]
fn types_that_double_are_counted_as_written_out() {
    let doubled = bombs::many(40, |at| format!("(type $t{} (tuple $t{at} $t{at}))", at + 1));
    let instance = "(type $i (instance (export \"r\" (type (sub resource)))))".to_owned();
    let exports = bombs::many(1_000, |at| format!("(export \"{}{at}\" (type (sub resource)))", "long".repeat(250)));
    let copied = format!("(type $i (instance {exports}))");
    let imports = |count| bombs::many(count, |at| format!("(import \"i{at}\" (instance (type $i)))"));

    for (component, name) in [
        (format!("(type $t0 (tuple u8 u8)){doubled}"), Some("type-size")),
        // Types are copied with the names in them, and each import copies its type.
        (format!("{copied}{}", imports(20)), Some("type-size")),
        (format!("{instance}{}", imports(1_000)), None),
    ] {
        assert_eq!(passed(&bombs::text(&component)).map(|(name, _)| name), name);
    }
}

#[test]
fn no_depth_of_anything_reaches_the_stack_of_the_host() {
    let deep_instances = bombs::many(2_000, |at| {
        format!("(type $t{} (instance (alias outer 1 $t{at} (type $u)) (export \"x\" (instance (type $u)))))", at + 1)
    });

    for (component, name) in [
        (bombs::nested_types(2_000_000), "nesting"),
        (bombs::text(&format!("(type $t0 (instance)){deep_instances}")), "type-depth"),
        (bombs::nested(90), "nesting"),
    ] {
        assert_eq!(passed(&component).map(|(name, _)| name), Some(name));
    }
}

#[test]
fn imports_that_use_each_other_in_a_circle_are_refused_like_any_others() {
    let refusal = inspect(&bombs::circle_of_packages()).unwrap_err();

    assert!(matches!(&refusal, Refusal::UnknownImport { import, .. } if import == "a:x/k"), "{refusal}");
}

#[test]
fn components_and_modules_from_outside_are_not_instantiated() {
    for (items, what) in [
        ("(import \"m\" (core module $m)) (core instance (instantiate $m))", "modules"),
        ("(import \"c\" (component $c)) (instance (instantiate $c))", "components"),
        (
            "(component $outer (import \"c\" (component $c)) (instance (instantiate $c)))
             (component $inner) (instance (instantiate $outer (with \"c\" (component $inner))))",
            "components",
        ),
    ] {
        let refusal = inspect(&bombs::text(items)).unwrap_err();
        assert_eq!(refusal, Refusal::Uncountable { what }, "{items}");
        assert_eq!(refusal.code(), "admission.structure");
    }
}

#[test]
fn what_an_instance_exports_can_be_instantiated_and_counts() {
    let exported = "(component $outer (component $c (core module $m (memory 1)) (core instance (instantiate $m)))
            (export \"c\" (component $c)))
        (instance $o (instantiate $outer)) (alias export $o \"c\" (component $c))";
    let component = |count| bombs::text(&format!("{exported}{}", "(instance (instantiate $c))".repeat(count)));

    assert_eq!(passed(&component(8)), None);
    assert_eq!(passed(&component(9)), Some(("memories", 9)));
}

#[test]
fn a_length_that_the_file_does_not_have_is_no_reason_to_make_room() {
    let mut component = bombs::text("");
    component.extend([0, 0xff, 0xff, 0xff, 0xff, 0x0f]);

    assert!(matches!(inspect(&component), Err(Refusal::Unreadable { .. })));
}

#[test]
fn proposals_that_cells_do_not_have_are_refused() {
    for module in ["(memory i64 1)", "(memory 1 1 shared)", "(type (struct))", "(tag)"] {
        let refusal = inspect(&instantiated(module)).unwrap_err();
        assert!(matches!(refusal, Refusal::Unreadable { .. }), "{module}: {refusal}");
    }
}

#[test]
fn a_whole_step_is_counted_with_what_its_toolchain_adds() {
    let step = |entries| step_in_text(&format!("(table {entries} funcref)"), "(global.get $ok)", "1");

    assert_eq!(passed(&step(50_000)), None);
    assert_eq!(passed(&step(50_001)), Some(("table-entries", 50_001)));
    assert_eq!(passed(&guests::component("probe")), None);
}
