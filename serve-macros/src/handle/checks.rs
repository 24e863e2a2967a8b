//! The bounds of what crosses a handle, each checked once, on the user's own type. (That
//! an error can be shown is a bound of `Method::Err`, whose span is the user's too.)
//!
//! What is generated besides does not ask for these bounds again (see `Checked` in
//! `serve_core::__private`), so a type at fault gives one error and not a wall of them.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::model::{Method, Model};

/// One `const _` for each parameter type, the success type and the error type.
pub(super) fn of(method: &Method, model: &Model) -> TokenStream {
    let private = model.private();
    let cfg = method.cfg.attribute();
    // What an endpoint takes and returns is read and written, also in a `local` deployment.
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
