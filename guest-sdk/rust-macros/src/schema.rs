//! Turns a type into an implementation of `Schema`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DataEnum, DeriveInput, Error, Field, Fields, FieldsNamed, Ident, Result};

use crate::attributes::{Attributes, Case};

/// Writes the implementation.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let attributes = Attributes::of(&input.attrs)?;
    let members = if attributes.is_any { quote!() } else { members_of(input, &attributes)? };
    let name = &input.ident;
    let description = &attributes.description;
    let mut generics = input.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(syn::parse_quote!(::stepcell_sdk::Schema));
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::stepcell_sdk::Schema for #name #type_generics #where_clause {
            const MEMBERS: ::stepcell_sdk::Text = {
                #[allow(unused_mut)]
                let mut text = ::stepcell_sdk::Text::EMPTY;
                #members
                text
            };
            const DESCRIPTION: &'static str = #description;
        }
    })
}

/// Writes the statements that push the members of the schema onto `text`.
fn members_of(input: &DeriveInput, attributes: &Attributes) -> Result<TokenStream> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) if attributes.is_transparent => transparent(fields.named.iter()),
            Fields::Named(fields) => object(fields, attributes),
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => transparent(fields.unnamed.iter()),
            Fields::Unnamed(_) => Ok(quote!(text.push("\"type\":\"array\"");)),
            Fields::Unit => Ok(quote!(text.push("\"type\":\"null\"");)),
        },
        Data::Enum(data) => words(data, attributes.rename_all),
        Data::Union(_) => Err(Error::new_spanned(&input.ident, "a union has no JSON form")),
    }
}

/// The schema of the only field that is not skipped.
fn transparent<'a>(mut fields: impl Iterator<Item = &'a Field>) -> Result<TokenStream> {
    let field = fields.find(|field| Attributes::of(&field.attrs).is_ok_and(|attributes| !attributes.is_skipped));
    let Some(field) = field else { return Ok(quote!()) };
    if Attributes::of(&field.attrs)?.is_any {
        return Ok(quote!());
    }
    let field_type = &field.ty;
    Ok(quote!(text.push_text(&<#field_type as ::stepcell_sdk::Schema>::MEMBERS);))
}

/// An object with a property for each field.
fn object(fields: &FieldsNamed, container: &Attributes) -> Result<TokenStream> {
    let mut properties = Vec::new();
    let mut required = Vec::new();
    let mut is_closed = container.is_closed;
    for field in &fields.named {
        let attributes = Attributes::of(&field.attrs)?;
        is_closed &= !attributes.is_flattened;
        if attributes.is_skipped || attributes.is_flattened {
            continue;
        }
        let name = json_name(field.ident.as_ref(), &attributes, container.rename_all);
        properties.push(property(field, &attributes, &name));
        if !attributes.is_optional && !container.is_optional {
            required.push(requirement(field, &attributes, &name));
        }
    }
    let closing = is_closed.then(|| quote!(text.push(",\"additionalProperties\":false");));
    Ok(quote! {
        text.push("\"type\":\"object\",\"properties\":{");
        let mut is_first = true;
        #(#properties)*
        text.push("},\"required\":[");
        is_first = true;
        #(#required)*
        text.push("]");
        let _ = is_first;
        #closing
    })
}

fn property(field: &Field, attributes: &Attributes, name: &str) -> TokenStream {
    let description = &attributes.description;
    let field_type = &field.ty;
    let schema = if attributes.is_any {
        quote!(::stepcell_sdk::schema::push_any(&mut text, #description);)
    } else {
        quote!(::stepcell_sdk::schema::push_schema::<#field_type>(&mut text, #description);)
    };
    quote! {
        if !is_first { text.push(","); }
        is_first = false;
        text.push_json_string(#name);
        text.push(":");
        #schema
    }
}

fn requirement(field: &Field, attributes: &Attributes, name: &str) -> TokenStream {
    let field_type = &field.ty;
    let is_optional =
        if attributes.is_any { quote!(false) } else { quote!(<#field_type as ::stepcell_sdk::Schema>::IS_OPTIONAL) };
    quote! {
        if !#is_optional {
            if !is_first { text.push(","); }
            is_first = false;
            text.push_json_string(#name);
        }
    }
}

/// A list of words for an enum without data; nothing for one with data.
fn words(data: &DataEnum, case: Option<Case>) -> Result<TokenStream> {
    if data.variants.iter().any(|variant| !matches!(variant.fields, Fields::Unit)) {
        return Ok(quote!());
    }
    let mut names = Vec::new();
    for variant in &data.variants {
        let attributes = Attributes::of(&variant.attrs)?;
        if !attributes.is_skipped {
            names.push(json_name(Some(&variant.ident), &attributes, case));
        }
    }
    let pushes = names.iter().enumerate().map(|(at, name)| {
        let comma = (at > 0).then(|| quote!(text.push(",");));
        quote!(#comma text.push_json_string(#name);)
    });
    Ok(quote! {
        text.push("\"type\":\"string\",\"enum\":[");
        #(#pushes)*
        text.push("]");
    })
}

fn json_name(ident: Option<&Ident>, attributes: &Attributes, case: Option<Case>) -> String {
    let name = ident.map(ToString::to_string).unwrap_or_default();
    let name = name.trim_start_matches("r#");
    match (&attributes.rename, case) {
        (Some(renamed), _) => renamed.clone(),
        (None, Some(case)) => case.spell(name),
        (None, None) => name.to_owned(),
    }
}
