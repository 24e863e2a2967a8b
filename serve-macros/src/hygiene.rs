//! Names that generated code chooses, and that must not be names of the user's: those of generic
//! parameters, which the user may see in the documentation, and those of local variables.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};

/// Returns `base`, followed by underscores until nothing in `tokens` has the same name.
pub(crate) fn fresh(base: &str, tokens: &TokenStream) -> Ident {
    let mut name = base.to_owned();
    while mentions(tokens, &name) {
        name.push('_');
    }
    Ident::new(&name, Span::call_site())
}

/// Returns the name of a local variable of the generated code. The compiler shows it at `span`,
/// which must be one of the user's own code: with `Span::mixed_site`, its messages would mention
/// the macro.
pub(crate) fn local(name: &str, span: Span) -> Ident {
    Ident::new(&format!("__serve_{name}"), span)
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
