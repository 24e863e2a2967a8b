//! `Handlers`, the runtime's interface to the whole block: its methods, the cell that holds the
//! instance, the methods that the runtime itself calls, endpoints and `#[routes]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::model::{Hook, Model, Routes, When};
use super::socket;
use crate::cfg::Cfg;
use crate::endpoint::Form;
use crate::hygiene;

/// Generates the impl of `Handlers`.
pub(super) fn handlers(model: &Model) -> TokenStream {
    let (krate, owner) = (&model.krate, &model.owner);
    let private = model.private_at(owner.span());
    let markers = model.methods.iter().map(|method| {
        let (cfg, marker) = (method.cfg.attribute(), method.marker());
        quote! { #cfg #marker }
    });
    let routes = model.routes.iter().map(|Routes { cfg, name }| {
        let cfg = cfg.attribute();
        quote! { #cfg #krate::__routes! { #name } }
    });
    let hooks = hooks(model);
    let http = http(model);
    let items = quote! {
        #krate::__handlers! { #(#markers)* }
        #(#routes)*
        #hooks
        #http
    };
    // The span is that of the type, where the compiler reports a second block for it, and an
    // instance that cannot be shared.
    quote_spanned! { owner.span() =>
        impl #private::Handlers for #owner {
            type Cell = __ServeCell;
            #items
        }
    }
}

/// Generates `__ServeCell`, the cell that holds the instance: an exclusive one where there is a
/// `&mut self` method, else a shared one.
pub(super) fn cell(model: &Model) -> TokenStream {
    let (private, owner) = (model.private(), &model.owner);
    let cfgs: Vec<_> = model.exclusive.iter().collect();
    let exclusive = Cfg::any_of(&cfgs).map(|cfg| {
        let cfg = cfg.attribute();
        quote! { #cfg type __ServeCell = #private::Exclusive<#owner>; }
    });
    let shared = Cfg::none_of(&cfgs).map(|cfg| {
        let cfg = cfg.attribute();
        quote! { #cfg type __ServeCell = #private::Shared<#owner>; }
    });
    quote! { #exclusive #shared }
}

/// Generates the calls of the methods that the runtime itself calls, if there are any.
fn hooks(model: &Model) -> Option<TokenStream> {
    if model.hooks.is_empty() {
        return None;
    }
    let krate = &model.krate;
    let arms = model.hooks.iter().map(|hook| arm(hook, model));
    let checks = model.hooks.iter().filter_map(|hook| {
        let When::Reconfigure(_) = &hook.when else { return None };
        let cfg = hook.cfg.attribute();
        Some(quote! { #cfg #krate::__check_user_config! {} })
    });
    Some(quote! {
        #krate::__hooks! { #(#arms)* }
        #(#checks)*
    })
}

fn arm(hook: &Hook, model: &Model) -> TokenStream {
    let Hook { name, is_async, mutable, .. } = hook;
    let owner = model.owner_at(name.span());
    let cfg = hook.cfg.attribute();
    let this = hygiene::local("this", name.span());
    let (pattern, receiver) = if *mutable {
        (quote! { mut #this }, quote! { &mut *#this })
    } else {
        (quote! { #this }, quote! { &*#this })
    };
    let config = hygiene::local("config", name.span());
    let (when, argument) = match &hook.when {
        When::CheckHealth => (quote! { CheckHealth }, None),
        When::Shutdown => (quote! { Shutdown }, None),
        When::Reconfigure(_) => (quote! { Reconfigure[#config] }, Some(quote! { , #config? })),
    };
    let awaited = is_async.then(|| quote_spanned! { name.span() => .await });
    let call = quote_spanned! { name.span() => #owner::#name(#receiver #argument)#awaited };
    // The span is that of the return type, where the compiler reports a type that is not allowed.
    let span = hook.returns.as_ref().map_or_else(|| name.span(), Spanned::span);
    let (private, returned) = (model.private_at(span), hygiene::local("returned", span));
    let ended = quote_spanned! { span => #private::Ended::ended(#returned) };
    quote! { #cfg #when (#pattern) (#call) #returned (#ended); }
}

/// Generates the function that deserializes the parameter of the `#[reconfigure]` method.
pub(super) fn user_config(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let read = model.hooks.iter().filter_map(|hook| {
        let When::Reconfigure(ty) = &hook.when else { return None };
        let cfg = hook.cfg.attribute();
        let private = model.private_at(ty.span());
        // The span is that of the type, where the compiler reports one that cannot be deserialized.
        let read = quote_spanned! { ty.span() => #private::read_user_config::<#ty> };
        Some(quote! { #cfg #krate::__user_config! { #ty, #read } })
    });
    quote! { #(#read)* }
}

/// Generates the endpoints and `#[routes]`, if there are any.
fn http(model: &Model) -> Option<TokenStream> {
    let (krate, owner) = (&model.krate, &model.owner);
    let endpoints: Vec<_> = model
        .methods
        .iter()
        .filter_map(|method| {
            let parameters = method.endpoint.as_ref()?.parameters(&method.parameters);
            let endpoint = method.endpoint.as_ref()?;
            let (verb, path) = (&endpoint.verb, &endpoint.path);
            let form = endpoint.form.map(|form| match form {
                Form::Form => quote! { body Form },
                Form::Multipart => quote! { body Multipart },
            });
            let success = endpoint.success.map(|status| quote! { success #status });
            let max_body = endpoint.max_body.map(|bytes| quote! { max_body #bytes });
            let (cfg, marker, shape) = (method.cfg.attribute(), method.marker(), method.shape());
            let result = method.result();
            Some(quote! {
                #cfg endpoint { #marker #verb #path (#parameters) -> #shape #result #form #success #max_body }
            })
        })
        .collect();
    let routes = model.routes.iter().map(|Routes { cfg, name }| {
        let cfg = cfg.attribute();
        let owner = model.owner_at(name.span());
        let make = quote_spanned! { name.span() => #owner::#name };
        quote! { #cfg routes (#make) }
    });
    if endpoints.is_empty() && model.routes.is_empty() && model.sockets.is_empty() {
        return None;
    }
    let sockets = model.sockets.iter().map(socket::endpoint);
    Some(quote! { #krate::__http! { #owner; #(#endpoints)* #(#sockets)* #(#routes)* } })
}
