//! The bounds of the types that cross a handle, each checked once, at the span of the user's
//! type. (The bound that an error can be displayed is on `Method::Err`, at the user's span too.)
//!
//! The other generated code does not require these bounds again (see `Checked` in
//! `serve_core::__private`), so a wrong type causes one error and not a long list of errors.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::model::{Method, Model};

/// Generates one `const _` for each parameter type, the success type and the error type.
pub(super) fn of(method: &Method, model: &Model) -> TokenStream {
    let private = model.private();
    let cfg = method.cfg.attribute();
    // An endpoint's parameters and result are serialized even in a `local` deployment.
    let locality = match method.endpoint {
        Some(_) => quote! { #private::Anywhere },
        None => model.locality(),
    };
    let values = method.parameter_types().into_iter().chain([&method.returns.ok]);
    let values = values.map(|ty| {
        let check = quote_spanned! { ty.span() => assert_wire::<#locality, #ty> };
        let schema = method.endpoint.as_ref().map(|_| {
            let check = quote_spanned! { ty.span() => assert_endpoint::<#ty> };
            quote! { #cfg const _: () = #private::#check(); }
        });
        quote! { #cfg const _: () = #private::#check(); #schema }
    });
    let error = method.returns.err.as_ref().map(|err| {
        let locality = model.locality();
        let check = quote_spanned! { err.span() => assert_wire::<#locality, #err> };
        quote! { #cfg const _: () = #private::#check(); }
    });
    quote! { #(#values)* #error }
}
