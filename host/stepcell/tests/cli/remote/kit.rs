//! A server over the database of a desk, and the keys of those who call.

use serde_json::Value;

use crate::tool::{APPROVAL, Desk, Said, Serving};

/// Who calls: whose they are, who they are, and what they may.
const CALLERS: [(&str, &[&str]); 3] = [
    ("dana", &["--scope", "admin", "--user", "dana"]),
    ("acme-viewer", &["--scope", "viewer", "--user", "vic", "--tenant", "acme"]),
    ("acme-admin", &["--scope", "admin", "--user", "ann", "--tenant", "acme"]),
];

/// A desk, and a server that drives its database.
pub(crate) struct Office {
    pub(crate) desk: Desk,
    address: String,
    _serving: Serving,
}

impl Office {
    /// An office whose database has the approval workflow and one instance that waits for dana.
    pub(crate) fn with_waiting_instance() -> Self {
        Self::over(Desk::with_waiting_instance())
    }

    /// An office with one instance of a workflow, driven until it settled. Returns its id, too.
    pub(crate) fn with_instance_of(definition: &str, data: &str) -> (Self, String) {
        let (desk, instance) = Desk::with_instance_of(definition, data);
        (Self::over(desk), instance)
    }

    /// An office with the approval workflow alone.
    pub(crate) fn with_approval() -> Self {
        let desk = Desk::new();
        desk.write("approval.yaml", APPROVAL);
        desk.run(&["definition", "apply", "approval.yaml"]).exits(0);
        Self::over(desk)
    }

    /// An office with nothing in it.
    pub(crate) fn empty() -> Self {
        Self::over(Desk::new())
    }

    fn over(desk: Desk) -> Self {
        desk.run(&["tenant", "add", "acme"]).exits(0);
        for (who, flags) in CALLERS {
            let key = desk.run(&[&["key", "create"], flags].concat()).exits(0).stdout;
            desk.write(who, &key);
        }
        let (serving, address) = desk.serve_http(&[]);
        Self { desk, address, _serving: serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The key of one of those who call.
    pub(crate) fn key(&self, who: &str) -> String {
        std::fs::read_to_string(self.desk.path(who)).unwrap().trim().to_owned()
    }

    /// Calls the binary with the server, as somebody.
    pub(crate) fn run_as(&self, who: &str, arguments: &[&str]) -> Said {
        let url = self.url();
        self.desk.run(&[arguments, &["--server", &url, "--key-file", who]].concat())
    }

    /// Calls the binary with the server, as dana, an administrator of the platform.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.run_as("dana", arguments)
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--output", "json"]].concat()).exits(0).json()
    }

    /// Whether both say the same, byte by byte, as JSON and for people.
    #[track_caller]
    pub(crate) fn assert_shown_alike(&self, arguments: &[&str]) {
        for output in ["json", "table"] {
            let arguments = [arguments, &["--output", output]].concat();
            let of_server = self.run(&arguments).exits(0);
            let of_database = self.desk.run(&arguments).exits(0);
            assert_eq!(of_server.stdout, of_database.stdout, "{arguments:?}");
            assert!(!of_server.stdout.is_empty(), "{arguments:?}");
        }
    }
}
