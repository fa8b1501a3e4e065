//! What expressions mean, and that no text and no value brings the host down.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::name::ContextKey;

/// Everything that one evaluation can see.
struct World {
    context: ContextData,
    result: Option<Json>,
    metadata: ContextData,
    instance: InstanceFacts,
}

impl World {
    fn with(context: Value) -> Self {
        let data = |value: Value| match value {
            Value::Object(entries) => {
                entries.into_iter().map(|(key, value)| (ContextKey::new(key).unwrap(), value.into())).collect()
            }
            other => panic!("a context is an object, not {other}"),
        };
        Self {
            context: data(context),
            result: Some(json!({"ok": true, "items": [1, 2, 3]}).into()),
            metadata: data(json!({"source": "mail"})),
            instance: InstanceFacts {
                id: "i-1".to_owned(),
                workflow_name: "pay".to_owned(),
                workflow_version: "1.0.0".to_owned(),
                tenant: Some("acme".to_owned()),
                user: None,
            },
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            context: &self.context,
            result: self.result.as_ref(),
            metadata: &self.metadata,
            instance: &self.instance,
        }
    }

    fn value(&self, source: &str) -> Result<Value, String> {
        let mapping = Mapping::compile(source).map_err(|error| format!("refused: {error}"))?;
        mapping.evaluate(&self.scope()).map(|json| json.tree().clone()).map_err(|error| error.reason)
    }
}

fn usual() -> World {
    World::with(json!({
        "score": 85.5, "amount": 1200, "name": "Ada", "tags": ["a", "b"], "nothing": null, "paid": true,
        "big": 18_446_744_073_709_551_615_u64, "order": {"lines": [{"sum": 3}], "get": "x"},
        "max": i64::MAX, "min": i64::MIN,
    }))
}

fn refused(source: &str) -> String {
    Condition::compile(source).unwrap_err().to_string()
}

#[test]
fn an_expression_means_what_cel_means() {
    let world = usual();
    for (source, value) in [
        ("context.get('score') >= 80", json!(true)),
        ("context.score >= 80 && context.amount > 1000.5", json!(true)),
        ("context.get('amount') + 1", json!(1201)),
        ("context.amount * 1.5", json!(1800.0)),
        ("context.amount / 7 + -context.amount % 7", json!(171 - 3)),
        ("1 == 1.0 && 2 != 2.5 && [1, {'a': 2}] == [1.0, {'a': 2.0}]", json!(true)),
        ("context.big > 9223372036854775807", json!(true)),
        ("'b' in context.tags && !('c' in context.tags) && 'score' in context", json!(true)),
        ("context.order.lines[0].sum", json!(3)),
        ("context['order']['lines'][0]['sum']", json!(3)),
        ("result.items[2] == 3 && result.ok", json!(true)),
        ("metadata.source + '/' + instance.workflow_name", json!("mail/pay")),
        ("instance.tenant == 'acme' && instance.user == null", json!(true)),
        ("size(context.name) + size(context.tags) + context.order.size()", json!(7)),
        ("context.name.startsWith('A') && context.name.endsWith('a') && context.name.contains('d')", json!(true)),
        ("int('42') + int(3.9) + int(-3.9)", json!(42)),
        ("double('1.5') + double(1)", json!(2.5)),
        ("string(12) + string(true) + string(1.5)", json!("12true1.5")),
        ("bool('true')", json!(true)),
        ("min(3, 1.5, 2) + max([1, 7])", json!(8.5)),
        ("context.paid ? 'yes' : 'no'", json!("yes")),
        ("has(context.score) && !has(context.lacking) && !has(context.lacking.deeper)", json!(true)),
        ("{'amount': context.get('amount'), 'currency': 'EUR'}", json!({"amount": 1200, "currency": "EUR"})),
        ("[context.amount] + context.tags", json!([1200, "a", "b"])),
        ("\"a\\\"b\" + 'ä\\u00e4' + r'\\n'", json!("a\"bää\\n")),
        ("context.nothing == null // a comment (", json!(true)),
        (
            "instance == {'id': 'i-1', 'workflow_name': 'pay', 'workflow_version': '1.0.0', 'tenant': 'acme', 'user': null}",
            json!(true),
        ),
        ("metadata", json!({"source": "mail"})),
        ("-9223372036854775808", json!(i64::MIN)),
        ("{'a': {'b': [1, 2]}}.a.b[1]", json!(2)),
        ("0x10 + .5", json!(16.5)),
    ] {
        assert_eq!(world.value(source), Ok(value), "{source}");
    }
}

#[test]
fn a_missing_key_reads_as_null_in_every_form() {
    let world = usual();
    for source in ["context.lacking", "context.get('lacking')", "context['lacking']", "result.lacking", "metadata.x"] {
        assert_eq!(world.value(source), Ok(Value::Null), "{source}");
        assert_eq!(world.value(&format!("{source} == 1")), Ok(json!(false)), "{source}");
        assert_eq!(world.value(&format!("{source} == null")), Ok(json!(true)), "{source}");
        assert_eq!(
            world.value(&format!("{source} >= 1")).unwrap_err(),
            "`>=` takes two numbers or two strings, not null and the number 1"
        );
    }
    assert_eq!(world.value("context.get('lacking', 7)"), Ok(json!(7)));
    assert_eq!(world.value("context.get('nothing', 7)"), Ok(Value::Null));
    assert_eq!(world.value("context.lacking.deeper").unwrap_err(), "`deeper` can not be read of null");
    let unstarted = World { result: None, ..usual() };
    assert_eq!(unstarted.value("result == null"), Ok(json!(true)));
}

#[test]
fn what_can_not_be_calculated_is_an_error_and_no_panic() {
    let world = usual();
    for (source, reason) in [
        ("1 / 0", "1 / 0 divides by zero"),
        ("1 % 0", "1 % 0 divides by zero"),
        ("1.5 / 0", "1.5 / 0 divides by zero"),
        ("context.min / -1", "-9223372036854775808 / -1 is too large for a whole number"),
        ("context.min % -1", "-9223372036854775808 % -1 is too large for a whole number"),
        ("-context.min", "-(-9223372036854775808) is too large for a whole number"),
        ("context.max + 1", "9223372036854775807 + 1 is too large for a whole number"),
        ("context.max * context.max", "9223372036854775807 * 9223372036854775807 is too large for a whole number"),
        ("1e308 * 10.0", "1e308 * 10.0 is too large for a number"),
        ("int(1e300)", "`int(x)` does not take the number 1e300"),
        ("int('x')", "`int(x)` does not take the string \"x\""),
        ("double('inf')", "`double(x)` does not take the string \"inf\""),
        ("string(context)", "`string(x)` does not take an object"),
        ("'a' + 1", "`+` takes two numbers, two strings or two lists, not the string \"a\" and the number 1"),
        ("context.tags[2]", "the list has 2 items, and the index is not one of 0 to 2 - 1"),
        ("context.tags[-1]", "the list has 2 items, and the index is not one of 0 to 2 - 1"),
        ("context.tags['a']", "`a` can not be read of a list of 2"),
        ("context.name && true", "`&&` takes true or false, not the string \"Ada\""),
        ("1.5 % 1", "`%` takes two whole numbers, not 1.5 and 1.0"),
        ("min([])", "`min(a, b)` of nothing has no value"),
        ("{context.name: 1, 'Ada': 2}", "an object has the same key twice"),
    ] {
        assert_eq!(world.value(source), Err(reason.to_owned()), "{source}");
    }
    assert_eq!(world.value("1 / 0 == 1 || true"), Ok(json!(true)), "either side of || decides");
    assert_eq!(world.value("false && 1 / 0 == 1"), Ok(json!(false)));
}

#[test]
fn a_condition_is_true_or_false() {
    let world = usual();
    let condition = Condition::compile("context.amount").unwrap();

    let error = condition.evaluate(&world.scope()).unwrap_err();

    assert_eq!(
        error.to_string(),
        "`context.amount`: a condition is true or false, and this gave the number 1200; it read context.amount = 1200"
    );
    assert_eq!(refused("context.amount * 2"), "a condition is true or false, and this is a number");
    assert_eq!(refused("'context.amount > 2'"), "a condition is true or false, and this is a string");
}

#[test]
fn an_error_tells_the_values_that_were_read_shortened() {
    let world = World::with(json!({"score": null, "text": "x".repeat(1_000_000)}));
    let condition = Condition::compile("context.get('score')\n  >= 80 || context.text == context.lacking").unwrap();

    let error = condition.evaluate(&world.scope()).unwrap_err().to_string();

    assert!(error.len() < 400 && !error.contains('\n'), "{error}");
    assert!(error.contains("it read context.lacking = missing, context.score = null, context.text = \"xxx"), "{error}");
}

#[test]
fn an_expression_knows_what_it_reads() {
    let reads = |source: &str| Mapping::compile(source).unwrap().reads().clone();
    let only = |keys: &[&str]| KeysRead::Only(keys.iter().map(|key| (*key).to_owned()).collect());

    let some = reads("context.get('a', context.b) + context['c'] + result.x + metadata.m + instance.id");
    assert_eq!(some.context, only(&["a", "b", "c"]));
    assert_eq!((some.metadata, some.instance, some.result), (only(&["m"]), only(&["id"]), true));
    assert_eq!(reads("has(context.a.b) || 'k' in context").context, only(&["a", "k"]));
    assert_eq!(reads("context[metadata.key]").context, KeysRead::All);
    assert_eq!(reads("{'all': context}").context, KeysRead::All);
    assert_eq!(reads("1 + 1"), Reads::default());
}

#[test]
fn a_mistake_is_explained_with_a_caret() {
    let pictures: Vec<String> = [
        "contxt.get('score') >= 80",
        "score >= 80",
        "context.get('a') and context.get('b')",
        "not context.paid",
        "context.paid == True",
        "context.amount = 5",
        "context.amount >= ",
        "context.amount >= 5)",
        "(context.amount >= 5",
        "context.amount 5",
        "'abc",
        "context.tags.exists(t, t == 'a')",
        "contians(context.name, 'a')",
        "context.name.matches('a+')",
        "len(context.tags) > 1",
        "context.name.startswith('a')",
        "size > 1",
        "instance.tenent == 'a'",
        "context.get()",
        "'äöü' == 'ß' && contxt.a",
        "1u == 1",
        "{1: 2} == {}",
        "99999999999999999999 > 1",
        "'\\q' == 'a'",
        "",
        "a.?b",
    ]
    .into_iter()
    .map(|source| Condition::compile(source).unwrap_err())
    .map(|error| format!("{}\n{error}\n", error.caret()))
    .collect();

    insta::assert_snapshot!(pictures.join("\n"));
}

#[test]
fn texts_that_kill_parsers_are_refused_quickly() {
    let begun = Instant::now();
    let brackets = |open: &str, close: &str, count| format!("{}1{}", open.repeat(count), close.repeat(count));
    for source in [
        vec!["1"; 5000].join("+"),
        vec!["1"; 500].join("+"),
        vec!["1"; 65].join("+"),
        vec!["-"; 1000].join(""),
        "!".repeat(1000),
        brackets("(", ")", 1000),
        brackets("(", ")", 17),
        brackets("[", "]", 500),
        brackets("{'a':", "}", 100),
        "true ? 1 : ".repeat(90) + "1",
        "true?".repeat(60) + "1" + &":1".repeat(60),
        "a".to_owned() + &".a".repeat(500),
        "x.all(a, x.all(b, x.all(c, a+b+c>0)))".to_owned(),
        "[1].map(x, [1].map(y, [1].map(z, x)))".to_owned(),
        format!("'{}'", "x".repeat(100_000)),
        format!("size('{}') > 1", "[".repeat(1020)),
        "1,".repeat(400),
        "((((((((((((((((".to_owned(),
        "\u{202e}\u{0}\u{feff}".to_owned(),
        "😀".repeat(200),
        "context.ä == 1".to_owned(),
        "5br'\\' [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[ '".to_owned(),
        "`a`.b".to_owned(),
        "@in(1, 2)".to_owned(),
    ] {
        let error = Condition::compile(&source).unwrap_err();

        assert!(error.to_string().len() < 300 && !error.to_string().contains('\n'), "{error}");
        assert!(error.caret().lines().count() == 2 || error.caret().starts_with('\n'), "{}", error.caret());
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn the_largest_allowed_trees_evaluate_on_a_small_stack() {
    let world = usual();
    let sources = [
        vec!["1"; 64].join("+"),
        vec!["true"; 100].join(" && "),
        "context".to_owned() + &".order".repeat(63),
        "[".repeat(16) + &vec!["1"; 180].join(",") + &"]".repeat(16),
    ];
    std::thread::scope(|scope| {
        let small = std::thread::Builder::new().stack_size(512 << 10);
        let evaluated = small.spawn_scoped(scope, || sources.map(|source| world.value(&source)));
        let [sum, all, deep, list] = evaluated.unwrap().join().unwrap();

        assert_eq!((sum, all), (Ok(json!(64)), Ok(json!(true))));
        assert_eq!(deep.unwrap_err(), "`order` can not be read of null");
        assert!(list.is_ok());
    });
}

#[test]
fn work_over_large_values_is_bounded() {
    let begun = Instant::now();
    let world = World::with(json!({"text": "x".repeat(2 << 20), "list": vec![1; 100_000], "deep": nested(60)}));
    for source in [
        vec!["context.text"; 40].join("+"),
        format!("[{}]", vec!["context"; 40].join(",")),
        vec!["context.list"; 40].join("+"),
        format!("[{}]", vec!["context.text.contains('xxxxxy')"; 20].join(",")),
        format!("[{}]", vec!["context == context"; 30].join(",")),
        "context.list in context.list".to_owned() + &" || context.list in context.list".repeat(30),
    ] {
        let error = world.value(&source).unwrap_err();

        assert!(error.contains("the values are too large") || error.contains("refused"), "{source}: {error}");
    }
    assert!(world.value("[[[[[[context.deep]]]]]]").unwrap_err().contains("nests deeper than 64"));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inside, _| json!([inside]))
}

#[test]
fn conditions_are_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    let condition = Condition::compile("context.a == 1").unwrap();

    shared(&condition);

    assert_eq!(format!("{condition:?}"), "Condition(\"context.a == 1\")");
}

/// Compiles, and evaluates what compiles; whatever comes of it, it ends and says so in one line.
fn survives(source: &str) -> Result<(), TestCaseError> {
    match Mapping::compile(source) {
        Err(error) => {
            prop_assert!(!error.to_string().contains('\n'));
            prop_assert!(error.offset <= source.len());
            prop_assert!(error.caret().len() < 1000);
        }
        Ok(mapping) => {
            if let Err(error) = mapping.evaluate(&usual().scope()) {
                prop_assert!(!error.to_string().contains('\n') && error.to_string().len() < 3000);
            }
        }
    }
    Ok(())
}

const SOUP: [&str; 58] = [
    "context",
    "metadata",
    "result",
    "instance",
    ".",
    ".get(",
    "'score'",
    "'a",
    "\"",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "?",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    "!",
    " in ",
    "1",
    "0",
    "-1",
    "9223372036854775807",
    "1.5",
    "1e308",
    "null",
    "true",
    "false",
    "has(",
    "size(",
    "int(",
    "string(",
    "max(",
    "all(",
    ".map(x,",
    "score",
    "amount",
    "tags",
    "\n",
    "//",
    "r'",
    "b'",
    "\\",
    "ä",
    "💥",
    "`",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_text_survives(source in "\\PC{0,120}") {
        survives(&source)?;
    }

    #[test]
    fn any_bytes_survive(bytes in proptest::collection::vec(any::<u8>(), 0..1100)) {
        survives(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn token_soup_survives(parts in proptest::collection::vec(0..SOUP.len(), 1..60)) {
        let source: String = parts.into_iter().map(|part| SOUP[part]).collect();
        survives(&source)?;
    }

    #[test]
    fn well_formed_expressions_survive(source in well_formed()) {
        survives(&source)?;
    }
}

/// Expressions that parse, so that evaluation is reached.
fn well_formed() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(vec![
        "1",
        "0",
        "-1",
        "2.5",
        "'a'",
        "''",
        "null",
        "true",
        "[]",
        "{}",
        "context",
        "result",
        "instance",
        "metadata",
        "context.score",
        "context.max",
        "context.min",
        "context.tags",
        "context.order",
        "context.big",
        "context.x",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let binary = proptest::sample::select(vec!["+", "-", "*", "/", "%", "==", "<", ">=", "&&", "||", " in "]);
        let unary = proptest::sample::select(vec!["!", "-", "int", "double", "string", "bool", "size", "min", "max"]);
        prop_oneof![
            (inner.clone(), binary, inner.clone()).prop_map(|(l, o, r)| format!("({l}{o}{r})")),
            (unary, inner.clone()).prop_map(|(f, x)| format!("{f}({x})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{'k': {a}}}.get({b}, [{a}])")),
        ]
    })
}
