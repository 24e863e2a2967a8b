//! `#[batch]`, for a method that takes and returns columns, while each of its calls takes and
//! returns one row.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Meta, ReturnType, Type};

use super::methods;
use super::model::{Batch, Kind, Method, Model, Rows};
use crate::block::Function;
use crate::errors::Errors;
use crate::options::{self, Entry};
use crate::signature::{self, Parameter, Returns, Shape, Source};
use crate::spelling;

/// The options of `#[batch]`. Their defaults follow.
const OPTIONS: [&str; 4] =
    ["max_batch_size", "batch_wait_timeout", "max_concurrent_batches", "batch_size_fn"];
const MAX_BATCH_SIZE: usize = 8;
/// The default of `batch_wait_timeout`, which is Ray Serve's too.
const BATCH_WAIT_TIMEOUT: Duration = Duration::from_millis(10);
const MAX_CONCURRENT_BATCHES: usize = 1;

const RETURNS: &str = "a `#[batch]` method returns one result for each item: `Vec<R>`, \
                       `Vec<Result<R, E>>`, `Result<Vec<R>, E>`, or `impl Stream<Item = Vec<Option<R>>>`";

const BLOCKING: &str = "a `#[batch]` method that is `#[blocking]` returns all results at once, `Vec<R>`: \
                        leave out `#[blocking]` to return a stream of them, or `#[batch]` to return an \
                        iterator";

/// Reads a batched method: the return type of its handle's method, and how batches are run.
/// `parameters` are changed to the parameters of the handle's method.
pub(super) fn read(
    marker: &Attribute,
    function: &Function,
    parameters: &mut [Parameter],
    model: &Model,
    errors: &mut Errors,
) -> Option<(Returns, Batch)> {
    let mut batch = Batch {
        max_batch_size: MAX_BATCH_SIZE,
        batch_wait_timeout: BATCH_WAIT_TIMEOUT,
        max_concurrent_batches: MAX_CONCURRENT_BATCHES,
        batch_size_fn: None,
        columns: parameters.iter().map(|parameter| parameter.ty.clone()).collect(),
        rows: Rows::Values,
    };
    if let Meta::List(list) = &marker.meta {
        for entry in options::entries(list.tokens.clone(), errors) {
            if let Err(error) = option(&entry, model, &mut batch) {
                errors.push(error);
            }
        }
    }
    if parameters.is_empty() {
        errors.at(&function.signature.ident, "a `#[batch]` method takes `Vec<T>`s, at least one");
        return None;
    }
    let mut healthy = true;
    for parameter in parameters {
        let parsed = syn::parse2::<Type>(parameter.ty.clone()).ok();
        let Some(item) = parsed.as_ref().and_then(|ty| signature::argument_of(ty, "Vec")) else {
            errors.at(
                &parameter.ty,
                format!(
                    "a `#[batch]` method takes `Vec<T>` for each parameter, and its handle takes one \
                     `T`: use `Vec<{}>`",
                    parameter.text
                ),
            );
            healthy = false;
            continue;
        };
        parameter.text = signature::text_of(&item);
        parameter.ty = item.to_token_stream();
    }
    let (returns, rows) = returned(&function.signature.output, function, model, errors)?;
    batch.rows = rows;
    healthy.then_some((returns, batch))
}

fn option(Entry { name, value }: &Entry, model: &Model, batch: &mut Batch) -> syn::Result<()> {
    match name.to_string().as_str() {
        "max_batch_size" => batch.max_batch_size = value.count(name, 1)?,
        "batch_wait_timeout" => batch.batch_wait_timeout = value.duration(name)?,
        "max_concurrent_batches" => batch.max_concurrent_batches = value.count(name, 1)?,
        "batch_size_fn" => {
            let owner = model.owner.to_token_stream();
            let path =
                value.path(name, "a function that takes `&T`, like `batch_size_fn = weigh`")?;
            batch.batch_size_fn = Some(signature::replace_self(path, &owner));
        }
        unknown => {
            let near = spelling::did_you_mean(unknown, OPTIONS);
            return Err(syn::Error::new(
                name.span(),
                format!(
                    "unknown option `{unknown}`{near}; the options are {}",
                    spelling::all_of(OPTIONS)
                ),
            ));
        }
    }
    Ok(())
}

/// Returns the result type of one call, and the shape in which the method returns all results.
fn returned(
    output: &ReturnType,
    function: &Function,
    model: &Model,
    errors: &mut Errors,
) -> Option<(Returns, Rows)> {
    let ReturnType::Type(_, ty) = output else {
        errors.at(&function.signature.ident, RETURNS);
        return None;
    };
    let (owner, private) = (model.owner.to_token_stream(), model.private());
    let one = |row: &Type, shape| signature::of_row(row, shape, &owner, &private);
    if let Some(row) = signature::argument_of(ty, "Vec") {
        let rows = if signature::is_result(&row) { Rows::Results } else { Rows::Values };
        return Some((one(&row, Shape::Value), rows));
    }
    if signature::is_result(ty)
        && let Some(row) =
            signature::first_argument(ty).and_then(|ok| signature::argument_of(&ok, "Vec"))
    {
        let row = signature::with_first_argument(ty, &row.to_token_stream());
        let row = syn::parse2(row).ok()?;
        return Some((one(&row, Shape::Value), Rows::Whole));
    }
    let many = [Source::Stream, Source::Iterator].map(|source| source.item(ty));
    if function.marker("blocking").is_some() && many.iter().any(Option::is_some) {
        errors.at(ty, BLOCKING);
        return None;
    }
    let [stream, _] = many;
    let step = stream.and_then(|step| signature::argument_of(&step, "Vec"));
    if let Some(row) = step.and_then(|step| signature::argument_of(&step, "Option")) {
        let fallible = signature::is_result(&row);
        let shape = Shape::Stream { outer_result: false, item_result: fallible };
        return Some((one(&row, shape), Rows::Steps { fallible }));
    }
    errors.at(ty, RETURNS);
    None
}

/// Generates the code that runs the method: its calls, which use the replica's batcher, and
/// batches of calls.
pub(super) fn run(method: &Method, batch: &Batch, model: &Model) -> TokenStream {
    let private = model.private();
    let marker = method.marker();
    let limits = limits(batch, &private);
    let interruptible = method.kind != Kind::Blocking;
    let weight = batch.batch_size_fn.as_ref().map(|weigh| weight(method, weigh));
    let body = body(method, batch, model);
    let (kind, ran, out, calls, parameters, ok, run) = match batch.rows {
        Rows::Steps { .. } => (
            quote! { BatchedStreaming },
            quote! {
                #private::futures::Stream<
                    Item = ::std::vec::Vec<::core::option::Option<#private::BatchItem<Self>>>,
                >
            },
            quote! { #private::async_stream::stream! { #body } },
            quote! { Streaming },
            methods::streaming_parameters(&private),
            quote! { () },
            quote! { batched_stream::<Self>(__serve_cell, __serve_args, __serve_items) },
        ),
        _ => (
            quote! { BatchedUnary },
            quote! {
                ::core::future::Future<
                    Output = ::core::result::Result<
                        ::std::vec::Vec<#private::BatchItem<Self>>,
                        #private::CallError,
                    >,
                >
            },
            quote! { async move { #body } },
            quote! { Unary },
            methods::unary_parameters(&private),
            quote! { <Self as #private::Method>::Ok },
            quote! { batched::<Self>(__serve_cell, __serve_args) },
        ),
    };
    quote_spanned! { method.name.span() =>
        const _: () = {
            #[automatically_derived]
            impl #private::Batched for #marker {
                const LIMITS: #private::BatchLimits = #limits;
                const INTERRUPTIBLE: ::core::primitive::bool = #interruptible;
                #weight
            }

            #[automatically_derived]
            #[allow(deprecated, clippy::all, clippy::pedantic, reason = "generated for any method")]
            impl #private::#kind for #marker {
                fn run_batch(
                    __serve_cell: <<Self as #private::Method>::Deployment as #private::Handlers>::Cell,
                    __serve_rows: ::std::vec::Vec<<Self as #private::Method>::Args>,
                ) -> impl #ran + ::core::marker::Send {
                    #out
                }
            }

            #[automatically_derived]
            #[allow(refining_impl_trait, reason = "generated for any method")]
            impl #private::#calls for #marker {
                fn run(
                    #parameters
                ) -> impl ::core::future::Future<
                    Output = #private::Reply<
                        #ok,
                        <Self as #private::Method>::Err,
                        <Self as #private::Method>::Args,
                    >,
                > + ::core::marker::Send {
                    #private::#run
                }
            }
        };
    }
}

/// Generates the batch limits of `Method`. `None` with a `batch_size_fn`.
pub(super) fn declared(batch: &Batch, model: &Model) -> Option<TokenStream> {
    if batch.batch_size_fn.is_some() {
        return None;
    }
    let private = model.private();
    let limits = limits(batch, &private);
    Some(quote! {
        const BATCH: ::core::option::Option<#private::BatchLimits> =
            ::core::option::Option::Some(#limits);
    })
}

fn limits(batch: &Batch, private: &TokenStream) -> TokenStream {
    let Batch { max_batch_size, max_concurrent_batches, .. } = batch;
    let wait = batch.batch_wait_timeout;
    let (secs, nanos) = (wait.as_secs(), wait.subsec_nanos());
    quote! {
        #private::BatchLimits {
            max_batch_size: #max_batch_size,
            batch_wait_timeout: ::core::time::Duration::new(#secs, #nanos),
            max_concurrent_batches: #max_concurrent_batches,
        }
    }
}

fn weight(method: &Method, weigh: &TokenStream) -> TokenStream {
    // The arguments have the function's span, where the compiler reports a wrong parameter type.
    let arguments: Vec<_> = (0..method.parameters.len())
        .map(|index| quote::format_ident!("__serve_{index}", span = weigh.span()))
        .collect();
    // All code has that span, so that the compiler also reports a wrong return type there.
    quote_spanned! { weigh.span() =>
        fn weight(args: &Self::Args) -> ::core::primitive::usize {
            let (#(#arguments,)*) = args;
            #weigh(#(#arguments),*)
        }
    }
}

/// Generates the code that turns rows into columns, calls the user's method, and turns its
/// results into rows.
fn body(method: &Method, batch: &Batch, model: &Model) -> TokenStream {
    let private = model.private();
    let (names, columns) = (method.parameter_names(), &batch.columns);
    let rows: Vec<_> =
        (0..names.len()).map(|index| quote::format_ident!("__serve_row_{index}")).collect();
    let (this, call) = methods::call(method, model);
    let n = quote! { __serve_count };
    let split = quote! {
        let #n = __serve_rows.len();
        #(let mut #names: #columns = ::std::vec::Vec::with_capacity(#n);)*
        for (#(#rows,)*) in __serve_rows {
            #(#names.push(#rows);)*
        }
    };
    let turned = match batch.rows {
        Rows::Values => quote! { #private::rows_of_values(#call) },
        Rows::Results => quote! { #private::rows_of_results(#call) },
        Rows::Whole => {
            // The span is the error type's, where the compiler reports that it is not `Clone`.
            let all = quote::format_ident!("__serve_all", span = method.err().span());
            quote! { { let #all = #call; #private::rows_of_result(#all, #n) } }
        }
        Rows::Steps { fallible } => {
            let item = if fallible {
                quote! { #private::fallible(__serve_item) }
            } else {
                quote! { ::core::result::Result::Ok(__serve_item) }
            };
            return quote! {
                #split
                #this
                let __serve_steps = #call;
                let mut __serve_steps = ::core::pin::pin!(__serve_steps);
                while let ::core::option::Option::Some(__serve_step) =
                    #private::futures::StreamExt::next(&mut __serve_steps).await
                {
                    yield ::core::iter::Iterator::collect::<::std::vec::Vec<_>>(
                        ::core::iter::Iterator::map(
                            ::core::iter::IntoIterator::into_iter(__serve_step),
                            |__serve_item| ::core::option::Option::map(
                                __serve_item,
                                |__serve_item| #item,
                            ),
                        ),
                    );
                }
            };
        }
    };
    if method.kind == Kind::Blocking {
        quote! {
            #split
            #this
            #private::blocking(move || ::core::result::Result::Ok(#turned)).await
        }
    } else {
        quote! { #split #this ::core::result::Result::Ok(#turned) }
    }
}
