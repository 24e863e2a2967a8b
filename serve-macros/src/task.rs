//! `#[task]`: makes a stateless function callable like a method.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{Parse, Parser};
use syn::spanned::Spanned;

use crate::application::{Head, not_a_function};
use crate::cfg::Cfg;
use crate::errors::Errors;
use crate::options;
use crate::signature::{self, Source};

pub(crate) fn expand(options: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let krate = options::crate_path(options, &mut errors);
    let generated = match Head::parse.parse2(item.clone()) {
        Ok(head) => generate(&head, &krate, &mut errors),
        Err(error) => {
            errors.push(not_a_function("task", &error));
            None
        }
    };
    let errors = errors.into_tokens();
    quote! { #item #generated #errors }
}

fn generate(head: &Head, krate: &syn::Path, errors: &mut Errors) -> Option<TokenStream> {
    let signature = &head.signature;
    let private = quote! { #krate::__private };
    let cfg = Cfg::of(&head.attributes).attribute();
    if !signature.generics.params.is_empty() {
        errors.at(
            &signature.generics,
            if signature::only_lifetimes(&signature.generics) {
                "a task has no lifetime parameters, because it outlives the code that starts it: take \
                 and return owned types, like `String` instead of `&'a str`"
            } else {
                "a task has no generic parameters: write one task for each type"
            },
        );
        return None;
    }
    if let Some(receiver) = signature.receiver() {
        errors.at(
            receiver,
            "a task is a function outside of `impl` blocks: for a method, use a deployment with \
             `#[handle]`",
        );
        return None;
    }
    let (name, visibility) = (&signature.ident, &head.visibility);
    let parameters = signature::parameters(signature, &quote! { Self }, errors)?;
    if let syn::ReturnType::Type(_, ty) = &signature.output {
        let value = signature::success(ty);
        let many = [(Source::Stream, "stream"), (Source::Iterator, "iterator")];
        if let Some((_, name)) = many.iter().find(|(source, _)| source.item(&value).is_some()) {
            errors.at(ty, format!("a task returns one value: collect the {name} into a `Vec`"));
            return None;
        }
    }
    let returns =
        signature::returns(&signature.output, Source::Stream, &quote! { Self }, &private, errors)?;
    let names: Vec<_> = parameters.iter().map(|parameter| &parameter.name).collect();
    let types: Vec<_> = parameters.iter().map(|parameter| &parameter.ty).collect();
    let arguments = names.iter().zip(&types).map(|(name, ty)| {
        // A note about this bound then points at the user's parameter.
        let private = signature::respan(private.clone(), ty.span());
        quote_spanned! { ty.span() => #name: impl #private::IntoArg<#ty> }
    });
    let awaited = signature.asyncness.map(|_| quote! { .await });
    let (ok, text) = (&returns.ok, name.to_string());
    let (err, response_err, result) = match &returns.err {
        Some(err) => (
            err.clone(),
            quote! { , #err },
            quote! { #private::Fallible::into_result(#name(#(#names),*)#awaited).map_err(#private::CallError::App) },
        ),
        None => (
            quote! { ::core::convert::Infallible },
            TokenStream::new(),
            quote! { ::core::result::Result::Ok(#name(#(#names),*)#awaited) },
        ),
    };
    let doc = format!(" The task [`{name}`](fn@{name}); `remote` starts it.");
    let there = signature::respan(private.clone(), name.span());
    let remote = Ident::new("remote", name.span());
    // The span is that of the function's name, where the compiler reports a future or an argument
    // that is not `Send`.
    let impls = quote_spanned! { name.span() =>
        #[automatically_derived]
        impl #there::Task for #name {
            type Args = (#(#types,)*);
            type Ok = #ok;
            type Err = #err;
            const NAME: &'static ::core::primitive::str = #text;

            async fn run(
                (#(#names,)*): Self::Args,
            ) -> ::core::result::Result<Self::Ok, #there::CallError<Self::Err>> {
                #result
            }
        }

        impl #name {
            /// Starts the task, and returns at once.
            pub fn #remote(#(#arguments),*) -> #there::Response<#ok #response_err> {
                #there::start_task::<Self>((#(#private::IntoArg::<#types>::into_arg(#names),)*))
            }
        }
    };
    Some(quote! {
        #cfg
        #[doc = #doc]
        #[allow(non_camel_case_types, dead_code, reason = "named after the function")]
        #[derive(Debug)]
        #visibility enum #name {}

        #cfg
        #[allow(dead_code, deprecated, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated for any task")]
        const _: () = { #impls };
    })
}
