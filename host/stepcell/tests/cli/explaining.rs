//! `instance why`: what an instance waits for, and how it came to that.

use serde_json::Value;

use crate::tool::{APPROVAL, Desk};

/// What is told, without the times and the id.
fn why(desk: &Desk, instance: &str) -> String {
    let said = desk.run(&["instance", "why", instance]).exits(0).stdout.replace(instance, "ID");
    let without_time = |line: &str| {
        let is_time = line.get(2..6).is_some_and(|year| year.bytes().all(|byte| byte.is_ascii_digit()));
        if is_time { format!("  TIME{}\n", &line[26..]) } else { format!("{line}\n") }
    };
    said.lines().map(without_time).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn people_are_told_in_sentences_what_holds_now_and_how_it_came() {
    let (desk, instance) = Desk::with_instance_of(APPROVAL, r#"{"amount": 12}"#);
    let answer = ["task", "complete", &desk.task(), "--user", "dana", "--data", r#"{"approved": true}"#];
    desk.run(&answer).exits(0);

    insta::assert_snapshot!(why(&desk, &instance), @r#"
    instance ID is waiting

    now
      `confirm` waits for a member of finance to do the task "Confirm".

    how it came here
      TIME  It was started.
      TIME  dana did the task of `review`.
      TIME  `review` succeeded.
      TIME  The edge from `review` to `route` was taken: it has no condition.
      TIME  The edge from `route` to `confirm` was taken: `context.get('approved') == true` held (context.approved = true).
      TIME  The edge from `route` to `refuse` was passed by: it is the default, and another was taken.
    "#);
}

#[test]
fn whoever_waits_for_a_callback_is_told_what_prints_its_address() {
    let (desk, instance) = Desk::with_instance_of(
        "schema: stepcell/v1\nname: w\nversion: 1.0.0\ninitial_step: w\nsteps: { w: { type: webhook } }\n",
        "{}",
    );

    insta::assert_snapshot!(why(&desk, &instance), @"
    instance ID is waiting

    now
      `w` waits for its callback.
      Its address is told by `stepcell webhook address --instance ID --step w`.

    how it came here
      TIME  It was started.
    ");
}

#[test]
fn an_instance_that_failed_is_told_with_the_reason_and_where_a_retry_goes_on() {
    let (desk, instance) = Desk::with_instance_of(
        "schema: stepcell/v1\nname: w\nversion: 1.0.0\ninitial_step: t\nsteps: { t: { type: timer, duration_key: wait } }\n",
        "{}",
    );

    insta::assert_snapshot!(why(&desk, &instance), @"
    instance ID is failed

    now
      It failed at `t`: engine.input: the timer `t` does not know how long to wait: the context key `wait` has no value; give it a number of seconds or a text such as `5m`.
      A retry goes on at `t`.

    how it came here
      TIME  It was started.
      TIME  `t` failed: engine.input: the timer `t` does not know how long to wait: the context key `wait` has no value; give it a number of seconds or a text such as `5m`.
      TIME  It failed at `t`: engine.input: the timer `t` does not know how long to wait: the context key `wait` has no value; give it a number of seconds or a text such as `5m`; no edge leads on from a failure of `t`.
    ");
}

#[test]
fn programs_are_told_in_fields_that_do_not_change() {
    let (desk, instance) = Desk::with_instance_of(APPROVAL, r#"{"amount": 12}"#);
    desk.run(&["task", "complete", &desk.task(), "--user", "dana", "--data", r#"{"approved": false}"#]).exits(0);

    let told = desk.json(&["instance", "why", &instance]);

    assert_eq!(keys(&told), ["instance", "status", "now", "past", "past_total"]);
    assert_eq!((&told["instance"], &told["status"]), (&instance.as_str().into(), &"completed".into()));
    assert_eq!(keys(&told["now"][0]), ["at", "step", "execution", "about", "text"]);
    let edges: Vec<_> = told["past"].as_array().unwrap().iter().filter(|point| point["about"] == "edge").collect();
    let fields = ["edge", "target", "outcome", "taken", "reason", "condition", "predicate", "read"];
    assert_eq!(keys(edges[1]), [&["at", "step", "execution", "about"], &fields[..], &["text"]].concat());
    assert_eq!((&edges[1]["taken"], &edges[1]["reason"]), (&false.into(), &"not_held".into()));
    assert_eq!(edges[1]["read"], serde_json::json!([{ "path": "context.approved", "value": "false" }]));
    assert_eq!((&edges[2]["taken"], &edges[2]["reason"]), (&true.into(), &"default".into()));
}

#[test]
fn an_instance_that_is_not_there_is_not_explained() {
    let desk = Desk::with_waiting_instance();

    desk.run(&["instance", "why", "0198c0de-0000-7000-8000-000000000000"]).exits(3).tells("instance list");
    desk.run(&["instance", "why", "it"]).exits(1);
}
