//! `#[application]`: registers a function that binds a graph.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, Signature, Type, Visibility};

use crate::cfg::Cfg;
use crate::errors::Errors;
use crate::hygiene;
use crate::options;
use crate::signature;

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
            errors.push(not_a_function("application", &error));
            TokenStream::new()
        }
    };
    let errors = errors.into_tokens();
    quote! { #item #generated #errors }
}

/// Returns the error of an item that is not a function.
pub(crate) fn not_a_function(name: &str, error: &syn::Error) -> syn::Error {
    syn::Error::new(error.span(), format!("`#[{name}]` goes on a function: {error}"))
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
    let (name, ident, output) = (signature.ident.to_string(), &signature.ident, &signature.output);
    let output = match output {
        syn::ReturnType::Type(_, ty) => ty.to_token_stream(),
        syn::ReturnType::Default => TokenStream::new(),
    };
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
    if let Some(receiver) = signature.receiver() {
        errors.at(receiver, "`#[application]` goes on a function outside of `impl` blocks");
        return TokenStream::new();
    }
    let inputs: Vec<_> = signature.inputs.iter().collect();
    let (argument, schema) = match &inputs[..] {
        [] => (None, quote! { ::core::option::Option::None }),
        [FnArg::Typed(typed)] => {
            if let Some(message) = unfit(typed) {
                errors.at(&typed.ty, message);
                return TokenStream::new();
            }
            let ty = &typed.ty;
            // The span is that of the type, where the compiler reports one that cannot be read.
            let private = signature::respan(private.clone(), ty.span());
            let argument = quote_spanned! { ty.span() => <#ty as #private::ApplicationArgument> };
            (Some(argument.clone()), quote! { ::core::option::Option::Some(#argument::schema) })
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
        Some(argument) => quote! { #ident(#argument::read(value)?) },
        None => quote! { { #private::no_argument(&value)?; #ident() } },
    };
    // The span is that of the return type, where the compiler reports one that is no application.
    let span = output.span();
    let there = signature::respan(private.clone(), span);
    let bound = if fallible {
        quote_spanned! { span =>
            #call.map_err(|error| #there::BuildError::Failed(::core::convert::Into::into(error)))?
        }
    } else {
        call
    };
    let application = hygiene::local("application", span);
    let converted =
        quote_spanned! { span => #there::IntoApplication::into_application(#application) };
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
                        let #application = #bound;
                        ::core::result::Result::Ok(::core::convert::Into::into(#converted))
                    },
                }
            }
        };
    }
}

/// The types whose values have no named parts. (An alias of one is not found here: then the command
/// line says so.)
const UNNAMED: [&str; 30] = [
    "bool",
    "char",
    "str",
    "String",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "f32",
    "f64",
    "Vec",
    "VecDeque",
    "HashSet",
    "BTreeSet",
    "PathBuf",
    "Path",
    "Duration",
    "SocketAddr",
    "IpAddr",
    "Uuid",
    "NonZeroUsize",
    "NonZeroU32",
];

/// Returns the message about an argument that the command line cannot fill; `None` if it may.
fn unfit(argument: &syn::PatType) -> Option<String> {
    let (text, name) = (signature::text_of(&argument.ty), argument.pat.to_token_stream());
    match signature::ungrouped(&argument.ty) {
        Type::Reference(reference) if may_be_named(&reference.elem) => Some(format!(
            "an application function owns its argument: use `{}` instead of `{text}`",
            signature::text_of(&reference.elem)
        )),
        Type::ImplTrait(_) => Some(
            "an application's argument has a concrete type: write a struct in place of `impl ..`"
                .to_owned(),
        ),
        ty if !may_be_named(ty) => Some(format!(
            "an application's arguments are given by name: put `{name}: {text}` into a struct, and \
             let the function take the struct"
        )),
        _ => None,
    }
}

/// Returns false for a type that cannot be filled from arguments with names.
fn may_be_named(ty: &Type) -> bool {
    match signature::ungrouped(ty) {
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return true };
            let inside = ["Option", "Box", "Arc", "Rc"].iter().any(|name| last.ident == name);
            match signature::first_argument(ty) {
                Some(inner) if inside => may_be_named(&inner),
                _ => !UNNAMED.iter().any(|name| last.ident == name),
            }
        }
        Type::Reference(_) | Type::Tuple(_) | Type::Array(_) | Type::Slice(_) => false,
        Type::Paren(paren) => may_be_named(&paren.elem),
        _ => true,
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
