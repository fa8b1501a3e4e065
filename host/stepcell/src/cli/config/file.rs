//! The file with settings. What it says becomes what flags are unless told, so that one place reads values of all kinds.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{Arg, Command};
use stepcell::model::problem::did_you_mean;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::exit::Refused;

/// The file that is read if it is there and no other was named.
const USUAL_FILE: &str = "stepcell.toml";

/// The longest file that is read. Whoever names another kind of file by mistake is told so at once.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The section with what `serve` alone takes.
pub(super) const SERVE: &str = "serve";

/// What can not be said in a file, with what to do instead.
const NOT_IN_FILES: &[(&str, &str)] = &[
    ("config", "it is the file's own name; set STEPCELL_CONFIG, or `--config`"),
    ("key", "a file is read by too many; set STEPCELL_KEY"),
    ("help", "it is a question"),
    ("version", "it is a question"),
];

/// What was read of a file.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// One setting in a file.
#[derive(Debug)]
struct Entry {
    section: Option<&'static str>,
    key: String,
    values: Vec<String>,
    line: usize,
}

impl ConfigFile {
    /// Reads the file that was named, or else the usual one if it is there.
    ///
    /// # Errors
    /// [`Refused`] if it can not be read, or is no TOML.
    pub(crate) fn find(named: Option<&Path>) -> anyhow::Result<Option<Self>> {
        let path = match named {
            Some(path) => path,
            None if Path::new(USUAL_FILE).is_file() => Path::new(USUAL_FILE),
            None => return Ok(None),
        };
        let text = read(path).with_context(|| format!("can not read the settings in `{}`", path.display()))?;
        Self::of_text(path, &text).map(Some)
    }

    fn of_text(path: &Path, text: &str) -> anyhow::Result<Self> {
        let at = |offset: usize| text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1;
        let place = |offset: usize| format!("{}:{}", path.display(), at(offset));
        let table = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            Refused::input(format!("{}: {}", place(offset), error.message()))
        })?;
        let mut entries = Vec::new();
        let mut add = |section, key: &Spanned<_>, value: &Spanned<DeValue<'_>>| {
            let key_text: &std::borrow::Cow<'_, str> = key.get_ref();
            let Some(values) = values_of(value.get_ref()) else {
                let why = "takes a text, a number, true or false, or a list of texts";
                return Err(Refused::input(format!("{}: `{key_text}` {why}", place(key.span().start))));
            };
            entries.push(Entry { section, key: key_text.to_string(), values, line: at(key.span().start) });
            Ok(())
        };
        for (key, value) in table.get_ref() {
            match value.get_ref() {
                DeValue::Table(section) if key.get_ref() == SERVE => {
                    for (key, value) in section {
                        add(Some(SERVE), key, value)?;
                    }
                }
                DeValue::Table(_) => {
                    let meant = did_you_mean(key.get_ref(), [SERVE]);
                    let why = format!("there is no section `[{}]`, only `[{SERVE}]`{meant}", key.get_ref());
                    return Err(Refused::input(format!("{}: {why}", place(key.span().start))).into());
                }
                _ => add(None, key, value)?,
            }
        }
        Ok(Self { path: path.to_owned(), entries })
    }

    /// What the file is called.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The line that a setting stands in, if it does.
    pub(super) fn line_of(&self, section: Option<&str>, id: &str) -> Option<usize> {
        self.entry(section, id).map(|entry| entry.line)
    }

    fn entry(&self, section: Option<&str>, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.section == section && entry.key == id)
    }

    /// The database that the file names. Not every verb works on it unless told: `run` keeps everything in memory.
    pub(crate) fn database(&self) -> Option<PathBuf> {
        self.text(None, "db").map(PathBuf::from)
    }

    /// The server that the file names. Verbs that only a database can do do not mind it.
    pub(crate) fn server(&self) -> Option<&str> {
        self.text(None, "server")
    }

    /// What a setting is set to, as it is written.
    pub(super) fn text(&self, section: Option<&str>, id: &str) -> Option<&str> {
        self.entry(section, id).and_then(|entry| entry.values.first()).map(String::as_str)
    }

    /// Lets a command line take what the file says for what is not told otherwise.
    ///
    /// # Errors
    /// [`Refused`] with the line, where the file says what there is no flag for, or what the flag does not take.
    pub(crate) fn apply(&self, command: Command) -> anyhow::Result<Command> {
        for entry in &self.entries {
            self.check(entry, &command).map_err(|why| {
                Refused::input(format!("{}:{}: {why}", self.path.display(), entry.line))
                    .hint("`stepcell config show --origin` lists every setting")
            })?;
        }
        let is_place = |entry: &Entry| ["db", "server"].contains(&entry.key.as_str());
        let of_every_verb = self.entries.iter().filter(|entry| entry.section.is_none() && !is_place(entry));
        let command = of_every_verb.fold(command, set);
        Ok(command
            .mut_subcommand(SERVE, |serve| self.set_serve(serve))
            .mut_subcommand("config", |config| config.mut_subcommand("show", |show| self.set_serve(show))))
    }

    fn set_serve(&self, command: Command) -> Command {
        let of_serve = self.entries.iter().filter(|entry| entry.section == Some(SERVE));
        of_serve.fold(command, set)
    }

    /// Looks whether there is such a setting, and whether it takes the value, by giving it as a flag.
    fn check(&self, entry: &Entry, command: &Command) -> Result<(), String> {
        let key = entry.key.as_str();
        if let Some((_, why)) = NOT_IN_FILES.iter().find(|(name, _)| *name == key) {
            return Err(format!("`{key}` can not be set in a file: {why}"));
        }
        let of_serve = command.find_subcommand(SERVE).ok_or("there is no `serve`")?;
        let section = if entry.section.is_some() { of_serve } else { command };
        let known = || section.get_arguments().filter(|argument| argument.get_long().is_some());
        let Some(argument) = known().find(|argument| argument.get_id() == key) else {
            let other = if entry.section.is_some() { command } else { of_serve };
            return Err(unknown(entry, known(), other));
        };
        let flag = argument.get_long().unwrap_or(key);
        if !argument.get_action().takes_values() {
            let is_switch = matches!(entry.values.as_slice(), [value] if ["true", "false"].contains(&value.as_str()));
            return if is_switch { Ok(()) } else { Err(format!("`{key}` takes true or false")) };
        }
        let words = entry.values.iter().map(|value| format!("--{flag}={value}"));
        let line = ["stepcell".to_owned(), SERVE.to_owned()].into_iter().chain(words);
        match command.clone().try_get_matches_from(line) {
            // What it takes beside it may be said elsewhere.
            Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => {
                let text = error.to_string();
                let first = text.lines().next().unwrap_or_default();
                Err(first.trim_start_matches("error: ").to_owned())
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn read(path: &Path) -> Result<String, Refused> {
    let refused = |error: std::io::Error| Refused::input(error.to_string());
    let mut text = String::new();
    let file = File::open(path).map_err(refused)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(refused)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Refused::input(format!("it has more than {FILE_BYTES_MAX} bytes, which no settings need")));
    }
    Ok(text)
}

/// What a flag would be given, as texts; nothing for what no flag takes.
fn values_of(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::Array(items) => items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                _ => None,
            })
            .collect(),
        DeValue::String(text) => Some(vec![text.to_string()]),
        DeValue::Integer(number) if number.radix() == 10 => Some(vec![number.as_str().to_owned()]),
        DeValue::Float(number) => Some(vec![number.as_str().to_owned()]),
        DeValue::Boolean(value) => Some(vec![value.to_string()]),
        DeValue::Integer(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

fn unknown<'a>(entry: &Entry, known: impl Iterator<Item = &'a Arg>, elsewhere: &Command) -> String {
    let key = entry.key.as_str();
    let section = entry.section.map(|section| format!(" in `[{section}]`")).unwrap_or_default();
    if elsewhere.get_arguments().any(|argument| argument.get_id() == key) {
        let place = if entry.section.is_some() { "above all sections" } else { "in `[serve]`" };
        return format!("there is no setting `{key}`{section}; it stands {place}");
    }
    let meant = did_you_mean(key, known.map(|argument| argument.get_id().as_str()));
    format!("there is no setting `{key}`{section}{meant}")
}

/// Makes what the file says what a flag is unless told. The texts live for as long as the process, as those of the program do.
fn set(command: Command, entry: &Entry) -> Command {
    let values: Vec<&'static str> = entry.values.iter().map(|value| &*value.clone().leak()).collect();
    command.mut_arg(entry.key.clone().leak() as &'static str, |argument| argument.default_values(values))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::super::super::Cli;
    use super::*;

    fn refusal_of(text: &str) -> String {
        let read = ConfigFile::of_text(Path::new("stepcell.toml"), text);
        read.and_then(|file| file.apply(Cli::command())).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_in_a_file_is_told_with_its_line() {
        let cases = [
            ("log = \"info\"\nlgo = 1\n", "stepcell.toml:2: there is no setting `lgo`; did you mean `log`?"),
            (
                "[serve]\n\nlistn = \"x\"\n",
                "stepcell.toml:3: there is no setting `listn` in `[serve]`; did you mean `listen`?",
            ),
            ("listen = \"127.0.0.1:1\"\n", "stepcell.toml:1: there is no setting `listen`; it stands in `[serve]`"),
            (
                "[serve]\nlog = \"info\"\n",
                "stepcell.toml:2: there is no setting `log` in `[serve]`; it stands above all sections",
            ),
            ("[server]\n", "stepcell.toml:1: there is no section `[server]`, only `[serve]`; did you mean `serve`?"),
            ("log = {}\n", "stepcell.toml:1: there is no section `[log]`, only `[serve]`"),
            ("log = 2026-01-01\n", "stepcell.toml:1: `log` takes a text, a number, true or false, or a list of texts"),
            ("[serve]\naccept_loss = 3\n", "stepcell.toml:2: `accept_loss` takes true or false"),
            (
                "config = \"x\"\n",
                "stepcell.toml:1: `config` can not be set in a file: it is the file's own name; set STEPCELL_CONFIG, or `--config`",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(refusal_of(text), expected, "{text}");
        }
    }

    #[test]
    fn a_value_that_its_flag_does_not_take_is_refused_with_its_line() {
        let refusal = refusal_of("[serve]\nlisten = \"here\"\n");

        assert!(refusal.starts_with("stepcell.toml:2: invalid value 'here' for '--listen"), "{refusal}");
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        let refusal = refusal_of("log = \"info\"\nlog = = 3\n");

        assert!(refusal.starts_with("stepcell.toml:2: "), "{refusal}");
    }

    #[test]
    fn a_file_with_every_kind_of_value_is_taken() {
        let text = "log = \"info\"\ndb = \"here.db\"\n[serve]\nlisten = \"127.0.0.1:9\"\nconcurrency = 7\naccept_loss = true\n";
        let file = ConfigFile::of_text(Path::new("stepcell.toml"), text).unwrap();

        let matches = file.apply(Cli::command()).unwrap().try_get_matches_from(["stepcell", "serve"]).unwrap();

        let serve = matches.subcommand_matches(SERVE).unwrap();
        assert_eq!(serve.get_one::<u16>("concurrency"), Some(&7));
        assert!(serve.get_flag("accept_loss"));
        assert_eq!(matches.get_one::<String>("log").map(String::as_str), Some("info"));
        assert_eq!(file.database(), Some(PathBuf::from("here.db")));
    }
}
