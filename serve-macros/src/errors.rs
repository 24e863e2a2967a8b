//! [`Errors`], all faults of an item, each with its span and its `cfg`.

use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::cfg::Cfg;

/// The faults found so far. A fault never stops the search for others.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    found: Vec<(Cfg, syn::Error)>,
    current: Cfg,
}

impl Errors {
    /// Adds a fault whose span is that of `place`.
    pub(crate) fn at(&mut self, place: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(place, message));
    }

    /// Adds a fault that syn found.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.found.push((self.current.clone(), error));
    }

    /// Runs `f`, whose faults are reported only where `cfg` holds. Returns true if `f` found none.
    pub(crate) fn under(&mut self, cfg: &Cfg, f: impl FnOnce(&mut Self)) -> bool {
        let outer = std::mem::replace(&mut self.current, cfg.clone());
        let before = self.found.len();
        f(self);
        self.current = outer;
        self.found.len() == before
    }

    /// Returns the first fault, if there is any.
    pub(crate) fn into_first(self) -> Option<syn::Error> {
        self.found.into_iter().next().map(|(_, error)| error)
    }

    /// Returns the faults as `compile_error!` items.
    pub(crate) fn into_tokens(self) -> TokenStream {
        let errors = self.found.into_iter().map(|(cfg, error)| {
            let cfg = cfg.attribute();
            // Each message has its own attribute, since an attribute applies only to the next item.
            let messages = error.into_iter().map(|message| {
                let error = message.into_compile_error();
                quote! { #cfg #error }
            });
            quote! { #(#messages)* }
        });
        quote! { #(#errors)* }
    }
}
