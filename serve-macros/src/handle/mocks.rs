//! The methods of the mock, which take closures that answer calls.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::model::{Method, Model};
use crate::hygiene;
use crate::signature::Shape;

/// Generates the mock's method for a method of the deployment.
pub(super) fn method(method: &Method, model: &Model) -> TokenStream {
    let private = model.private();
    let (cfg, marker) = (method.cfg.attribute(), method.marker());
    let name = match method.name.to_string().as_str() {
        name @ ("new" | "named") => format_ident!("mock_{name}"),
        _ => method.name.clone(),
    };
    let doc = format!("Answers [`{}::{}`].", model.name(), method.name);
    let types = method.parameter_types();
    let arguments: Vec<_> =
        (0..types.len()).map(|index| format_ident!("argument{index}")).collect();
    let whole = &method.returns.whole;
    let mentioned = method.types();
    let (answers, answered) = (hygiene::fresh("F", &mentioned), hygiene::fresh("A", &mentioned));
    let (bound, on, fallible) = match method.returns.shape {
        Shape::Value => (
            quote! { ::core::future::Future<Output = #whole> },
            quote! { on_unary },
            method.returns.err.is_some(),
        ),
        Shape::Stream { item_result, .. } => {
            (quote! { #private::futures::Stream<Item = #whole> }, quote! { on_stream }, item_result)
        }
    };
    let turn = if fallible {
        quote! { #private::fallible }
    } else {
        quote! { ::core::result::Result::Ok }
    };
    let map = match method.returns.shape {
        Shape::Value => quote! { FutureExt },
        Shape::Stream { .. } => quote! { StreamExt },
    };
    quote! {
        #cfg
        #[doc = #doc]
        #[must_use]
        pub fn #name<#answers, #answered>(self, answer: #answers) -> Self
        where
            #answers: ::core::ops::Fn(#(#types),*) -> #answered
                + ::core::marker::Send
                + ::core::marker::Sync
                + 'static,
            #answered: #bound + ::core::marker::Send + 'static,
        {
            #private::mocked(self, |mock| {
                mock.#on::<#marker, _, _>(move |(#(#arguments,)*)| {
                    #private::futures::#map::map(answer(#(#arguments),*), #turn)
                })
            })
        }
    }
}
