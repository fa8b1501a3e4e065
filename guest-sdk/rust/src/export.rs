//! The macros that make an author's type what the component exports.

/// Makes a [`Step`](crate::Step) the component's step. Goes at the end of the crate, once.
///
/// The component also gets a manifest of the crate's name, version and description, and of the schemas of the step's
/// input and output. On other targets than WebAssembly it does nothing, so that steps are tested natively.
///
/// `export!(MyStep, gateway: MyGateway)` makes a component that a workflow may use as either; its manifest describes
/// the step. For a [`Gateway`](crate::Gateway) alone there is [`export_gateway!`](crate::export_gateway).
#[macro_export]
macro_rules! export {
    ($step:ty) => {
        $crate::__export_step_functions!($step);
        $crate::__export_manifest!(<$step as $crate::Step>::Input, <$step as $crate::Step>::Output);
    };
    ($step:ty, gateway: $gateway:ty) => {
        $crate::export!($step);
        $crate::__export_gateway_functions!($gateway);
    };
}

/// Makes a [`Gateway`](crate::Gateway) the component's gateway. Goes at the end of the crate, once.
///
/// The component also gets a manifest, as with [`export!`](crate::export); its output is the list of names. A component
/// that is a step too is made with `export!(MyStep, gateway: MyGateway)`.
#[macro_export]
macro_rules! export_gateway {
    ($gateway:ty) => {
        $crate::__export_gateway_functions!($gateway);
        $crate::__export_manifest!(<$gateway as $crate::Gateway>::Input, ::std::vec::Vec<::std::string::String>);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_step_functions {
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
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_gateway_functions {
    ($gateway:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            impl $crate::bindings::gateway::exports::stepcell::step::gateway::Guest for Exported {
                fn evaluate(
                    input: ::std::string::String,
                    targets: ::std::vec::Vec<::std::string::String>,
                ) -> Result<
                    ::std::vec::Vec<::std::string::String>,
                    $crate::bindings::stepcell::step::types::StepFailure,
                > {
                    $crate::glue::evaluate::<$gateway>(&input, &targets)
                }
            }

            $crate::bindings::gateway::export_gateway_component!(Exported with_types_in $crate::bindings::gateway);
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_manifest {
    ($input:ty, $output:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            const MANIFEST: $crate::Text = $crate::schema::manifest::<$input, $output>(
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
