//! `bind`, which takes the constructor's parameters.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use super::model::{Constructor, Model};
use crate::cfg::Cfg;
use crate::hygiene;

/// Generates `bind` for each constructor, and one that uses `Default` where there is no
/// constructor.
pub(super) fn all(model: &Model) -> TokenStream {
    let constructors = model.constructors.iter().map(|constructor| with(constructor, model));
    let healthy = model.constructors.iter().map(|constructor| &constructor.cfg);
    let cfgs: Vec<_> = healthy.chain(&model.faulty_constructors).collect();
    let without = Cfg::none_of(&cfgs).map(|cfg| by_default(&cfg, model));
    quote! { #(#constructors)* #without }
}

fn doc(model: &Model) -> String {
    format!("[`{}`] with its constructor's arguments, ready to run.", model.name())
}

fn by_default(cfg: &Cfg, model: &Model) -> TokenStream {
    let (private, owner, doc, cfg) = (model.private(), &model.owner, doc(model), cfg.attribute());
    // The span is that of the type, where the compiler reports that there is no `Default` either.
    let bound = quote_spanned! { owner.span() => bound_by_default::<#owner> };
    quote! {
        #cfg
        #[doc = #doc]
        #[must_use]
        pub fn bind() -> #private::Bound<#owner> {
            #private::#bound()
        }
    }
}

fn with(constructor: &Constructor, model: &Model) -> TokenStream {
    let Constructor { name: new, is_async, is_blocking, fallible, parameters, .. } = constructor;
    let (private, owner, doc) = (model.private(), &model.owner, doc(model));
    let cfg = constructor.cfg.attribute();
    let names: Vec<_> = parameters.iter().map(|parameter| &parameter.name).collect();
    let types: Vec<_> = parameters.iter().map(|parameter| &parameter.ty).collect();
    let mentioned = constructor.types();
    let markers: Vec<_> =
        (0..names.len()).map(|index| hygiene::fresh(&format!("M{index}"), &mentioned)).collect();
    let inits: Vec<_> = (0..names.len()).map(|index| format_ident!("__serve_{index}")).collect();
    let arguments = names.iter().zip(&types).zip(&markers).map(|((name, ty), marker)| {
        let private = model.private_at(ty.span());
        quote_spanned! { ty.span() => #name: impl #private::IntoInit<#ty, #marker> }
    });
    let awaited = is_async.then(|| quote_spanned! { new.span() => .await });
    let made = quote_spanned! { new.span() => #owner::#new(#(#names),*) #awaited };
    let made = if *fallible {
        quote! {
            match #private::Fallible::into_result(#made) {
                ::core::result::Result::Ok(__serve_made) => ::core::result::Result::Ok(__serve_made),
                ::core::result::Result::Err(__serve_error) => {
                    #[allow(unused_imports, reason = "one of the two fits")]
                    use #private::{RaiseDisplay as _, RaiseInto as _};
                    ::core::result::Result::Err((&&#private::Raised::new(__serve_error)).raise())
                }
            }
        }
    } else {
        quote! { ::core::result::Result::Ok(#made) }
    };
    let made = if *is_blocking {
        quote! { #private::blocking_constructor(move || #made).await }
    } else {
        made
    };
    quote! {
        #cfg
        #[doc = #doc]
        pub fn bind<#(#markers),*>(#(#arguments),*) -> #private::Bound<#owner> {
            #(let #inits = #private::IntoInit::<#types, #markers>::into_init(#names);)*
            let __serve_content = {
                #[allow(unused_imports, reason = "which of them fits depends on the types")]
                use #private::{
                    ContentByIdentity as _, ContentByPointer as _, ContentBySerde as _,
                    ContentOtherwise as _,
                };
                <::std::vec::Vec<_> as ::core::convert::From<[_; _]>>::from(
                    [#((&&&&#private::ContentOf::new(&#inits)).content()),*],
                )
            };
            let __serve_needs = #private::needs(&[#(#inits.needs()),*]);
            #private::bound::<#owner, _>(__serve_needs, __serve_content, move |__serve_wiring| {
                let _ = __serve_wiring;
                #(let #names = #inits.make(__serve_wiring);)*
                async move { #made }
            })
        }
    }
}
