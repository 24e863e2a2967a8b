//! [`Cfg`]: the conditions under which an item is there. An attribute macro sees the
//! inside of its item before `cfg` is applied, so what it generates must repeat them.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

/// Conditions that must all hold. None for an item that is always there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cfg(Vec<TokenStream>);

impl Cfg {
    /// The conditions among an item's attributes.
    pub(crate) fn of<'a>(attributes: impl IntoIterator<Item = &'a Attribute>) -> Self {
        let mut all = Vec::new();
        for attribute in attributes {
            collect(&attribute.meta, &mut all);
        }
        Self(all)
    }

    pub(crate) fn is_always(&self) -> bool {
        self.0.is_empty()
    }

    fn predicate(&self) -> TokenStream {
        match &self.0[..] {
            [one] => one.clone(),
            all => quote! { all(#(#all),*) },
        }
    }

    /// As one attribute; nothing for an item that is always there.
    pub(crate) fn attribute(&self) -> TokenStream {
        if self.is_always() {
            return TokenStream::new();
        }
        let predicate = self.predicate();
        quote! { #[cfg(#predicate)] }
    }
}

/// `cfg(p)` asks for `p`; `cfg_attr(q, cfg(p))` asks for `p` where `q` holds.
fn collect(meta: &Meta, all: &mut Vec<TokenStream>) {
    let Meta::List(list) = meta else { return };
    if list.path.is_ident("cfg") {
        all.push(list.tokens.clone());
    } else if list.path.is_ident("cfg_attr")
        && let Some((condition, metas)) = split_cfg_attr(meta)
    {
        let mut inner = Vec::new();
        for meta in &metas {
            collect(meta, &mut inner);
        }
        all.extend(inner.into_iter().map(|inner| quote! { any(not(#condition), #inner) }));
    }
}

/// The condition of a `cfg_attr`, and what it puts there. `None` for anything else.
fn split_cfg_attr(meta: &Meta) -> Option<(TokenStream, Vec<Meta>)> {
    let Meta::List(list) = meta else { return None };
    if !list.path.is_ident("cfg_attr") {
        return None;
    }
    let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
    let mut metas = list.parse_args_with(parser).ok()?.into_iter();
    let condition = metas.next()?.into_token_stream();
    Some((condition, metas.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn attribute(attributes: &[Attribute]) -> String {
        Cfg::of(attributes).attribute().to_string().replace(' ', "")
    }

    #[test]
    fn every_condition_counts() {
        assert_eq!(attribute(&[]), "");
        assert_eq!(attribute(&[parse_quote!(#[cfg(a)]), parse_quote!(#[doc = "x"])]), "#[cfg(a)]");
        let both = [parse_quote!(#[cfg(a)]), parse_quote!(#[cfg_attr(b, cfg(c), inline)])];
        assert_eq!(attribute(&both), "#[cfg(all(a,any(not(b),c)))]");
        let nested = [parse_quote!(#[cfg_attr(a, cfg_attr(b, cfg(c)))])];
        assert_eq!(attribute(&nested), "#[cfg(any(not(a),any(not(b),c)))]");
    }
}
