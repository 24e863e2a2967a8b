//! [`Cfg`], the conditions under which an item exists. An attribute macro sees the inside of
//! its item before `cfg` is applied, so the generated code must repeat the conditions.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

/// The conditions that must all hold; empty for an item that always exists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cfg(Vec<TokenStream>);

impl Cfg {
    /// Returns the conditions among an item's attributes.
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

    /// Returns the condition that any of `all` holds; `None` if it never holds.
    pub(crate) fn any_of(all: &[&Self]) -> Option<Self> {
        if all.is_empty() {
            return None;
        }
        if all.iter().any(|cfg| cfg.is_always()) {
            return Some(Self::default());
        }
        let predicates = all.iter().map(|cfg| cfg.predicate());
        Some(Self(vec![quote! { any(#(#predicates),*) }]))
    }

    /// Returns the condition that none of `all` holds; `None` if it never holds.
    pub(crate) fn none_of(all: &[&Self]) -> Option<Self> {
        match Self::any_of(all) {
            None => Some(Self::default()),
            Some(any) if any.is_always() => None,
            Some(any) => {
                let predicate = any.predicate();
                Some(Self(vec![quote! { not(#predicate) }]))
            }
        }
    }

    /// Returns the condition that both hold.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// Returns the conditions as one attribute; empty for an item that always exists.
    pub(crate) fn attribute(&self) -> TokenStream {
        if self.is_always() {
            return TokenStream::new();
        }
        let predicate = self.predicate();
        quote! { #[cfg(#predicate)] }
    }
}

/// Collects the conditions of an attribute: `p` for `cfg(p)`, and "not `q`, or `p`" for
/// `cfg_attr(q, cfg(p))`.
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

/// Returns the attribute if it is one of `names`. A `cfg_attr` is reduced to the attributes in
/// it that are.
pub(crate) fn only(attribute: &Attribute, names: &[&str]) -> Option<TokenStream> {
    fn only(meta: &Meta, names: &[&str]) -> Option<TokenStream> {
        if let Some((condition, metas)) = split_cfg_attr(meta) {
            let kept: Vec<_> = metas.iter().filter_map(|meta| only(meta, names)).collect();
            return (!kept.is_empty()).then(|| quote! { cfg_attr(#condition, #(#kept),*) });
        }
        names.iter().any(|name| meta.path().is_ident(name)).then(|| meta.to_token_stream())
    }
    let meta = only(&attribute.meta, names)?;
    Some(quote! { #[#meta] })
}

/// Returns the condition of a `cfg_attr` and its attributes; `None` for any other attribute.
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
        let none = Cfg::none_of(&[&Cfg::of(&both), &Cfg::of(&[parse_quote!(#[cfg(d)])])]);
        let text = none.map(|cfg| cfg.attribute().to_string().replace(' ', ""));
        assert_eq!(text.as_deref(), Some("#[cfg(not(any(all(a,any(not(b),c)),d)))]"));
        assert!(Cfg::none_of(&[&Cfg::default()]).is_none());
        let nested = [parse_quote!(#[cfg_attr(a, cfg_attr(b, cfg(c)))])];
        assert_eq!(attribute(&nested), "#[cfg(any(not(a),any(not(b),c)))]");
    }

    #[test]
    fn a_conditional_attribute_keeps_its_condition() {
        let text = |attribute: &Attribute| {
            only(attribute, &["doc", "deprecated"]).map(|kept| kept.to_string().replace(' ', ""))
        };
        assert_eq!(text(&parse_quote!(#[inline])), None);
        assert_eq!(text(&parse_quote!(#[deprecated])).as_deref(), Some("#[deprecated]"));
        let both = text(&parse_quote!(#[cfg_attr(a, inline, deprecated)]));
        assert_eq!(both.as_deref(), Some("#[cfg_attr(a,deprecated)]"));
        assert_eq!(text(&parse_quote!(#[cfg_attr(a, inline)])), None);
    }
}
