//! `component keygen`, `sign` and `verify`: whose word there is for a component.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use stepcell::model::id::ComponentDigest;
use stepcell::model::signature::{ComponentSignature, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::bytes_of;
use crate::cli::exit::Refused;
use crate::cli::input::text_of_file;
use crate::cli::open::{Output, Settings};
use crate::cli::print;

/// Make a pair of keys: the private one in a file that only its owner may read, the public one on stdout.
#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// The file for the private key; it must not be there yet.
    #[arg(long, env = "STEPCELL_SIGNING_KEY_FILE", hide_env_values = true, value_name = "FILE")]
    out: PathBuf,
}

/// Sign a component with a private key.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// The component, as a `.wasm` file.
    file: PathBuf,
    /// The file with the private key, as `component keygen` makes it.
    #[arg(long, env = "STEPCELL_SIGNING_KEY_FILE", hide_env_values = true, value_name = "FILE")]
    // A text, as the API key is that every verb has a flag of this name for.
    key: String,
    /// The file for the signature [default: the component's name with `.sig`].
    #[arg(long, env = "STEPCELL_SIGNATURE", hide_env_values = true, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Check that a signature is a component's, made by the key that it names.
///
/// With `--trusted-key`, that key must be one of those. Ends with 2 where the signature does not hold.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The component, as a `.wasm` file.
    file: PathBuf,
    /// The signature's file [default: the component's name with `.sig`].
    #[arg(long, env = "STEPCELL_SIGNATURE", hide_env_values = true, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// A public key that counts; give it again for each.
    #[arg(long = "trusted-key", env = "STEPCELL_TRUSTED_KEY", hide_env_values = true, value_name = "KEY")]
    trusted_keys: Vec<PublicKey>,
}

/// The file of a component's signature unless another one is named.
fn signature_file_of(component: &Path) -> PathBuf {
    let mut file = component.as_os_str().to_owned();
    file.push(".sig");
    file.into()
}

/// Reads a signature.
pub(super) fn signature_in(file: &Path) -> anyhow::Result<ComponentSignature> {
    let text = text_of_file(file)?;
    let malformed = |error| Refused::input(format!("`{}` is no signature of a component: {error}", file.display()));
    Ok(serde_json::from_str(&text).map_err(malformed)?)
}

impl Keygen {
    pub(super) fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let mut bytes = Zeroizing::new([0; 32]);
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, bytes.as_mut())?;
        let key = PrivateKey::from_bytes(&bytes);
        let text = Zeroizing::new(format!("{}\n", key.to_text()));
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.out);
        made.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(|error| Refused::input(format!("can not make `{}`: {error}", self.out.display())))?;
        match settings.output {
            Output::Json => print::json(&json!({ "public_key": key.public(), "private_key_file": self.out })),
            Output::Table => print::line(&key.public().to_string()),
        }
    }
}

impl Sign {
    pub(super) fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let text = Zeroizing::new(text_of_file(Path::new(&self.key))?);
        let malformed = |error| Refused::input(format!("`{}`: {error}", self.key));
        let key: PrivateKey = text.parse().map_err(malformed)?;
        let signature = key.sign(ComponentDigest::of(&bytes_of(&self.file)?));
        let out = self.out.unwrap_or_else(|| signature_file_of(&self.file));
        let written = std::fs::write(&out, format!("{}\n", serde_json::to_string_pretty(&signature)?));
        written.with_context(|| format!("can not write `{}`", out.display()))?;
        match settings.output {
            Output::Json => print::json(&signature),
            Output::Table => print::line(&format!("signed {} into `{}`", signature.digest, out.display())),
        }
    }
}

impl Verify {
    pub(super) fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let digest = ComponentDigest::of(&bytes_of(&self.file)?);
        let signature = signature_in(&self.signature.unwrap_or_else(|| signature_file_of(&self.file)))?;
        let checked = match self.trusted_keys.as_slice() {
            [] => signature.check(digest),
            trusted => signature.check_trusted(digest, trusted),
        };
        checked.map_err(|bad| Refused::failed(bad.to_string()))?;
        match settings.output {
            Output::Json => print::json(&signature),
            Output::Table => print::line(&format!("{digest} is signed by {}", signature.key)),
        }
    }
}
