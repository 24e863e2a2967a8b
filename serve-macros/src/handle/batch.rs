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
use crate::hygiene;
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
        errors.at(
            &function.signature.ident,
            "a `#[batch]` method needs at least one `Vec<T>` parameter",
        );
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

/// Generates the future or stream that runs a batch: it turns rows into columns, calls the user's
/// method, and turns its results into rows.
pub(super) fn run(method: &Method, batch: &Batch, model: &Model) -> TokenStream {
    let span = method.name.span();
    let (krate, private) = (&model.krate, model.private_at(span));
    let blocking = method.kind == Kind::Blocking;
    let (limits, weight, interruptible) = (limits(batch), weight(method, batch), !blocking);
    let [cell, rows, count, steps, step] =
        ["cell", "rows", "count", "steps", "step"].map(|name| hygiene::local(name, span));
    let columns = method.parameters.iter().zip(&batch.columns).enumerate();
    let columns = columns.map(|(index, (parameter, column))| {
        let (name, row) = (&parameter.name, hygiene::local(&format!("row{index}"), span));
        quote! { #name(#row): #column }
    });
    let columns = quote! { #krate::__columns! { #rows #count #(#columns),* } };
    let (this, call) = methods::call(method, model);
    let (turn, ok) = (method.turn(), quote! { ::core::result::Result::Ok });
    let turned = match batch.rows {
        Rows::Steps { .. } => {
            return quote_spanned! { span =>
                (batched_stream #limits #interruptible { #weight })
                |#cell, #rows| -> impl #private::RunsSteps<Self> {
                    #private::async_stream::stream! {
                        #columns
                        #this
                        let #steps = #call;
                        let mut #steps = ::core::pin::pin!(#steps);
                        while let ::core::option::Option::Some(#step) =
                            #private::futures::StreamExt::next(&mut #steps).await
                        {
                            yield #private::rows_of_step(#step, #private::#turn);
                        }
                    }
                }
            };
        }
        Rows::Values => quote_spanned! { span => #ok(#private::rows_of_values(#call)) },
        Rows::Results => quote_spanned! { span => #ok(#private::rows_of_results(#call)) },
        Rows::Whole => {
            // The span is the error type's, where the compiler reports that it is not `Clone`.
            let all = hygiene::local("all", method.returns.err.span());
            // Not all of the call has that span, or the compiler would propose to borrow the error.
            let rows = quote! { #private::rows_of_result(#all, #count) };
            quote_spanned! { span => { let #all = #call; #ok(#rows) } }
        }
    };
    let turned = if blocking {
        quote_spanned! { span => #private::blocking(move || #turned).await }
    } else {
        turned
    };
    quote_spanned! { span =>
        (batched #limits #interruptible { #weight })
        |#cell, #rows| -> impl #private::RunsBatch<Self> {
            async move { #columns #this #turned }
        }
    }
}

/// Returns the limits of the batches, in the grammar of `__limits!`.
pub(super) fn limits(batch: &Batch) -> TokenStream {
    let Batch { max_batch_size, max_concurrent_batches, .. } = batch;
    let wait = batch.batch_wait_timeout;
    let (secs, nanos) = (wait.as_secs(), wait.subsec_nanos());
    quote! { (#max_batch_size, #secs s #nanos ns, #max_concurrent_batches) }
}

/// Generates the weight of an item, if there is a `batch_size_fn`.
fn weight(method: &Method, batch: &Batch) -> Option<TokenStream> {
    let weigh = batch.batch_size_fn.as_ref()?;
    // The arguments have the function's span, where the compiler reports a wrong parameter type.
    let arguments: Vec<_> = (0..method.parameters.len())
        .map(|index| hygiene::local(&format!("argument{index}"), weigh.span()))
        .collect();
    // All code has that span, so that the compiler also reports a wrong return type there.
    Some(quote_spanned! { weigh.span() =>
        fn weight(args: &Self::Args) -> ::core::primitive::usize {
            let (#(#arguments,)*) = args;
            #weigh(#(#arguments),*)
        }
    })
}
