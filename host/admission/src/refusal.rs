//! Why a component is not let in, in words for whoever pushes it.

use stepcell_model::id::ComponentDigest;

use crate::structure::Bound;

/// Why a component is not let in: what was found, what was expected, what to do. For whoever pushes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The file is too large.
    #[error(
        "the file has {size_bytes} bytes, and a component may have {max_bytes}; strip debug information, or leave out what the step does not need"
    )]
    TooLarge {
        /// The size found.
        size_bytes: usize,
        /// The size allowed.
        max_bytes: usize,
    },
    /// The file is no WebAssembly.
    #[error("the file is no WebAssembly: it does not begin with `\\0asm`; push the `.wasm` file that the build made")]
    NotWasm,
    /// The file is a core module.
    #[error(
        "the file is a core module, and a step is a component; build it for `wasm32-wasip2`, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// The file is a WIT package.
    #[error("the file is a WIT package without code; push the component that implements it")]
    WitPackage,
    /// The component can not be read.
    #[error("the component can not be read: {reason}; build it anew with a current toolchain")]
    Unreadable {
        /// What the reader said.
        reason: String,
    },
    /// The component is too much to compile.
    #[error(
        "the component has {found} {}, and may have {} (`{}`); split the step, or leave out what it does not need",
        bound.what, bound.max, bound.name
    )]
    TooComplex {
        /// What there is too much of, and how much there may be.
        bound: Bound,
        /// How much was found, counting no further than needed.
        found: u64,
    },
    /// What the component expands to can not be told from the component alone.
    #[error(
        "the component instantiates {what} that it is given from outside, so that what it takes can not be counted; put them inside"
    )]
    Uncountable {
        /// What it instantiates.
        what: &'static str,
    },
    /// The component implements none of the contract's interfaces.
    #[error(
        "the component exports {found}, and a step exports `{expected}`; implement the world `stepcell:step/step-component` \
         (in Rust: `stepcell_sdk::export!(YourStep);`), or for a gateway `stepcell:step/gateway-component`"
    )]
    NoStep {
        /// What it exports.
        found: String,
        /// What it should export.
        expected: String,
    },
    /// An export lacks a function.
    #[error("the component's `{interface}` lacks {missing}; implement every function of the interface")]
    MissingFunctions {
        /// The interface.
        interface: String,
        /// The functions that are not there.
        missing: String,
    },
    /// A function has another signature than in the contract.
    #[error(
        "`{function}` of `{interface}` is `{found}` in the component and `{expected}` in the contract; build it against the contract of this host"
    )]
    Signature {
        /// The interface.
        interface: String,
        /// The function.
        function: String,
        /// What the component has.
        found: String,
        /// What the contract has.
        expected: String,
    },
    /// A function of our own that this host does not know.
    #[error(
        "the component imports `{function}` of `{interface}`, which this host, at version {host_version} of the contract, does not have; update the host, or build against its contract"
    )]
    UnknownFunction {
        /// The interface.
        interface: String,
        /// The function.
        function: String,
        /// The version that this host speaks.
        host_version: String,
    },
    /// The component was built for another version of the contract.
    #[error(
        "the component was built for `{found}`, and this host speaks version {host_version} of the contract; build it against {host_version}"
    )]
    OtherVersion {
        /// The interface that it names.
        found: String,
        /// The version that this host speaks.
        host_version: String,
    },
    /// The component imports something that no host gives.
    #[error(
        "the component imports `{import}`, which this host does not offer; it offers `stepcell:step` {host_version} and WASI 0.2; remove the call"
    )]
    UnknownImport {
        /// The import.
        import: String,
        /// The version that this host speaks.
        host_version: String,
    },
    /// The manifest inside the component is damaged.
    #[error(
        "the custom section `stepcell:manifest` of the component {reason}; build it with the SDK, or leave the section out"
    )]
    Manifest {
        /// What is wrong with it.
        reason: String,
    },
    /// The bytes are not those that the digest names.
    #[error("the component's bytes have the digest {found}, not {expected}; they were changed on the way")]
    Digest {
        /// The digest of the bytes.
        found: ComponentDigest,
        /// The digest that was named.
        expected: ComponentDigest,
    },
    /// The component does not compile within this host's limits.
    #[error("the component can not be compiled: {reason}")]
    Compile {
        /// What the compiler said.
        reason: String,
    },
    /// Compiling the component passes a limit.
    #[error(
        "the component can not be compiled with {max} of {what}; split the step, or leave out what it does not need"
    )]
    CompileLimit {
        /// What compiling it used up.
        what: &'static str,
        /// How much there is of it.
        max: String,
    },
    /// The component brings the compiler down. Nothing else came to harm.
    #[error(
        "the component brings the compiler down ({how}); build it anew with a current toolchain, and tell us if that does not help"
    )]
    CompileCrash {
        /// How the compiler ended.
        how: String,
    },
    /// Too many components of the same tenant wait to be compiled.
    #[error("{waiting_max} components of this tenant wait to be compiled already; try again when they are done")]
    Busy {
        /// How many may wait.
        waiting_max: usize,
    },
    /// The component does not fit what this host provides.
    #[error("the component can not be linked: {reason}; build it against WASI 0.2 and this host's contract")]
    Link {
        /// What the linker said.
        reason: String,
    },
    /// The host could not finish the check.
    #[error("the host could not check the component: {reason}")]
    Host {
        /// What happened.
        reason: String,
    },
}

impl Refusal {
    /// Every code that a refusal may have, and what it means, for documents and counters.
    pub const CODES: &'static [(&'static str, &'static str)] = &[
        ("admission.size", "the file is larger than a component may be"),
        ("admission.format", "the file is no component, or can not be read as one"),
        ("admission.structure", "there is too much to compile or to hold, once all that is asked for is counted"),
        ("admission.contract", "an import or an export is not as the contract has it"),
        ("admission.manifest", "what the component says of itself is damaged"),
        ("admission.digest", "the bytes are not those that the digest names"),
        ("admission.compile", "it does not compile, or not within the limits of compiling"),
        ("admission.busy", "too many components of the same tenant wait to be compiled"),
        ("admission.link", "it does not fit what this host provides"),
        ("admission.host", "the host could not finish the check; this is no fault of the component"),
    ];

    /// The refusal's stable code, one of [`Self::CODES`].
    ///
    /// # Examples
    /// ```
    /// use stepcell_admission::Refusal;
    ///
    /// assert_eq!(Refusal::NotWasm.code(), "admission.format");
    /// ```
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "admission.size",
            Self::NotWasm | Self::CoreModule | Self::WitPackage | Self::Unreadable { .. } => "admission.format",
            Self::TooComplex { .. } | Self::Uncountable { .. } => "admission.structure",
            Self::NoStep { .. }
            | Self::MissingFunctions { .. }
            | Self::Signature { .. }
            | Self::UnknownFunction { .. }
            | Self::OtherVersion { .. }
            | Self::UnknownImport { .. } => "admission.contract",
            Self::Manifest { .. } => "admission.manifest",
            Self::Digest { .. } => "admission.digest",
            Self::Compile { .. } | Self::CompileLimit { .. } | Self::CompileCrash { .. } => "admission.compile",
            Self::Busy { .. } => "admission.busy",
            Self::Link { .. } => "admission.link",
            Self::Host { .. } => "admission.host",
        }
    }
}

/// The longest text of a stranger that a message quotes, in bytes. Protects logs and whoever reads them.
const EXCERPT_BYTES_MAX: usize = 400;

/// The longest signature that a message quotes, in bytes. The longest of the contract has 500.
const SIGNATURE_EXCERPT_BYTES_MAX: usize = 2_000;

/// Cuts a stranger's text to a length that fits into a message, in one line without control characters.
#[must_use]
pub fn excerpt(text: &str) -> String {
    cut(text, EXCERPT_BYTES_MAX)
}

/// Cuts a signature to a length that fits into a message.
pub(crate) fn signature_excerpt(text: &str) -> String {
    cut(text, SIGNATURE_EXCERPT_BYTES_MAX)
}

fn cut(text: &str, bytes_max: usize) -> String {
    let cut = &text[..text.floor_char_boundary(bytes_max)];
    let words: Vec<_> = cut.split_whitespace().collect();
    let mut plain: String = words.join(" ").replace(char::is_control, "\u{fffd}");
    if cut.len() < text.len() {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_one_of_the_codes_that_are_listed() {
        let reason = String::new;
        let of = [
            Refusal::TooLarge { size_bytes: 2, max_bytes: 1 },
            Refusal::NotWasm,
            Refusal::TooComplex { bound: Bound::FUNCTIONS, found: 100_001 },
            Refusal::NoStep { found: reason(), expected: reason() },
            Refusal::Manifest { reason: reason() },
            Refusal::Digest { found: ComponentDigest::of(b"a"), expected: ComponentDigest::of(b"b") },
            Refusal::Compile { reason: reason() },
            Refusal::Busy { waiting_max: 1 },
            Refusal::Link { reason: reason() },
            Refusal::Host { reason: reason() },
        ];

        let codes: Vec<_> = of.iter().map(Refusal::code).collect();

        assert_eq!(codes, Refusal::CODES.iter().map(|(code, _)| *code).collect::<Vec<_>>());
    }

    #[test]
    fn what_strangers_wrote_is_quoted_in_one_line_and_no_longer_than_fits() {
        assert_eq!(excerpt("two\n   lines,\u{7}a bell"), "two lines,\u{fffd}a bell");
        assert_eq!(excerpt(&"x".repeat(500)), format!("{}…", "x".repeat(400)));
        assert_eq!(excerpt(&"ä".repeat(300)), format!("{}…", "ä".repeat(200)));
    }
}
