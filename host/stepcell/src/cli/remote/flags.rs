//! Which server, and with which key.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Url;
use stepcell_server::PATH_PREFIX;
use zeroize::Zeroizing;

use super::Server;
use crate::cli::config::ConfigFile;
use crate::cli::exit::Refused;
use crate::cli::input::text_of_file;

/// Flags of every verb that a server can do, too.
#[derive(Debug, Args)]
#[command(next_help_heading = "A server instead of a database")]
pub(crate) struct ServerFlags {
    /// The server to ask, such as `https://workflows.example.com`, with the prefix of its paths if that is not `/api/v1`,
    /// and with `/.` if there is none [env: STEPCELL_SERVER].
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// The API key. Others on this machine can see arguments, and can not see STEPCELL_KEY or what is in `--key-file`
    /// [env: STEPCELL_KEY].
    // `component sign` has a flag of the same name: both are texts, since a flag of every verb is one with its namesakes.
    #[arg(long, global = true, value_name = "KEY")]
    key: Option<String>,
    /// A file with the API key.
    #[arg(long, global = true, env = "STEPCELL_KEY_FILE", hide_env_values = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A file with certificates, in PEM, of authorities that may vouch for the server beside the public ones.
    #[arg(long, global = true, env = "STEPCELL_CA_FILE", hide_env_values = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The server that the file with settings names.
    #[arg(skip)]
    of_file: Option<String>,
}

/// An API key, which is told to nobody but its server.
pub(super) struct Key(Zeroizing<String>);

impl Key {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl ServerFlags {
    /// The server that was named on the command line.
    pub(crate) fn named(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Asks the server that the file with settings names, unless another place is named.
    pub(crate) fn take(&mut self, file: Option<&ConfigFile>) {
        self.of_file = file.and_then(ConfigFile::server).map(str::to_owned);
    }

    /// Whether a server is asked, with a database or none named on the command line.
    pub(crate) fn is_wanted(&self, database: Option<&Path>) -> bool {
        self.url(database, None).is_ok_and(|url| url.is_some())
    }

    /// The server, unless a database was named on the command line, or is named instead in the environment or the file.
    ///
    /// # Errors
    /// If both were named at one place, or the server's address, key or certificates can not be used.
    pub(crate) fn server(
        &self,
        database: Option<&Path>,
        database_of_file: Option<&Path>,
    ) -> anyhow::Result<Option<Server>> {
        let Some(url) = self.url(database, database_of_file)? else { return Ok(None) };
        let base = address(&url)?;
        let roots = self.ca_file.as_deref().map(text_of_file).transpose()?;
        Server::new(base, self.key()?, roots.as_deref()).map(Some)
    }

    fn url(&self, database_named: Option<&Path>, database_of_file: Option<&Path>) -> Result<Option<String>, Refused> {
        let database = |named: Option<&Path>| named.map(|named| named.display().to_string());
        let places = [
            ("`--server`", "`--db`", self.server.clone(), database(database_named)),
            ("STEPCELL_SERVER", "STEPCELL_DB", environment("STEPCELL_SERVER"), environment("STEPCELL_DB")),
            ("`server`", "`db`", self.of_file.clone(), database(database_of_file)),
        ];
        for (server_name, database_name, server, database) in places {
            match (server, database) {
                (Some(_), Some(_)) => {
                    let why = format!("{server_name} and {database_name} name two places; leave one of them out");
                    return Err(Refused::input(why));
                }
                (Some(url), None) => return Ok(Some(url)),
                (None, Some(_)) => return Ok(None),
                (None, None) => {}
            }
        }
        Ok(None)
    }

    fn key(&self) -> anyhow::Result<Option<Key>> {
        let text = match (&self.key, &self.key_file) {
            (Some(key), _) => Some(Zeroizing::new(key.clone())),
            (None, Some(file)) => Some(Zeroizing::new(text_of_file(file)?)),
            (None, None) => environment("STEPCELL_KEY").map(Zeroizing::new),
        };
        let Some(text) = text else { return Ok(None) };
        let key = Zeroizing::new(text.trim().to_owned());
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = "the API key has characters that no key has; give it as `stepcell key create` printed it";
            return Err(Refused::input(why).into());
        }
        Ok(Some(Key(key)))
    }
}

/// A variable that is set to something.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads the address of a server, and adds the usual prefix where it has none.
fn address(text: &str) -> anyhow::Result<Url> {
    let refused = |why: &str| {
        let hint = "a server's address is like `https://workflows.example.com` or `http://127.0.0.1:8080`";
        Refused::input(format!("`--server {text}`: {why}")).hint(hint)
    };
    let mut url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refused("it is no address of http or https").into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            Refused::input("`--server` has a user or a password in it; give the API key with `--key-file`").into()
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("it ends in a query or a fragment").into());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    let has_no_prefix = text.ends_with("/.");
    url.set_path(if path.is_empty() && !has_no_prefix { PATH_PREFIX } else { &path });
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_the_usual_prefix_unless_it_has_one() {
        for (text, base) in [
            ("http://localhost:8080", "http://localhost:8080/api/v1"),
            ("https://example.com/", "https://example.com/api/v1"),
            ("https://example.com/workflows/v1/", "https://example.com/workflows/v1"),
            ("https://example.com/.", "https://example.com/"),
        ] {
            assert_eq!(address(text).unwrap().as_str(), base);
        }
    }

    #[test]
    fn what_is_no_address_of_a_server_is_refused_and_its_password_is_not_told() {
        for text in ["localhost:8080", "ftp://example.com", "http://", "http://example.com?x=1"] {
            assert!(address(text).is_err(), "{text}");
        }
        let told = format!("{:#}", address("http://ada:secret@example.com").unwrap_err());
        assert!(!told.contains("secret"), "{told}");
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", Key(Zeroizing::new("sk_secret".to_owned()))), "Key(…)");
    }
}
