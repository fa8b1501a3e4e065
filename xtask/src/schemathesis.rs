//! Asks a served API for everything that its OpenAPI document says, in good and in bad requests, and judges the answers.
//!
//! The tool comes from PyPI in the versions of `tests/api/requirements.txt`. The server is the built binary on a new
//! database, in which something of everything is there to be asked for.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

use crate::guests;
use crate::stage::{Stage, output_of};
use crate::workspace::Workspace;

/// Where the tool's settings and the workflows of the run are, from the top of the workspace.
const FOLDER: &str = "tests/api";

/// What schemathesis begins its choices with: a finding is found again.
const SEED: &str = "1";

/// How many instances of each workflow there are, and keys that may be revoked. Enough for the run not to use them up.
const THINGS: usize = 24;

/// How long the server may take to begin, in seconds.
const START_SECONDS_MAX: &str = "30";

/// Builds the binary, fills a database, serves it, and asks.
///
/// # Errors
/// If a stage fails; it is named. If an answer is not as the document says.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> anyhow::Result<()> {
    guests::build(workspace)?;
    workspace.cargo("host", "building the host", ["build", "-p", "stepcell"]).run()?;
    let tool = install(workspace)?;
    let world = World::make(workspace)?;
    let port = free_port()?;
    let _server = world.serve(port)?;
    Stage::new("schemathesis", "asking for everything in the document", tool, &world.folder)
        .args(["run", &format!("http://127.0.0.1:{port}/api/v1/openapi.json")])
        .args(["--seed", SEED, "--wait-for-schema", START_SECONDS_MAX])
        .args(args)
        .env("STEPCELL_KEY", text(&world.key, "key")?)
        .env("STEPCELL_KEY_ID", text(&world.key, "id")?)
        .run()
}

/// The tool in an environment of its own, made once for each list of versions.
fn install(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let list = workspace.root().join(FOLDER).join("requirements.txt");
    let folder = workspace.target_dir().join("schemathesis-python");
    let (tool, mark) = (folder.join("bin/schemathesis"), folder.join("installed.txt"));
    let wanted = fs::read(&list).with_context(|| format!("can not read `{}`", list.display()))?;
    if fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(tool);
    }
    let python = folder.join("bin/python");
    let why = "making an environment for schemathesis, once a list of versions";
    let path = folder.display().to_string();
    Stage::new("python", why, "python3", workspace.root()).args(["-m", "venv", &path]).run()?;
    let args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    let why = "installing schemathesis from PyPI";
    Stage::new("pip", why, &python, workspace.root()).args(args).args([&list]).run()?;
    fs::write(&mark, wanted).with_context(|| format!("can not write `{}`", mark.display()))?;
    Ok(tool)
}

/// A port that nobody listens on at this moment.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").context("no port of this machine is free")?.local_addr()?.port())
}

/// A folder with a database in which something of everything is there.
struct World {
    binary: PathBuf,
    folder: PathBuf,
    /// The key that all requests come with.
    key: Value,
}

impl World {
    fn make(workspace: &Workspace) -> anyhow::Result<Self> {
        let folder = workspace.target_dir().join("schemathesis");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("can not remove `{}`", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("can not make `{}`", folder.display()))?;
        let of_run = workspace.root().join(FOLDER);
        for name in ["schemathesis.toml", "hooks.py"] {
            fs::copy(of_run.join(name), folder.join(name)).with_context(|| format!("can not copy `{name}`"))?;
        }
        let mut world = Self { binary: workspace.stepcell_bin("debug"), folder, key: Value::Null };
        world.key = world.ask(&["key", "create", "--scope", "admin", "--user", "schemathesis", "--name", "all"])?;
        world.fill_catalog(&workspace.guests_dir().join("greet.wasm"))?;
        world.start_all(&of_run)?;
        Ok(world)
    }

    fn fill_catalog(&self, component: &Path) -> anyhow::Result<()> {
        let component = component.display().to_string();
        self.ask(&["component", "push", &component, "--name", "greet", "--version", "1.0.0"])?;
        for tenant in ["acme", "globex"] {
            self.ask(&["tenant", "add", tenant])?;
        }
        fs::write(self.folder.join("secret.txt"), "a value that nobody is told")?;
        self.ask(&["secret", "set", "token", "--from-file", &self.path("secret.txt")])?;
        let make = |_| self.ask(&["key", "create", "--scope", "viewer", "--user", "visitor", "--name", "visitor"]);
        let keys: Vec<_> = (0..THINGS).map(make).collect::<Result<_, _>>()?;
        self.write_ids("keys.txt", keys.iter())
    }

    fn start_all(&self, definitions: &Path) -> anyhow::Result<()> {
        let mut instances = Vec::new();
        for name in ["approval", "bell", "delivery"] {
            let file = definitions.join(format!("{name}.yaml")).display().to_string();
            for _ in 0..THINGS {
                instances.push(self.ask(&["run", &file, "--data", r#"{"name": "Ada"}"#])?);
            }
        }
        let tasks = instances.iter().flat_map(|instance| instance["tasks"].as_array().into_iter().flatten());
        self.write_ids("tasks.txt", tasks)?;
        self.write_ids("instances.txt", instances.iter())
    }

    /// Has the binary do something to the database, and returns what it prints.
    fn ask(&self, args: &[&str]) -> anyhow::Result<Value> {
        let (database, cache) = (self.path("api.db"), self.path("cache"));
        let args = [args, &["--db", &database, "--cache", &cache, "--output", "json"]].concat();
        let printed = output_of(&self.binary, &args)?;
        serde_json::from_str(&printed).with_context(|| format!("`{}` printed no JSON", args.join(" ")))
    }

    fn serve(&self, port: u16) -> anyhow::Result<Server> {
        let (database, cache) = (self.path("api.db"), self.path("cache"));
        let listen = format!("127.0.0.1:{port}");
        let log = fs::File::create(self.folder.join("serve.log"))?;
        let server = Command::new(&self.binary)
            .args(["serve", "--db", &database, "--cache", &cache, "--listen", &listen, "--rate-limit", "0"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        Ok(Server(server.with_context(|| format!("`{}` did not start", self.binary.display()))?))
    }

    /// Writes the ids of things as the tool reads them: a text in quotes a line.
    fn write_ids<'a>(&self, name: &str, things: impl Iterator<Item = &'a Value>) -> anyhow::Result<()> {
        let lines: Vec<_> = things.map(|thing| format!("{}\n", thing["id"])).collect();
        fs::write(self.folder.join(name), lines.concat()).with_context(|| format!("can not write `{name}`"))
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    Ok(value[field].as_str().with_context(|| format!("a new key has no `{field}`"))?.to_owned())
}

/// The server, which ends with the run.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
