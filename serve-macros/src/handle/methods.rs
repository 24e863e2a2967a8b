//! The generated code of one method: its marker type, its description, and the code that runs it.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::batch;
use super::model::{Kind, Method, Model};
use crate::endpoint::Endpoint;
use crate::signature::Shape;

/// Generates the marker type of a method, and its impls.
pub(super) fn items(index: usize, method: &Method, model: &Model) -> TokenStream {
    let private = model.private();
    let owner = &model.owner;
    let (cfg, marker, shape) = (method.cfg.attribute(), method.marker(), method.shape());
    let (ok, err) = (&method.returns.ok, method.err());
    let types = method.parameter_types();
    let names: Vec<_> = method.parameters.iter().map(|parameter| parameter.plain_name()).collect();
    let texts = method.parameters.iter().map(|parameter| &parameter.text);
    let (name, doc, returns) = (method.plain_name(), &method.doc, &method.returns.text);
    let locality = model.locality();
    let codec = match &method.returns.err {
        Some(_) => quote! { #private::WireError<#locality> },
        None => quote! { #private::NoError },
    };
    let endpoint = match &method.endpoint {
        Some(Endpoint { verb, path, .. }) => {
            quote! { ::core::option::Option::Some((#verb, #path)) }
        }
        None => quote! { ::core::option::Option::None },
    };
    let streaming = method.streams();
    let run = match (&method.batch, method.returns.shape) {
        (Some(batch), _) => batch::run(method, batch, model),
        (None, Shape::Value) => run_value(method, model),
        (None, Shape::Stream { outer_result, item_result }) => {
            if method.kind == Kind::Blocking {
                run_iterator(method, model, outer_result, item_result)
            } else {
                run_stream(method, model, outer_result, item_result)
            }
        }
    };
    let retry = retry(method, model);
    let batched = method.batch.is_some().then(|| {
        quote! { const BATCHED: ::core::primitive::bool = true; }
    });
    let limits = method.batch.as_ref().and_then(|batch| batch::declared(batch, model));
    quote! {
        #cfg
        #[allow(non_camel_case_types, reason = "named after the method")]
        enum #marker {}

        #cfg
        #[automatically_derived]
        impl #private::Method for #marker {
            type Deployment = #owner;
            type Args = (#(#types,)*);
            type Ok = #ok;
            type Err = #err;
            type ErrCodec = #codec;
            const INDEX: ::core::primitive::usize = #index;
            const INFO: #private::MethodInfo = #private::MethodInfo {
                name: #name,
                doc: #doc,
                params: &[#(#private::ParamInfo { name: #names, type_name: #texts }),*],
                param_names: &[#(#names),*],
                returns: #returns,
                endpoint: #endpoint,
                streaming: #streaming,
            };
            #retry
            #batched
            #limits

            fn erased() -> &'static dyn #private::AnyMethod {
                use #private::{ErasedIfWire as _, ErasedOtherwise as _};
                (&#private::Checked::<Self, #private::#shape>::NEW).erased()
            }
        }

        #cfg
        #run
    }
}

/// Generates the number of retries of a method, and the copying of its arguments for them.
/// `None` for a method without retries.
fn retry(method: &Method, model: &Model) -> Option<TokenStream> {
    let retries = method.retries;
    if retries == 0 {
        return None;
    }
    let names = method.parameter_names();
    // The spans are those of the types, where the compiler reports one that is not `Clone`.
    let copies = method.parameters.iter().map(|parameter| {
        let (name, ty) = (&parameter.name, &parameter.ty);
        let private = model.private_at(ty.span());
        quote_spanned! { ty.span() => #private::sent_again::<#ty>(#name) }
    });
    Some(quote! {
        const RETRIES: ::core::primitive::usize = #retries;

        fn copy_args(args: &Self::Args) -> ::core::option::Option<Self::Args> {
            let (#(#names,)*) = args;
            ::core::option::Option::Some((#(#copies,)*))
        }
    })
}

/// Generates `__serve_this`, and the call of the user's method on it.
pub(super) fn call(method: &Method, model: &Model) -> (TokenStream, TokenStream) {
    let owner = &model.owner;
    let (names, name) = (method.parameter_names(), &method.name);
    let (mutable, receiver) = if method.mutable {
        (Some(quote! { mut }), quote! { &mut *__serve_this })
    } else {
        (None, quote! { &*__serve_this })
    };
    let this = quote! { let #mutable __serve_this = __ServeCell::get(__serve_cell).await; };
    let awaited = (method.kind == Kind::Async).then(|| quote_spanned! { name.span() => .await });
    let call = quote_spanned! { name.span() => #owner::#name(#receiver, #(#names),*) #awaited };
    (this, call)
}

/// Returns the parameters of `Unary::run`.
pub(super) fn unary_parameters(private: &TokenStream) -> TokenStream {
    quote! {
        __serve_cell: <<Self as #private::Method>::Deployment as #private::Handlers>::Cell,
        __serve_args: <Self as #private::Method>::Args,
    }
}

/// Returns the parameters of `Streaming::run`.
pub(super) fn streaming_parameters(private: &TokenStream) -> TokenStream {
    let unary = unary_parameters(private);
    quote! {
        #unary
        __serve_items: #private::StreamSink<
            <Self as #private::Method>::Ok,
            <Self as #private::Method>::Err,
        >,
    }
}

/// Returns the type of a method's future, which resolves to the value, or at the end of the
/// stream.
fn future_of(ok: &TokenStream, private: &TokenStream) -> TokenStream {
    quote! {
        impl ::core::future::Future<
            Output = ::core::result::Result<
                #ok,
                #private::CallError<<Self as #private::Method>::Err>,
            >,
        > + ::core::marker::Send
    }
}

fn run_value(method: &Method, model: &Model) -> TokenStream {
    let private = model.private();
    let (marker, names) = (method.marker(), method.parameter_names());
    let (this, call) = call(method, model);
    let result = match method.returns.err {
        Some(_) => quote! { #private::fallible(#call) },
        None => quote! { ::core::result::Result::Ok(#call) },
    };
    let body = if method.kind == Kind::Blocking {
        quote! { #this #private::blocking(move || { #result }).await }
    } else {
        quote! { #this #result }
    };
    let parameters = unary_parameters(&private);
    let future = future_of(&quote! { <Self as #private::Method>::Ok }, &private);
    // The span is that of the method's name, where the compiler reports a future that is not
    // `Send`.
    quote_spanned! { method.name.span() =>
        #[automatically_derived]
        #[allow(refining_impl_trait, deprecated, clippy::all, clippy::pedantic, reason = "generated for any method")]
        impl #private::Unary for #marker {
            fn run(#parameters) -> #future {
                async move {
                    let (#(#names,)*) = __serve_args;
                    #body
                }
            }
        }
    }
}

/// Generates the impl of a method that returns a stream. `body` sends the items.
fn run_many(method: &Method, model: &Model, body: &TokenStream) -> TokenStream {
    let private = model.private();
    let (marker, names) = (method.marker(), method.parameter_names());
    let parameters = streaming_parameters(&private);
    let future = future_of(&quote! { () }, &private);
    quote_spanned! { method.name.span() =>
        #[automatically_derived]
        #[allow(refining_impl_trait, deprecated, clippy::all, clippy::pedantic, reason = "generated for any method")]
        impl #private::Streaming for #marker {
            fn run(#parameters) -> #future {
                async move {
                    let (#(#names,)*) = __serve_args;
                    #body
                }
            }
        }
    }
}

fn run_stream(
    method: &Method,
    model: &Model,
    outer_result: bool,
    item_result: bool,
) -> TokenStream {
    let private = model.private();
    let (this, call) = call(method, model);
    let turn = turn(&private, item_result);
    let forward = quote! {
        __serve_items.forward(#private::futures::StreamExt::map(__serve_stream, #turn)).await
    };
    let body = if outer_result {
        quote! {
            #this
            let __serve_made = #private::Fallible::into_result(#call);
            match __serve_made {
                ::core::result::Result::Ok(__serve_stream) => #forward,
                ::core::result::Result::Err(__serve_error) => {
                    __serve_items
                        .send(::core::result::Result::Err(#private::CallError::App(__serve_error)))
                        .await;
                    ::core::result::Result::Ok(())
                }
            }
        }
    } else {
        quote! { #this let __serve_stream = #call; #forward }
    };
    run_many(method, model, &body)
}

/// Returns the function that turns an item of a stream into the caller's result.
fn turn(private: &TokenStream, item_result: bool) -> TokenStream {
    if item_result {
        quote! { #private::fallible }
    } else {
        quote! { ::core::result::Result::Ok }
    }
}

/// Generates the impl of a method that returns an iterator. The iterator is created, read and
/// dropped in one job on a compute thread, so it may borrow the instance and need not be `Send`.
fn run_iterator(
    method: &Method,
    model: &Model,
    outer_result: bool,
    item_result: bool,
) -> TokenStream {
    let private = model.private();
    let (this, call) = call(method, model);
    let turn = turn(&private, item_result);
    let send = if outer_result {
        quote! {
            match #private::Fallible::into_result(#call) {
                ::core::result::Result::Ok(__serve_iterator) => {
                    __serve_sink.send_all(__serve_iterator, #turn);
                }
                ::core::result::Result::Err(__serve_error) => {
                    __serve_sink.fail(__serve_error);
                }
            }
        }
    } else {
        quote! { __serve_sink.send_all(#call, #turn); }
    };
    let body = quote! {
        #this
        #private::blocking_items(&__serve_items, move |__serve_sink| { #send }).await
    };
    run_many(method, model, &body)
}
