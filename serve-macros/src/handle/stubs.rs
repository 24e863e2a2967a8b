//! The methods of the handle.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::model::{Method, Model};

/// Generates the handle's method for a method of the deployment.
pub(super) fn method(method: &Method, model: &Model) -> TokenStream {
    let private = model.private();
    let Method { forwarded, name, .. } = method;
    let (cfg, marker) = (method.cfg.attribute(), method.marker());
    let doc = format!("Calls [`{0}::{1}`] on one replica of [`{0}`].", model.name(), name);
    let blank = (!method.doc.is_empty()).then(|| quote! { #[doc = ""] });
    let (names, types) = (method.parameter_names(), method.parameter_types());
    let arguments = names.iter().zip(&types).map(|(name, ty)| {
        // A note about this bound then points at the user's parameter.
        let private = model.private_at(ty.span());
        quote_spanned! { ty.span() => #name: impl #private::IntoArg<#ty> }
    });
    let ok = &method.returns.ok;
    let err = method.returns.err.as_ref().map(|err| quote! { , #err });
    let (response, call) = if method.streams() {
        (quote! { ResponseStream }, quote! { stream })
    } else {
        (quote! { Response }, quote! { call })
    };
    quote! {
        #cfg
        #(#forwarded)*
        #blank
        #[doc = #doc]
        pub fn #name(&self, #(#arguments),*) -> #private::#response<#ok #err> {
            #private::#call::<#marker>(
                #private::DeploymentHandle::handle(self),
                (#(#private::IntoArg::<#types>::into_arg(#names),)*),
            )
        }
    }
}
