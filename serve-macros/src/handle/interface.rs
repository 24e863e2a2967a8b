//! `Handlers`, the runtime's interface to the whole block: its methods, the cell that holds the
//! instance, the methods that the runtime itself calls, endpoints and `#[routes]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::model::{Hook, Model, Routes, When};
use crate::cfg::Cfg;

/// Generates the impl of `Handlers`.
pub(super) fn handlers(model: &Model) -> TokenStream {
    let private = model.private();
    let owner = &model.owner;
    let registrations = model.methods.iter().map(|method| {
        let (cfg, marker) = (method.cfg.attribute(), method.marker());
        quote! { #cfg <#marker as #private::Method>::erased(), }
    });
    let hooks = hooks(model);
    let http = http(model);
    let routes = model.routes.iter().map(|Routes { cfg, name }| {
        let (cfg, name) = (cfg.attribute(), name.to_string());
        quote! { #cfg const ROUTES: ::core::option::Option<&'static str> = ::core::option::Option::Some(#name); }
    });
    // The span is that of the type, where the compiler reports a second block for it.
    quote_spanned! { owner.span() =>
        #[automatically_derived]
        #[allow(unused_mut, deprecated, clippy::all, clippy::pedantic, reason = "generated for any block")]
        impl #private::Handlers for #owner {
            type Cell = __ServeCell;

            #(#routes)*

            fn methods() -> ::std::vec::Vec<&'static dyn #private::AnyMethod> {
                let methods: &[&'static dyn #private::AnyMethod] = &[#(#registrations)*];
                methods.to_vec()
            }

            #hooks

            #http
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
    let private = model.private();
    let arms = model.hooks.iter().map(|hook| arm(hook, model));
    let check = model.hooks.iter().filter_map(|hook| {
        let When::Reconfigure(_) = &hook.when else { return None };
        let cfg = hook.cfg.attribute();
        Some(quote! {
            #cfg
            fn check_user_config(
                config: &#private::serde_json::Value,
            ) -> ::core::option::Option<::core::result::Result<(), #private::Error>> {
                ::core::option::Option::Some(__serve_user_config(config).map(::core::mem::drop))
            }
        })
    });
    Some(quote! {
        #[allow(deprecated, unreachable_patterns, clippy::all, clippy::pedantic, reason = "generated for any hook")]
        fn hook(
            cell: Self::Cell,
            hook: #private::Hook<'_>,
        ) -> ::core::option::Option<
            #private::futures::future::BoxFuture<'static, ::core::result::Result<(), #private::Error>>,
        > {
            let _ = &cell;
            match hook {
                #(#arms)*
                _ => ::core::option::Option::None,
            }
        }

        #(#check)*
    })
}

fn arm(hook: &Hook, model: &Model) -> TokenStream {
    let (private, owner) = (model.private(), &model.owner);
    let Hook { name, is_async, mutable, .. } = hook;
    let cfg = hook.cfg.attribute();
    let (mutability, receiver) = if *mutable {
        (Some(quote! { mut }), quote! { &mut *this })
    } else {
        (None, quote! { &*this })
    };
    let awaited = is_async.then(|| quote_spanned! { name.span() => .await });
    let (pattern, read, argument) = match &hook.when {
        When::CheckHealth => (quote! { CheckHealth }, None, None),
        When::Shutdown => (quote! { Shutdown }, None, None),
        When::Reconfigure(_) => (
            quote! { Reconfigure(config) },
            Some(quote! { let config = __serve_user_config(config); }),
            Some(quote! { , config? }),
        ),
    };
    let called = quote_spanned! { name.span() => #owner::#name(#receiver #argument)#awaited };
    // The span is that of the return type, where the compiler reports a type that is not allowed.
    let span = hook.returns.as_ref().map_or_else(|| name.span(), Spanned::span);
    let private_there = model.private_at(span);
    let ended = quote_spanned! { span => #private_there::Ended::ended(__serve_ended) };
    quote! {
        #cfg
        #private::Hook::#pattern => {
            #read
            ::core::option::Option::Some(::std::boxed::Box::pin(async move {
                let #mutability this = __ServeCell::get(cell).await;
                let __serve_ended = #called;
                #ended
            }))
        }
    }
}

/// Generates `__serve_user_config`, which deserializes the parameter of the `#[reconfigure]`
/// method. Only this code requires that the parameter's type can be deserialized.
pub(super) fn user_config(model: &Model) -> TokenStream {
    let private = model.private();
    let read = model.hooks.iter().filter_map(|hook| {
        let When::Reconfigure(ty) = &hook.when else { return None };
        let cfg = hook.cfg.attribute();
        let private_there = model.private_at(ty.span());
        // The span is that of the type, where the compiler reports one that cannot be deserialized.
        let read = quote_spanned! { ty.span() => #private_there::read_user_config::<#ty> };
        Some(quote! {
            #cfg
            fn __serve_user_config(
                config: &#private::serde_json::Value,
            ) -> ::core::result::Result<#ty, #private::Error> {
                #read(config)
            }
        })
    });
    quote! { #(#read)* }
}

/// Generates the endpoints and `#[routes]`, if there are any.
fn http(model: &Model) -> Option<TokenStream> {
    let (krate, owner) = (&model.krate, &model.owner);
    let private = model.private();
    let endpoints: Vec<_> = model
        .methods
        .iter()
        .filter_map(|method| {
            let spec = method.endpoint.as_ref()?.spec(
                &private,
                &method.parameters,
                &method.returns.ok,
                method.returns.err.as_ref(),
            );
            let (cfg, marker, shape) = (method.cfg.attribute(), method.marker(), method.shape());
            Some(quote! {
                #cfg {
                    use #private::{EndpointIfWire as _, EndpointOtherwise as _};
                    let checked = &#private::Checked::<#marker, #private::#shape>::NEW;
                    http = checked.endpoint(http, #spec);
                }
            })
        })
        .collect();
    let routes = model.routes.iter().map(|Routes { cfg, name }| {
        let cfg = cfg.attribute();
        let routes = quote_spanned! { name.span() => http.routes::<#owner>(#owner::#name) };
        quote! { #cfg { http = #routes; } }
    });
    if endpoints.is_empty() && model.routes.is_empty() {
        return None;
    }
    Some(quote! {
        fn http() -> ::core::option::Option<
            ::std::boxed::Box<dyn ::core::any::Any + ::core::marker::Send + ::core::marker::Sync>,
        > {
            #krate::__http_interface! { http, #private::HttpInterface::new::<#owner>(), #(#endpoints)* #(#routes)* }
        }
    })
}
