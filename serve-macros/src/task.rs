//! `#[task]`: makes a stateless function callable like a method.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::parse::{Parse, Parser};
use syn::spanned::Spanned;

use crate::application::Head;
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
            errors.push(error);
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
            "a task has no generic parameters: write one task for each type",
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
        let span = ty.span();
        quote_spanned! { span => #name: impl #private::IntoArg<#ty> }
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
    let doc = format!("The task [`{name}`](fn@{name}); `remote` starts it.");
    Some(quote! {
        #cfg
        #[doc = #doc]
        #[allow(non_camel_case_types, dead_code, reason = "named after the function")]
        #[derive(Debug)]
        #visibility enum #name {}

        #cfg
        const _: () = {
            #[automatically_derived]
            impl #private::Task for #name {
                type Args = (#(#types,)*);
                type Ok = #ok;
                type Err = #err;
                const NAME: &'static str = #text;

                async fn run(
                    (#(#names,)*): Self::Args,
                ) -> ::core::result::Result<Self::Ok, #private::CallError<Self::Err>> {
                    #result
                }
            }

            #[allow(dead_code, clippy::pedantic, reason = "generated for any task")]
            impl #name {
                /// Starts the task, and returns at once.
                pub fn remote(#(#arguments),*) -> #private::Response<#ok #response_err> {
                    #private::start_task::<Self>((#(#private::IntoArg::<#types>::into_arg(#names),)*))
                }
            }
        };
    })
}
