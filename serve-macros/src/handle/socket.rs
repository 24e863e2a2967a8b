//! `#[websocket]` methods, in the grammar of the core's `__websocket!`.
//!
//! Such a method is no method of the handle: only a request opens a WebSocket.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{FnArg, Type};

use super::model::{Model, Socket};
use super::read::{first_paragraph, receiver};
use crate::block::Function;
use crate::cfg::Cfg;
use crate::endpoint::{self, WEBSOCKET};
use crate::errors::Errors;
use crate::hygiene;
use crate::signature::{self, Parameter};

/// The name of the type of a socket.
const TYPE: &str = "WebSocket";

/// Reads a method marked `#[websocket]`.
pub(super) fn read(
    function: &Function,
    cfg: Cfg,
    model: &Model,
    errors: &mut Errors,
) -> Option<Socket> {
    let signature = &function.signature;
    let marker = function.marker(WEBSOCKET)?;
    if let Some(other) = function.markers.iter().find(|other| !other.path().is_ident(WEBSOCKET)) {
        let other = other.path().segments.last().map(|last| last.ident.to_string());
        if let Some(other) = other.filter(|other| other != WEBSOCKET) {
            errors.at(
                marker,
                format!(
                    "`#[websocket]` cannot be combined with `#[{other}]`, because only a request opens \
                     a WebSocket: write a second method"
                ),
            );
            return None;
        }
    }
    if receiver(signature, errors)? {
        errors.at(
            signature.inputs.first(),
            "a `#[websocket]` method takes `&self`: a WebSocket is open for long, and with `&mut self` \
             no other call would run meanwhile; keep state in a `Mutex` or in atomics",
        );
        return None;
    }
    if signature.asyncness.is_none() {
        errors.at(
            &signature.ident,
            "a `#[websocket]` method is an `async fn`, because it waits for messages",
        );
        return None;
    }
    if !signature.generics.params.is_empty() {
        errors.at(
            &signature.generics,
            "a `#[websocket]` method has no generic parameters, because requests open it",
        );
        return None;
    }
    let owner = model.owner.to_token_stream();
    let all = signature::parameters(signature, &owner, errors)?;
    let types = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(&*typed.ty),
        FnArg::Receiver(_) => None,
    });
    let arguments = all.iter().map(|parameter| parameter.name.clone()).collect();
    let (mut sockets, mut parameters) = (Vec::new(), Vec::new());
    for (parameter, ty) in all.into_iter().zip(types) {
        if is_socket(ty) {
            sockets.push((parameter, ty));
        } else {
            parameters.push(parameter);
        }
    }
    let mut sockets = sockets.into_iter();
    let Some((socket, ty)) = sockets.next() else {
        errors.at(
            &signature.ident,
            "a `#[websocket]` method takes the socket: add a parameter like \
             `mut socket: WebSocket<String, String>`",
        );
        return None;
    };
    if let Some((_, second)) = sockets.next() {
        errors.at(second, "a `#[websocket]` method has one socket: leave the second one out");
        return None;
    }
    if signature::first_argument(ty).is_none() {
        errors.at(
            ty,
            "a socket has the types of its messages: write `WebSocket<In, Out>`, or `WebSocket<T>` for \
             both directions, of `serve_core::http`; axum's own `WebSocket` is for `#[routes]`",
        );
        return None;
    }
    let endpoint = endpoint::read(function, &parameters, errors)?;
    let (receives, sends) = types_of(&socket, ty, model);
    let returns = match &signature.output {
        syn::ReturnType::Type(_, ty) => Some(Type::clone(ty)),
        syn::ReturnType::Default => None,
    };
    Some(Socket {
        cfg,
        doc: first_paragraph(&function.attributes),
        name: signature.ident.clone(),
        arguments,
        parameters,
        socket: socket.name,
        receives,
        sends,
        returns,
        endpoint,
    })
}

/// Returns true for the type of a socket. It is known by its name.
pub(super) fn is_socket(ty: &Type) -> bool {
    match signature::ungrouped(ty) {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == TYPE),
        _ => false,
    }
}

/// Returns the types that a socket receives and sends, with the spans of the user's own types.
fn types_of(socket: &Parameter, ty: &Type, model: &Model) -> (TokenStream, TokenStream) {
    let owner = model.owner.to_token_stream();
    let written = signature::arguments(ty);
    if let [receives, sends] = &written[..] {
        let own = |ty: &Type| signature::replace_self(ty.to_token_stream(), &owner);
        return (own(receives), own(sends));
    }
    let (private, ty) = (model.private_at(ty.span()), &socket.ty);
    (
        quote_spanned! { ty.span() => <#ty as #private::SocketTypes>::In },
        quote_spanned! { ty.span() => <#ty as #private::SocketTypes>::Out },
    )
}

/// Generates the methods of the whole block.
pub(super) fn all(model: &Model) -> TokenStream {
    model.sockets.iter().map(|socket| one(socket, model)).collect()
}

fn one(method: &Socket, model: &Model) -> TokenStream {
    let Socket { cfg, doc, name, arguments, parameters, socket, receives, sends, .. } = method;
    let (krate, owner, span) = (&model.krate, &model.owner, name.span());
    let (cfg, marker) = (cfg.attribute(), method.marker());
    let parameters = parameters.iter().map(|parameter| {
        let (name, ty, text) = (&parameter.name, &parameter.ty, &parameter.text);
        quote! { #name: #ty = #text }
    });
    let path = &method.endpoint.path;
    let (this, called) = (hygiene::local("this", span), model.owner_at(span));
    let call = quote_spanned! { span => #called::#name(&*#this #(, #arguments)*).await };
    // The span is that of the return type, where the compiler reports a type that is not allowed.
    let returned = method.returns.as_ref().map_or(span, Spanned::span);
    let private = model.private_at(returned);
    let outcome = quote_spanned! { returned => #private::socket_outcome(#call) };
    let private = model.private_at(span);
    let run = quote_spanned! { span =>
        |#this| -> impl #private::RunsSocket { async move { #outcome } }
    };
    quote! {
        #krate::__websocket! {
            #cfg #owner; #marker #name (#(#parameters),*) #socket: #receives, #sends = #doc #path #run
        }
    }
}

/// Generates the entry of a WebSocket among the endpoints.
pub(super) fn endpoint(method: &Socket) -> TokenStream {
    let (cfg, marker, path) = (method.cfg.attribute(), method.marker(), &method.endpoint.path);
    let parameters = method.endpoint.parameters(&method.parameters);
    let (receives, sends) = (&method.receives, &method.sends);
    quote! { #cfg websocket { #marker #path (#parameters) #receives, #sends } }
}
