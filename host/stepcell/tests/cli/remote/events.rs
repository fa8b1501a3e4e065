//! What happens, told by a server as it is told of its database.

use rustix::process::Signal;

use super::kit::Office;
use super::wire::{Script, answer, problem};
use crate::tool::{Desk, Following};

const STARTED: [&str; 4] = ["workflow_started", "step_activated", "task_created", "workflow_waiting"];

/// Follows a server as dana.
fn follow(office: &Office, arguments: &[&str]) -> Following {
    let url = office.url();
    office.desk.follow(&[&["--server", &url, "--key-file", "dana", "--output", "json"], arguments].concat())
}

fn start(office: &Office, arguments: &[&str]) -> String {
    let start = ["start", "approval", "--data", r#"{"amount": 5}"#];
    office.json(&[&start, arguments].concat())["id"].as_str().unwrap().to_owned()
}

#[test]
fn events_of_a_server_are_those_of_its_database_whatever_is_asked_for() {
    let office = Office::with_waiting_instance();
    let first = office.desk.instance();
    start(&office, &["--wait"]);
    office.desk.run(&["start", "approval", "--data", r#"{"amount": 1}"#, "--tenant", "acme"]).exits(0);
    office.run(&["instance", "pause", &first]).exits(0);

    for arguments in [
        &["events"][..],
        &["events", "--after", "1"],
        &["events", "--after", "now"],
        &["events", "--limit", "1"],
        &["events", "--limit", "5", "--after", "1"],
        &["events", "--limit", "100"],
        &["events", "--follow", "--limit", "6"],
        &["events", "--instance", &first],
        &["events", "--instance", &first, "--workflow", "other"],
        &["events", "--workflow", "approval", "--tenant", "acme"],
        &["events", "--type", "task_created,workflow_paused"],
    ] {
        for output in ["json", "table"] {
            let arguments = [arguments, &["--output", output]].concat();
            let of_server = office.run(&arguments).exits(0);
            let of_database = office.desk.run(&arguments).exits(0);
            assert_eq!(of_server.stdout, of_database.stdout, "{arguments:?}");
            assert_eq!(of_server.stderr, of_database.stderr, "{arguments:?}");
        }
    }
}

#[test]
fn whoever_follows_a_server_sees_what_was_and_an_instance_that_is_started_meanwhile() {
    let office = Office::with_waiting_instance();
    let first = office.desk.instance();
    let mut following = follow(&office, &[]);
    let before = STARTED.map(|_| following.json());

    let second = start(&office, &[]);
    let after = STARTED.map(|_| following.json());

    for (told, instance) in [(before, first), (after, second)] {
        assert!(told.iter().all(|event| event["instance"] == instance.as_str()), "{told:?}");
        assert_eq!(told.map(|event| event["type"].as_str().unwrap().to_owned()), STARTED);
    }
    assert_eq!(following.stop_by(Signal::TERM), Some(0));
}

#[test]
fn whoever_follows_a_server_for_a_reader_that_goes_away_ends_with_0() {
    let office = Office::with_waiting_instance();
    let mut following = follow(&office, &["--limit", "1000"]);
    following.json();

    assert_eq!(following.lose_reader(), Some(0));
}

#[test]
fn a_tenant_is_told_of_its_own_instances() {
    let office = Office::with_waiting_instance();
    let others = office.desk.instance();
    let own = start(&office, &["--tenant", "acme", "--wait"]);

    let said = office.run_as("acme-viewer", &["events", "--output", "json"]).exits(0);

    assert_eq!(said.stdout.lines().count(), STARTED.len());
    assert!(said.stdout.lines().all(|line| line.contains(&own)), "{}", said.stdout);
    office.run_as("acme-viewer", &["events", "--instance", &others]).exits(3).tells("there is no instance");
}

#[test]
fn a_position_that_the_server_has_not_come_to_is_refused_as_on_its_database() {
    let office = Office::with_waiting_instance();

    for said in [office.run(&["events", "--after", "999999"]), office.desk.run(&["events", "--after", "999999"])] {
        said.exits(3).tells("there is no event at position 999999");
    }
}

fn event(place: &str) -> String {
    let position = place.split('.').next().unwrap();
    let data = format!(
        r#"{{"position":{position},"seq":1,"instance":"01a20607-442f-722f-8252-1df4668eb21f","at":"2026-01-01T00:00:00Z","type":"workflow_paused","by":"ada"}}"#
    );
    format!("id: {place}\nevent: workflow_paused\ndata: {data}\n\n")
}

const END: &str = "id: 9\nevent: end\ndata: {\"position\":9}\n\n";

fn stream(body: &str) -> Option<String> {
    answer("200 OK", "content-type: text/event-stream\r\n", body)
}

/// A stream whose connection is lost after this part of an event.
fn torn(body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 100000\r\n\r\n{body}"))
}

/// The query and the place of each request.
fn asked(heard: &[String]) -> Vec<(String, Option<String>)> {
    let read = |request: &String| {
        let (query, _) = request.split_once('?').unwrap().1.split_once(' ').unwrap();
        let place = request.lines().find_map(|line| line.strip_prefix("last-event-id: "));
        (query.to_owned(), place.map(str::to_owned))
    };
    heard.iter().map(read).collect()
}

#[test]
fn a_stream_that_breaks_is_taken_up_again_behind_what_was_told() {
    let broken = format!("{}{}", event("7.0"), &event("7.1")[..40]);
    let unavailable = || problem(503, "server.unavailable", "");
    let script =
        Script::of(vec![torn(&broken), None, unavailable(), stream(&event("7.1")), stream(&(event("8.0") + END))]);

    let said = Desk::new().run(&["events", "--server", &script.url(), "--key", "k", "--output", "json"]).exits(0);

    let positions: Vec<_> = said.stdout.lines().map(|line| &line[..13]).collect();
    assert_eq!(positions, [r#"{"position":7"#, r#"{"position":7"#, r#"{"position":8"#]);
    let asked = asked(&script.heard());
    assert!(asked.iter().all(|(query, _)| query == "after=0&follow=false"), "{asked:?}");
    let places: Vec<_> = asked.iter().map(|(_, place)| place.as_deref()).collect();
    assert_eq!(places, [None, Some("7.0"), Some("7.0"), Some("7.0"), Some("7.1")]);
}

#[test]
fn a_stream_from_now_on_that_breaks_before_its_first_event_is_taken_up_where_it_began() {
    let script = Script::of(vec![stream("retry: 3000\nid: 6\n\n"), stream(&(event("7.0") + END))]);

    let arguments = ["events", "--follow", "--after", "now", "--server", &script.url(), "--key", "k"];
    let said = Desk::new().run(&arguments).exits(0);

    assert_eq!(said.stdout.lines().count(), 2, "{}", said.stdout);
    let asked = asked(&script.heard());
    assert_eq!(asked, [("follow=true".to_owned(), None), ("follow=true".to_owned(), Some("6".to_owned()))]);
}

#[test]
fn a_limit_that_falls_into_a_transition_whose_rest_was_lost_is_that_transition() {
    let script = Script::of(vec![stream(&event("7.0")), stream(&(event("7.1") + &event("8.0") + END))]);

    let arguments = ["events", "--follow", "--limit", "1", "--server", &script.url(), "--key", "k"];
    let said = Desk::new().run(&arguments).exits(0).tells("`--after 7` goes on");

    assert_eq!(said.stdout.lines().count(), 3, "{}", said.stdout);
    let asked = asked(&script.heard());
    assert_eq!(
        (asked[0].0.as_str(), asked[1].0.as_str()),
        ("after=0&follow=true&limit=1", "after=0&follow=false&limit=1")
    );
}

#[test]
fn a_server_that_can_not_tell_events_ends_with_4() {
    for (answered, told) in [
        (answer("200 OK", "", "<h1>hello</h1>"), "it is no stream of events"),
        (problem(503, "server.unavailable", ""), "the detail of server.unavailable"),
        (stream("id: 1.0\nevent: x\ndata: {}\n\n"), "an event that is not understood here"),
        (stream(&event("7.0").replace("workflow_paused", "later_kind")), "`later_kind` that is not understood here"),
    ] {
        let script = Script::of(vec![answered]);
        Desk::new().run(&["events", "--server", &script.url(), "--key", "k"]).exits(4).tells(told);
        script.heard();
    }
}
