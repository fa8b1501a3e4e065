//! What [`export!`](crate::export) puts between the component's functions and a [`Step`]. Not for authors.

use std::cell::RefCell;
use std::io::Write;

use serde_json::Value;

use crate::bindings::stepcell::step::types::StepFailure;
use crate::context::{Context, parse};
use crate::failure::Failure;
use crate::source::Source;
use crate::step::Step;

/// An input that a guard has parsed, kept for the `execute` that follows in the same instance.
pub type Parsed<S> = RefCell<Option<(String, <S as Step>::Input)>>;

/// Runs the guard.
///
/// # Errors
/// What the step returns, or `invalid-input`.
pub fn can_execute<S: Step>(input: String, parsed: &Parsed<S>) -> Result<bool, StepFailure> {
    let value = parse_input::<S>(&input)?;
    let answer = flushed(S::can_execute(&value, &host()))?;
    *parsed.borrow_mut() = Some((input, value));
    Ok(answer)
}

/// Runs the step.
///
/// # Errors
/// What the step returns, `invalid-input`, or `invalid-output`.
pub fn execute<S: Step>(input: &str, parsed: &Parsed<S>) -> Result<String, StepFailure> {
    let value = match parsed.borrow_mut().take() {
        Some((text, value)) if text == input => value,
        _ => parse_input::<S>(input)?,
    };
    let output = flushed(S::execute(value, &mut host()))?;
    serde_json::to_string(&output).map_err(|error| {
        Failure::new("invalid-output", format!("The output can not be written as JSON: {error}")).into()
    })
}

/// Runs the hook after success.
///
/// # Errors
/// What the step returns.
pub fn on_success<S: Step>(output: &str) -> Result<(), StepFailure> {
    let output: Value = parse(output).unwrap_or_default();
    flushed(S::on_success(&output, &mut host())).map_err(StepFailure::from)
}

/// Runs the hook after failure.
///
/// # Errors
/// What the step returns.
pub fn on_failure<S: Step>(failure: StepFailure) -> Result<(), StepFailure> {
    flushed(S::on_failure(&failure.into(), &mut host())).map_err(StepFailure::from)
}

const fn host() -> Context {
    Context::new(Source::Host)
}

/// Sends what was printed without a line break on its way: nothing else does, as the instance is dropped, not exited.
fn flushed<T>(answer: T) -> T {
    // The log takes everything, and a step could do nothing about it if it did not.
    let _ = std::io::stdout().flush();
    answer
}

fn parse_input<S: Step>(text: &str) -> Result<S::Input, Failure> {
    parse(text).map_err(|reason| Failure::new("invalid-input", format!("The input does not fit: {reason}")))
}

/// Makes a [`Step`] the component's step. Goes at the end of the crate, once.
///
/// The component also gets a manifest of the crate's name, version and description, and of the schemas of the step's
/// input and output. On other targets than WebAssembly it does nothing, so that steps are tested natively.
#[macro_export]
macro_rules! export {
    ($step:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            ::std::thread_local! {
                static PARSED: $crate::glue::Parsed<$step> = const { ::std::cell::RefCell::new(None) };
            }

            impl $crate::bindings::exports::stepcell::step::step::Guest for Exported {
                fn can_execute(
                    input: ::std::string::String,
                ) -> Result<bool, $crate::bindings::stepcell::step::types::StepFailure> {
                    PARSED.with(|parsed| $crate::glue::can_execute::<$step>(input, parsed))
                }

                fn execute(
                    input: ::std::string::String,
                ) -> Result<::std::string::String, $crate::bindings::stepcell::step::types::StepFailure> {
                    PARSED.with(|parsed| $crate::glue::execute::<$step>(&input, parsed))
                }

                fn on_success(
                    output: ::std::string::String,
                ) -> Result<(), $crate::bindings::stepcell::step::types::StepFailure> {
                    $crate::glue::on_success::<$step>(&output)
                }

                fn on_failure(
                    failure: $crate::bindings::stepcell::step::types::StepFailure,
                ) -> Result<(), $crate::bindings::stepcell::step::types::StepFailure> {
                    $crate::glue::on_failure::<$step>(failure)
                }
            }

    $crate::bindings::export_component!(Exported with_types_in $crate::bindings);

            const MANIFEST: $crate::Text =
                $crate::schema::manifest::<<$step as $crate::Step>::Input, <$step as $crate::Step>::Output>(
                    env!("CARGO_PKG_NAME"),
                    env!("CARGO_PKG_VERSION"),
                    env!("CARGO_PKG_DESCRIPTION"),
                );

            #[used]
            #[unsafe(link_section = "stepcell:manifest")]
            static SECTION: [u8; MANIFEST.len_bytes()] = MANIFEST.to_array();
        };
    };
}
