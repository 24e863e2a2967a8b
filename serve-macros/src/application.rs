//! `#[application]`: registers a function that binds a graph.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, FnArg, Signature, Type, Visibility};

use crate::cfg::Cfg;
use crate::errors::Errors;
use crate::options;

/// The head of a function, whose body is not parsed.
pub(crate) struct Head {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
}

impl Parse for Head {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let head = Self {
            attributes: input.call(Attribute::parse_outer)?,
            visibility: input.parse()?,
            signature: input.parse()?,
        };
        input.parse::<TokenStream>()?;
        Ok(head)
    }
}

pub(crate) fn expand(options: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let krate = options::crate_path(options, &mut errors);
    let generated = match Head::parse.parse2(item.clone()) {
        Ok(head) => generate(&head, &krate, &mut errors),
        Err(error) => {
            errors.push(error);
            TokenStream::new()
        }
    };
    let errors = errors.into_tokens();
    quote! { #item #generated #errors }
}

fn generate(head: &Head, krate: &syn::Path, errors: &mut Errors) -> TokenStream {
    let signature = &head.signature;
    let private = quote! { #krate::__private };
    let cfg = Cfg::of(&head.attributes).attribute();
    if signature.asyncness.is_some() {
        errors.at(&signature.ident, "an application function only binds deployments: leave out `async`, and do slow work in the constructors");
        // The code below would make the compiler report, too, that a future is not an application.
        return TokenStream::new();
    }
    if !signature.generics.params.is_empty() {
        errors.at(
            &signature.generics,
            "an application has no generic parameters, because it is started by its name",
        );
    }
    let (name, ident) = (signature.ident.to_string(), &signature.ident);
    let fallible = match &signature.output {
        syn::ReturnType::Type(_, ty) => matches!(
            &**ty,
            Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Result")
        ),
        syn::ReturnType::Default => {
            errors.at(
                ident,
                "an application function returns `Application<D>` or `Bound<D>`, where `D` is the ingress deployment",
            );
            return TokenStream::new();
        }
    };
    let inputs: Vec<_> = signature.inputs.iter().collect();
    let (argument, schema) = match &inputs[..] {
        [] => (None, quote! { ::core::option::Option::None }),
        [FnArg::Typed(typed)] => {
            let ty = typed.ty.to_token_stream();
            (
                Some(ty.clone()),
                quote! {
                    ::core::option::Option::Some(|| {
                        #private::schemars::schema_for!(#ty).to_value()
                    })
                },
            )
        }
        _ => {
            errors.at(
                &signature.inputs,
                "an application function takes at most one argument: put several values into a struct",
            );
            return TokenStream::new();
        }
    };
    let call = match argument {
        Some(ty) => quote! { #ident(#private::read_argument::<#ty>(value)?) },
        None => quote! { { #private::no_argument(&value)?; #ident() } },
    };
    let bound = if fallible {
        quote! {
            #call.map_err(|error| #private::BuildError::Failed(::core::convert::Into::into(error)))?
        }
    } else {
        call
    };
    let doc = doc_of(&head.attributes);
    quote! {
        #cfg
        const _: () = {
            #private::inventory::submit! {
                #private::RegisteredApplication {
                    package: ::core::env!("CARGO_PKG_NAME"),
                    name: #name,
                    doc: #doc,
                    file: ::core::file!(),
                    line: ::core::line!(),
                    schema: #schema,
                    make: |value| {
                        let application = #bound;
                        ::core::result::Result::Ok(::core::convert::Into::into(
                            #private::IntoApplication::into_application(application),
                        ))
                    },
                }
            }
        };
    }
}

fn doc_of(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let syn::Meta::NameValue(meta) = &attribute.meta else { return None };
        let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &meta.value else {
            return None;
        };
        meta.path.is_ident("doc").then(|| text.value().trim().to_owned())
    });
    lines.collect::<Vec<_>>().join("\n")
}
