//! The methods of the block, in the grammar of the core's `__methods!`, which writes for each
//! method the type that stands for it, the method of the handle and the method of the mock.
//!
//! What the compiler may report is passed whole, with the span of the user's code.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use super::batch;
use super::model::{Kind, Method, Model};
use crate::endpoint::Endpoint;
use crate::hygiene;
use crate::signature::Shape;

/// Generates the methods of the whole block.
pub(super) fn all(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let (handle, mock) = (model.beside("Handle"), model.beside("Mock"));
    let methods = model.methods.iter().enumerate();
    let methods = methods.map(|(index, method)| one(index, method, model));
    quote! {
        #krate::__methods! { #handle, #mock; #(#methods)* }
    }
}

fn one(index: usize, method: &Method, model: &Model) -> TokenStream {
    let (cfg, marker, shape) = (method.cfg.attribute(), method.marker(), method.shape());
    let stub = stub(method, model);
    let parameters = method.parameters.iter().map(|parameter| {
        let (name, ty, text) = (&parameter.name, &parameter.ty, &parameter.text);
        quote! { #name: #ty = #text }
    });
    let (result, returns, doc) = (method.result(), &method.returns.text, &method.doc);
    let endpoint = method.endpoint.as_ref().map(|Endpoint { verb, path, .. }| {
        quote! { #verb #path }
    });
    let extras = extras(method, model);
    let run = match &method.batch {
        Some(batch) => batch::run(method, batch, model),
        None => run(method, model),
    };
    let mock = mock(method, model);
    quote! {
        #cfg
        #marker {
            #index #stub (#(#parameters),*) -> #shape #result = #returns #doc [#endpoint] [#extras]
            #run
            #mock
        }
    }
}

/// Generates the head of the handle's method.
fn stub(method: &Method, model: &Model) -> TokenStream {
    let (attributes, name) = (attributes(method, model), &method.name);
    let arguments = method.parameters.iter().map(|parameter| {
        let (name, ty) = (&parameter.name, &parameter.ty);
        // A note about this bound then points at the user's parameter.
        let private = model.private_at(ty.span());
        quote_spanned! { ty.span() => #name: impl #private::IntoArg<#ty> }
    });
    let start = if method.streams() {
        quote! { stream }
    } else {
        quote! { call }
    };
    let response = method.response(&model.private_at(method.returns.ok.span()));
    quote! {
        #(#attributes)* fn #name(&self, #(#arguments),*) -> #response = #start self;
    }
}

/// Returns the attributes of the handle's method: those of the user's method, and a line of
/// documentation.
fn attributes(method: &Method, model: &Model) -> Vec<TokenStream> {
    let doc = format!(" Calls [`{0}::{1}`] on one replica of [`{0}`].", model.name(), method.name);
    let blank = (!method.doc.is_empty()).then(|| quote! { #[doc = ""] });
    let forwarded = method.forwarded.iter().cloned();
    forwarded.chain(blank).chain([quote! { #[doc = #doc] }]).collect()
}

/// Generates what the method has more than others: its retries, and the limits of its batches.
fn extras(method: &Method, model: &Model) -> TokenStream {
    let retries = method.retries;
    // The spans are those of the types, where the compiler reports one that is not `Clone`.
    let copies = method.parameters.iter().map(|parameter| {
        let (name, ty) = (&parameter.name, &parameter.ty);
        let private = model.private_at(ty.span());
        quote_spanned! { ty.span() => #private::sent_again::<#ty>(#name) }
    });
    let retry = (retries > 0).then(|| quote! { retry #retries (#(#copies),*) });
    let batch = method.batch.as_ref().map(|batch| {
        // With a `batch_size_fn`, no number of items is a limit.
        let limits = batch.batch_size_fn.is_none().then(|| batch::limits(batch));
        quote! { batch #limits }
    });
    quote! { #retry #batch }
}

/// Generates the future that runs the method. Its span is that of the method's name, where the
/// compiler reports a future that is not `Send`.
fn run(method: &Method, model: &Model) -> TokenStream {
    let span = method.name.span();
    let (private, cell) = (model.private_at(span), hygiene::local("cell", span));
    let (this, call) = call(method, model);
    let turn = method.turn();
    let blocking = method.kind == Kind::Blocking;
    if let Shape::Stream { outer_result, .. } = method.returns.shape {
        let (items, sink) = (hygiene::local("items", span), hygiene::local("sink", span));
        let sent = match (blocking, outer_result) {
            (false, false) => {
                quote_spanned! { span => #private::forward(&#items, #call, #private::#turn) }
            }
            (false, true) => {
                quote_spanned! { span => #private::forward_or_fail(&#items, #call, #private::#turn) }
            }
            // The iterator is created, read and dropped in one job on a compute thread, so it may
            // borrow the instance and need not be `Send`.
            (true, outer_result) => {
                let send = if outer_result { "send_all_or_fail" } else { "send_all" };
                let send = Ident::new(send, span);
                quote_spanned! { span =>
                    #private::blocking_items(&#items, move |#sink| #private::#send(#sink, #call, #private::#turn))
                }
            }
        };
        return quote_spanned! { span =>
            direct |#cell, #items| -> impl #private::RunsMany<Self> {
                async move { #this #sent.await }
            }
        };
    }
    let value = quote_spanned! { span => #private::#turn(#call) };
    let value = if blocking {
        quote_spanned! { span => #private::blocking(move || #value).await }
    } else {
        value
    };
    quote_spanned! { span =>
        direct |#cell| -> impl #private::RunsOne<Self> {
            async move { #this #value }
        }
    }
}

/// Generates the variable that holds the instance, and the call of the user's method on it.
pub(super) fn call(method: &Method, model: &Model) -> (TokenStream, TokenStream) {
    let (names, name) = (method.parameter_names(), &method.name);
    let owner = model.owner_at(name.span());
    let (this, cell) = (hygiene::local("this", name.span()), hygiene::local("cell", name.span()));
    let (mutable, receiver) = if method.mutable {
        (Some(quote! { mut }), quote_spanned! { name.span() => &mut *#this })
    } else {
        (None, quote_spanned! { name.span() => &*#this })
    };
    let awaited = (method.kind == Kind::Async).then(|| quote_spanned! { name.span() => .await });
    let this =
        quote_spanned! { name.span() => let #mutable #this = __ServeCell::get(#cell).await; };
    let call = quote_spanned! { name.span() => #owner::#name(#receiver #(, #names)*) #awaited };
    (this, call)
}

/// Generates the mock's method.
fn mock(method: &Method, model: &Model) -> TokenStream {
    let name = match method.name.to_string().as_str() {
        name @ ("new" | "named") => format_ident!("mock_{name}"),
        _ => method.name.clone(),
    };
    let doc = format!(" Answers [`{}::{}`].", model.name(), method.name);
    let item = &method.returns.whole;
    let mentioned = method.types();
    let (answer, answered) = (hygiene::fresh("F", &mentioned), hygiene::fresh("A", &mentioned));
    let turn = method.turn();
    quote! { mock #name<#answer, #answered>(#item, #turn) #doc }
}
