//! The names of generic parameters. The user may see them in the documentation, and they must
//! not be names of the user's own types.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};

/// Returns `base`, followed by underscores until nothing in `tokens` has the same name.
pub(crate) fn fresh(base: &str, tokens: &TokenStream) -> Ident {
    let mut name = base.to_owned();
    while mentions(tokens, &name) {
        name.push('_');
    }
    Ident::new(&name, Span::call_site())
}

fn mentions(tokens: &TokenStream, name: &str) -> bool {
    tokens.clone().into_iter().any(|tree| match tree {
        TokenTree::Ident(ident) => ident == name,
        TokenTree::Group(group) => mentions(&group.stream(), name),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn a_name_in_use_is_left_to_the_user() {
        assert_eq!(fresh("F", &quote! { Vec<u8> }), "F");
        assert_eq!(fresh("F", &quote! { (HashMap<F, F_>) }), "F__");
    }
}
