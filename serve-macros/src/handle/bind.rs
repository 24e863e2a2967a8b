//! `bind`, which takes the constructor's parameters, in the grammar of the core's `__bind!`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use super::model::{Constructor, Model};
use crate::cfg::Cfg;
use crate::hygiene;
use crate::signature;

/// Generates `bind` for each constructor, and one that uses `Default` where there is no
/// constructor.
pub(super) fn all(model: &Model) -> TokenStream {
    let (krate, owner) = (&model.krate, &model.owner);
    let doc = format!(" [`{}`] with its constructor's arguments, ready to run.", model.name());
    let constructors = model.constructors.iter().map(|constructor| with(constructor, model));
    let healthy = model.constructors.iter().map(|constructor| &constructor.cfg);
    let cfgs: Vec<_> = healthy.chain(&model.faulty_constructors).collect();
    let without = Cfg::none_of(&cfgs).map(|cfg| by_default(&cfg, model));
    quote! {
        #krate::__bind! { #owner, #doc; #(#constructors)* #without }
    }
}

fn by_default(cfg: &Cfg, model: &Model) -> TokenStream {
    let (owner, cfg) = (&model.owner, cfg.attribute());
    let (private, bind) = (model.private_at(owner.span()), bind(Span::call_site()));
    // The span is that of the type, where the compiler reports that there is no `Default` either.
    let default = quote_spanned! { owner.span() => #private::bound_by_default::<#owner> };
    quote! { #cfg #bind { #default } }
}

/// Returns the name `bind`. The compiler and editors find its definition at `span`.
fn bind(span: Span) -> Ident {
    Ident::new("bind", span)
}

fn with(constructor: &Constructor, model: &Model) -> TokenStream {
    let Constructor { name: new, is_async, is_blocking, fallible, parameters, .. } = constructor;
    let (owner, cfg, bind) = (&model.owner, constructor.cfg.attribute(), bind(new.span()));
    let mentioned = constructor.types();
    let markers: Vec<_> = (0..parameters.len())
        .map(|index| hygiene::fresh(&format!("M{index}"), &mentioned))
        .collect();
    let arguments = parameters.iter().zip(&markers).map(|(parameter, marker)| {
        let (name, ty) = (&parameter.name, &parameter.ty);
        let private = model.private_at(ty.span());
        quote_spanned! { ty.span() => #name: impl #private::IntoInit<#ty, #marker> }
    });
    let types = parameters.iter().map(|parameter| {
        let (name, ty) = (&parameter.name, &parameter.ty);
        quote! { #name: #ty }
    });
    // The spans are those of the types, where the compiler reports a deployment in place of its handle.
    let checks = parameters.iter().filter_map(|parameter| {
        let ty = syn::parse2::<Type>(parameter.ty.clone()).ok()?;
        let inside = ["Vec", "Option"].iter().find_map(|name| signature::argument_of(&ty, name));
        let ty = inside.unwrap_or(ty);
        let private = model.private_at(ty.span());
        Some(quote_spanned! { ty.span() => #private::Taken::<#ty>::check() })
    });
    // The span is that of the return type, where the compiler reports one that is not allowed.
    let span = constructor.returns.span();
    let private = model.private_at(span);
    let made = hygiene::local("made", span);
    let instance = quote_spanned! { span => #private::Constructed::<#owner>::constructed(#made) };
    let blocking = is_blocking.then(|| quote! { blocking });
    let names = parameters.iter().map(|parameter| &parameter.name);
    let awaited = is_async.then(|| quote_spanned! { new.span() => .await });
    let called = model.owner_at(new.span());
    let call = quote_spanned! { new.span() => #called::#new(#(#names),*) #awaited };
    let how = if *fallible {
        let error = hygiene::local("error", span);
        let raised = quote_spanned! { span => (&&#private::Raised::new(#error)).raise() };
        quote! { fallible #made (#instance) #error (#raised) }
    } else {
        quote! { plain #made (#instance) }
    };
    quote! {
        #cfg
        #bind(<#(#markers),*>(#(#arguments),*) [#(#types),*] [#(#checks),*] [#blocking #how] (#call))
    }
}
