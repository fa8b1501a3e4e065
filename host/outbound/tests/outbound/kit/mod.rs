//! Names that stand for what a test says, wires that count, servers that do as they are told.

pub(crate) mod server;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use stepcell_model::grants::{Grants, StepGrants};
use stepcell_model::policy::GrantPolicy;
use stepcell_outbound::{
    Connection, Connector, Header, HttpOutbound, Outbound as _, OutboundError, OutboundLimits, OutboundRequest,
    OutboundResponse, OutboundRules, Resolver, TcpConnector,
};

/// What any name stands for of which nothing else is said: a public address, so that whatever slips through is seen.
pub(crate) const ANYWHERE: &str = "93.184.215.14";

/// The key that every request carries.
pub(crate) const KEY: &str = "00000000-0000-0000-0000-000000000003";

/// Limits as steps have them without a word.
pub(crate) const LIMITS: OutboundLimits =
    OutboundLimits { requests_max: 32, at_once_max: 4, time_max: Duration::from_secs(10), body_bytes_max: 2 << 20 };

/// Names that stand for what a test says, and remember who asked.
#[derive(Default)]
pub(crate) struct Names {
    answers: HashMap<String, Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    /// Says what a name stands for when it is looked up for the first time, the second time, and so on; the last
    /// answer holds from then on.
    pub(crate) fn with(mut self, name: &str, answers: &[&[&str]]) -> Self {
        let parse = |list: &&[&str]| list.iter().map(|address| address.parse().unwrap()).collect();
        self.answers.insert(name.to_owned(), answers.iter().map(parse).collect());
        self
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolver for Names {
    async fn list_addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut asked = self.asked.lock().unwrap();
        let before = asked.iter().filter(|name| *name == host).count();
        asked.push(host.to_owned());
        let anywhere = vec![vec![ANYWHERE.parse().unwrap()]];
        let answers = self.answers.get(host).unwrap_or(&anywhere);
        Ok(answers.get(before).or(answers.last()).cloned().unwrap_or_default())
    }
}

/// Wires that count, and lead to where a test says or nowhere.
#[derive(Default)]
pub(crate) struct Wires {
    led: HashMap<SocketAddr, SocketAddr>,
    used: Mutex<Vec<SocketAddr>>,
}

impl Wires {
    /// Leads connections to one address to another one, such as to a server of the test.
    pub(crate) fn leading(mut self, from: &str, to: SocketAddr) -> Self {
        self.led.insert(from.parse().unwrap(), to);
        self
    }

    pub(crate) fn used(&self) -> Vec<String> {
        self.used.lock().unwrap().iter().map(ToString::to_string).collect()
    }
}

#[async_trait]
impl Connector for Wires {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Connection>> {
        self.used.lock().unwrap().push(address);
        match self.led.get(&address) {
            Some(server) => TcpConnector.connect(*server).await,
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// A client with its names and wires.
pub(crate) struct Client {
    pub(crate) names: Arc<Names>,
    pub(crate) wires: Arc<Wires>,
    outbound: HttpOutbound,
}

impl Client {
    pub(crate) fn new(names: Names, wires: Wires) -> Self {
        Self::with_roots(names, wires, "")
    }

    pub(crate) fn with_roots(names: Names, wires: Wires, roots: &str) -> Self {
        let (names, wires) = (Arc::new(names), Arc::new(wires));
        let outbound = HttpOutbound::with(names.clone(), wires.clone(), roots).unwrap();
        Self { names, wires, outbound }
    }

    /// A client for which `http://api.example` is a server of the test.
    pub(crate) fn of(server: SocketAddr) -> Self {
        Self::new(Names::default(), Wires::default().leading(&format!("{ANYWHERE}:80"), server))
    }

    /// The same client with a bound on all of its connections together.
    pub(crate) fn with_connections_max(mut self, connections_max: usize) -> Self {
        self.outbound = self.outbound.with_connections_max(connections_max);
        self
    }

    pub(crate) async fn send(
        &self,
        request: OutboundRequest,
        rules: &OutboundRules,
    ) -> Result<OutboundResponse, OutboundError> {
        self.outbound.send(request, rules).await
    }

    /// Asks for a page that anybody may ask for.
    pub(crate) async fn get(&self, url: &str) -> Result<OutboundResponse, OutboundError> {
        self.send(request("GET", url), &anywhere()).await
    }
}

/// A request to a place exactly as it is written: nothing is put right.
pub(crate) fn request(method: &str, url: &str) -> OutboundRequest {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    OutboundRequest {
        method: method.to_owned(),
        scheme: scheme.to_owned(),
        authority: authority.to_owned(),
        path_with_query: path.to_owned(),
        ..OutboundRequest::default()
    }
}

/// A request with a header.
pub(crate) fn with_header(mut request: OutboundRequest, name: &str, value: &str) -> OutboundRequest {
    request.headers.push(Header::new(name, value.to_owned()));
    request
}

/// Rules of an attempt that is granted these places by both sides.
pub(crate) fn rules(grants: &[&str]) -> OutboundRules {
    rules_of(grants, &[], LIMITS)
}

/// Rules of an attempt, with networks that the operator opened.
pub(crate) fn rules_of(grants: &[&str], networks: &[&str], limits: OutboundLimits) -> OutboundRules {
    OutboundRules::new(step_grants(grants, grants, networks), KEY, limits)
}

/// Rules of an attempt whose definition asks for other places than the operator allows.
pub(crate) fn rules_between(asked: &[&str], allowed: &[&str]) -> OutboundRules {
    OutboundRules::new(step_grants(asked, allowed, &[]), KEY, LIMITS)
}

fn step_grants(asked: &[&str], allowed: &[&str], networks: &[&str]) -> StepGrants {
    let parse = |grants: &[&str]| grants.iter().map(|grant| grant.parse().unwrap()).collect();
    let private_networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    StepGrants {
        asked: Arc::new(Grants { http: parse(asked), ..Grants::default() }),
        allowed: Arc::new(GrantPolicy { http: parse(allowed), private_networks, ..GrantPolicy::default() }),
    }
}

/// Rules of an attempt that may ask every name at the usual ports.
pub(crate) fn anywhere() -> OutboundRules {
    rules(&["http://*", "https://*"])
}
