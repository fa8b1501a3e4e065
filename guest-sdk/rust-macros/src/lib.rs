//! The derive for `stepcell_sdk::Schema`. Use it through `stepcell-sdk`.

mod attributes;
mod schema;

use proc_macro::TokenStream;

/// Describes a type's JSON form as a JSON Schema, from its fields, doc comments and serde attributes.
#[proc_macro_derive(Schema, attributes(schema, serde))]
pub fn derive_schema(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    schema::expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
