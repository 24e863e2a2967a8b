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

    /// Holds where one of `cfgs` does. `None` if there are none: it never holds.
    pub(crate) fn any<'a>(cfgs: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut predicates = Vec::new();
        let mut some = false;
        for cfg in cfgs {
            some = true;
            if cfg.is_always() {
                return Some(Self::default());
            }
            predicates.push(cfg.predicate());
        }
        some.then(|| match &predicates[..] {
            [one] => Self(vec![one.clone()]),
            all => Self(vec![quote! { any(#(#all),*) }]),
        })
    }

    /// Holds where this does not. `None` if this always holds.
    pub(crate) fn not(&self) -> Option<Self> {
        let predicate = self.predicate();
        (!self.is_always()).then(|| Self(vec![quote! { not(#predicate) }]))
    }

    /// Holds where both do.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
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
pub(crate) fn split_cfg_attr(meta: &Meta) -> Option<(TokenStream, Vec<Meta>)> {
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

    #[test]
    fn any_of_them_and_none_of_them() {
        let (a, b) = (Cfg::of(&[parse_quote!(#[cfg(a)])]), Cfg::of(&[parse_quote!(#[cfg(b)])]));
        let any = Cfg::any([&a, &b]).unwrap();
        assert_eq!(any.attribute().to_string().replace(' ', ""), "#[cfg(any(a,b))]");
        let none = any.not().unwrap();
        assert_eq!(none.attribute().to_string().replace(' ', ""), "#[cfg(not(any(a,b)))]");
        assert!(Cfg::any([&a, &Cfg::default()]).unwrap().is_always());
        assert!(Cfg::any([]).is_none());
        assert!(Cfg::default().not().is_none());
    }
}
