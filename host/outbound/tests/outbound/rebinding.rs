//! Names whose addresses change between two looks, or of which only some may be reached.

use stepcell_outbound::{Denial, OutboundError};

use crate::kit::server::{OK, Server};
use crate::kit::{ANYWHERE, Client, LIMITS, Names, Wires, anywhere, request, rules_of};

const PLACE: &str = "http://rebinds.example/";

fn is_denied(error: &OutboundError) -> bool {
    matches!(error, OutboundError::Denied { reason: Denial::Address, .. })
}

#[tokio::test]
async fn a_name_that_turns_private_after_the_check_is_looked_up_once_and_gains_nothing() {
    let server = Server::answering(OK).await;
    let names = Names::default().with("rebinds.example", &[&[ANYWHERE], &["127.0.0.1"]]);
    let inside = format!("127.0.0.1:{}", server.address.port());
    let wires = Wires::default().leading(&format!("{ANYWHERE}:80"), server.address).leading(&inside, server.address);
    let client = Client::new(names, wires);

    let response = client.get(PLACE).await.unwrap();

    assert_eq!(response.status, 200);
    assert_eq!(client.names.asked(), ["rebinds.example"]);
    assert_eq!(client.wires.used(), [format!("{ANYWHERE}:80")]);

    assert!(is_denied(&client.get(PLACE).await.unwrap_err()));
    assert_eq!(client.names.asked().len(), 2);
    assert_eq!(client.wires.used().len(), 1);
}

#[tokio::test]
async fn a_name_that_turns_public_after_it_was_private_is_judged_anew() {
    let names = Names::default().with("rebinds.example", &[&["10.0.0.1"], &[ANYWHERE]]);
    let client = Client::new(names, Wires::default());

    assert!(is_denied(&client.get(PLACE).await.unwrap_err()));
    assert!(client.wires.used().is_empty());

    assert!(matches!(client.get(PLACE).await.unwrap_err(), OutboundError::Connect { .. }));
    assert_eq!(client.wires.used(), [format!("{ANYWHERE}:80")]);
}

#[tokio::test]
async fn one_private_address_among_public_ones_spoils_the_name() {
    for addresses in [
        &["10.0.0.1", ANYWHERE, "8.8.8.8"],
        &[ANYWHERE, "10.0.0.1", "8.8.8.8"],
        &[ANYWHERE, "8.8.8.8", "10.0.0.1"],
        &[ANYWHERE, "8.8.8.8", "::1"],
    ] {
        let client = Client::new(Names::default().with("rebinds.example", &[addresses]), Wires::default());

        assert!(is_denied(&client.get(PLACE).await.unwrap_err()), "{addresses:?}");
        assert!(client.wires.used().is_empty(), "{addresses:?}");
    }
}

#[tokio::test]
async fn an_opened_network_opens_no_other_address_of_the_same_name() {
    let names = Names::default().with("rebinds.example", &[&["10.1.0.1"], &["10.1.0.1", "10.2.0.1"]]);
    let client = Client::new(names, Wires::default());
    let rules = rules_of(&["http://*"], &["10.1.0.0/16"], LIMITS);

    assert!(matches!(client.send(request("GET", PLACE), &rules).await.unwrap_err(), OutboundError::Connect { .. }));
    assert_eq!(client.wires.used(), ["10.1.0.1:80"]);

    assert!(is_denied(&client.send(request("GET", PLACE), &rules).await.unwrap_err()));
    assert_eq!(client.wires.used().len(), 1);
}

#[tokio::test]
async fn a_name_without_an_address_is_told_and_nothing_leaves() {
    let client = Client::new(Names::default().with("rebinds.example", &[&[]]), Wires::default());

    let error = client.send(request("GET", PLACE), &anywhere()).await.unwrap_err();

    assert_eq!(error, OutboundError::Unresolved { host: "rebinds.example".to_owned() });
    assert!(client.wires.used().is_empty());
}

#[tokio::test]
async fn a_name_with_a_thousand_addresses_is_tried_at_four_of_them() {
    let many: Vec<_> = (0..1000).map(|number| format!("8.8.{}.{}", number / 250, number % 250)).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let client = Client::new(Names::default().with("rebinds.example", &[&many]), Wires::default());

    assert!(matches!(client.get(PLACE).await.unwrap_err(), OutboundError::Connect { .. }));
    assert_eq!(client.wires.used().len(), 4);
}

#[tokio::test]
async fn the_second_address_is_tried_when_nobody_answers_at_the_first() {
    let server = Server::answering(OK).await;
    let names = Names::default().with("rebinds.example", &[&["8.8.8.8", ANYWHERE]]);
    let client = Client::new(names, Wires::default().leading(&format!("{ANYWHERE}:80"), server.address));

    assert_eq!(client.get(PLACE).await.unwrap().status, 200);
    assert_eq!(client.wires.used(), ["8.8.8.8:80".to_owned(), format!("{ANYWHERE}:80")]);
}
