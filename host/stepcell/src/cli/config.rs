//! `config`: what is set, and where that was said. A flag goes before the environment, that before the file, and that before
//! what is so unless told.

mod file;

use std::ffi::OsStr;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, Subcommand};
use serde_json::{Value, json};

use super::exit::Exit;
use super::open::{DATABASE, Output, Settings};
use super::print;
use super::serve::Serve;

pub(crate) use self::file::ConfigFile;

/// Settings whose value is shown to nobody.
const SECRET: &[&str] = &["key"];

/// Settings that say which database or server is meant, and with which key.
const OF_PLACE: &[&str] = &["db", "key", "server"];

/// What stands for the value of such a setting.
const HIDDEN: &str = "(hidden)";

/// Flags that say what this verb itself does.
const NO_SETTINGS: &[&str] = &["config", "help", "origin", "version"];

/// See how this program is set up.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    Show(Show),
}

/// Show every setting of `serve` and of every verb, as it is by flags, environment and file together.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Also tell where each was said: by a flag, a variable, a line of the file, or nowhere.
    #[arg(long, env = "STEPCELL_ORIGIN", hide_env_values = true)]
    origin: bool,
    /// Taken so that a command line for `serve` can be asked about.
    #[command(flatten)]
    _serve: Serve,
    #[arg(skip)]
    found: Vec<Setting>,
}

/// A setting as it is.
#[derive(Debug)]
struct Setting {
    name: String,
    value: Option<String>,
    origin: Origin,
}

/// Where a setting was said.
#[derive(Debug)]
enum Origin {
    Flag(String),
    Environment(String),
    File { file: String, line: usize },
    Default,
}

impl Config {
    /// Finds out what is set: only whoever reads the command line knows where from.
    pub(crate) fn look(&mut self, matches: &ArgMatches, command: &Command, file: Option<&ConfigFile>) {
        let Self::Show(show) = self;
        let found = matches.subcommand_matches("config").and_then(|matches| matches.subcommand_matches("show"));
        let (Some(matches), Some(serve)) = (found, command.find_subcommand("serve")) else { return };
        let of_section = |section: Option<&'static str>, arguments: Vec<&Arg>| {
            let settings = arguments.into_iter().filter(|argument| is_setting(argument));
            settings.map(move |argument| setting(section, argument, matches, file)).collect::<Vec<_>>()
        };
        show.found = of_section(None, command.get_arguments().collect());
        let of_serve = serve.get_arguments().filter(|argument| !argument.is_global_set());
        show.found.extend(of_section(Some(file::SERVE), of_serve.collect()));
    }

    pub(crate) fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let Self::Show(show) = self;
        show.print(settings)?;
        Ok(Exit::Done)
    }
}

fn is_setting(argument: &Arg) -> bool {
    argument.get_long().is_some() && !NO_SETTINGS.contains(&argument.get_id().as_str())
}

fn setting(section: Option<&str>, argument: &Arg, matches: &ArgMatches, file: Option<&ConfigFile>) -> Setting {
    let id = argument.get_id().as_str();
    let name = section.map_or_else(|| id.to_owned(), |section| format!("{section}.{id}"));
    let told = matches.get_raw(id).map(|values| values.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(","));
    let line = file.and_then(|file| file.line_of(section, id).map(|line| (file, line)));
    let of_file = |(file, line): (&ConfigFile, usize)| Origin::File { file: file.name(), line };
    let (value, origin) = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => (told, Origin::Flag(format!("--{}", argument.get_long().unwrap_or(id)))),
        Some(ValueSource::EnvVariable) => (told, Origin::Environment(variable_of(argument))),
        _ if OF_PLACE.contains(&id) => of_place(id, file, line.map(of_file)),
        _ => (told, line.map_or(Origin::Default, of_file)),
    };
    let value = value.map(|value| if SECRET.contains(&id) { HIDDEN.to_owned() } else { value });
    Setting { name, value, origin }
}

/// The database and the server are not read from their variables by every verb, and so clap does not know of these.
fn of_place(id: &str, file: Option<&ConfigFile>, of_file: Option<Origin>) -> (Option<String>, Origin) {
    let variable = format!("STEPCELL_{}", id.to_uppercase());
    if let Some(named) = std::env::var_os(&variable).filter(|name| !name.is_empty()) {
        return (Some(named.to_string_lossy().into_owned()), Origin::Environment(variable));
    }
    match (file.and_then(|file| file.text(None, id)), of_file) {
        (Some(named), Some(origin)) => (Some(named.to_owned()), origin),
        _ => ((id == "db").then(|| DATABASE.to_owned()), Origin::Default),
    }
}

fn variable_of(argument: &Arg) -> String {
    argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Show {
    fn print(&self, settings: &Settings) -> anyhow::Result<()> {
        if settings.output == Output::Json {
            let items: Vec<_> = self.found.iter().map(Setting::as_json).collect();
            return print::json_list(&items, items.len() as u64);
        }
        let pair = |setting: &Setting| [setting.name.clone(), print::or_dash(setting.value.as_ref())];
        if !self.origin {
            return print::text(&print::table(["SETTING", "VALUE"], self.found.iter().map(pair)));
        }
        let rows = self.found.iter().map(|setting| {
            let [name, value] = pair(setting);
            [name, value, setting.origin.to_string()]
        });
        print::text(&print::table(["SETTING", "VALUE", "FROM"], rows))
    }
}

impl Setting {
    fn as_json(&self) -> Value {
        json!({ "name": self.name, "value": self.value, "origin": self.origin.as_json() })
    }
}

impl Origin {
    fn as_json(&self) -> Value {
        match self {
            Self::Flag(flag) => json!({ "kind": "flag", "flag": flag }),
            Self::Environment(variable) => json!({ "kind": "environment", "variable": variable }),
            Self::File { file, line } => json!({ "kind": "file", "file": file, "line": line }),
            Self::Default => json!({ "kind": "default" }),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Environment(variable) => write!(f, "env {variable}"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Default => f.write_str("default"),
        }
    }
}
