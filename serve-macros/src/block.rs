//! [`Block`], an `impl` block of which only the heads are parsed. Bodies stay as they are.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Generics, Signature, Token, Type, Visibility};

/// The attributes that `#[handle]` reads and removes.
pub(crate) const MARKERS: [&str; 14] = [
    "get",
    "post",
    "put",
    "patch",
    "delete",
    "websocket",
    "batch",
    "blocking",
    "reconfigure",
    "check_health",
    "shutdown",
    "retry",
    "routes",
    "handle",
];

/// An `impl` block.
pub(crate) struct Block {
    pub(crate) generics: Generics,
    pub(crate) self_type: Type,
    pub(crate) of_trait: bool,
    pub(crate) functions: Vec<Function>,
    /// The block without markers.
    pub(crate) cleaned: TokenStream,
}

/// A function of the block.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) markers: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
}

impl Parse for Block {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let unsafety: Option<Token![unsafe]> = input.parse()?;
        let impl_token: Token![impl] = input.parse()?;
        let generics: Generics = input.parse()?;
        let first: Type = input.parse()?;
        let for_token: Option<Token![for]> = input.parse()?;
        let of_trait = for_token.is_some();
        let (trait_path, self_type) = match for_token {
            Some(for_token) => (quote! { #first #for_token }, input.parse::<Type>()?),
            None => (TokenStream::new(), first),
        };
        let where_clause: Option<syn::WhereClause> = input.parse()?;
        let body: Group = input.parse()?;
        let (functions, inner) = read_body.parse2_group(&body)?;
        let mut cleaned = Group::new(Delimiter::Brace, inner);
        cleaned.set_span(body.span());
        let cleaned = quote! {
            #(#attributes)* #unsafety #impl_token #generics #trait_path #self_type #where_clause #cleaned
        };
        Ok(Self { generics, self_type, of_trait, functions, cleaned })
    }
}

trait ParseGroup {
    fn parse2_group(self, group: &Group) -> syn::Result<(Vec<Function>, TokenStream)>;
}

impl<F: Fn(ParseStream<'_>) -> syn::Result<(Vec<Function>, TokenStream)>> ParseGroup for F {
    fn parse2_group(self, group: &Group) -> syn::Result<(Vec<Function>, TokenStream)> {
        syn::parse::Parser::parse2(|input: ParseStream<'_>| self(input), group.stream())
    }
}

/// Returns the functions, and the whole body without markers.
fn read_body(input: ParseStream<'_>) -> syn::Result<(Vec<Function>, TokenStream)> {
    let mut functions = Vec::new();
    let mut cleaned = TokenStream::new();
    for inner in input.call(Attribute::parse_inner)? {
        inner.to_tokens(&mut cleaned);
    }
    while !input.is_empty() {
        let all = input.call(Attribute::parse_outer)?;
        let (markers, attributes): (Vec<_>, Vec<_>) = all.into_iter().partition(is_marker);
        if is_called(!markers.is_empty(), &input.fork()) {
            cleaned.extend(quote! {
                #[allow(
                    clippy::needless_pass_by_value,
                    clippy::unused_self,
                    reason = "a method of a handle owns its arguments"
                )]
            });
        }
        for attribute in &attributes {
            attribute.to_tokens(&mut cleaned);
        }
        let visibility: Visibility = input.parse()?;
        visibility.to_tokens(&mut cleaned);
        // The compiler reports a signature that cannot be parsed.
        let fork = input.fork();
        if let Ok(signature) = fork.parse::<Signature>() {
            let parsed: Signature = input.parse()?;
            parsed.to_tokens(&mut cleaned);
            functions.push(Function { attributes, markers, visibility, signature });
        }
        skip_item(input, &mut cleaned)?;
    }
    Ok((functions, cleaned))
}

/// Returns true if the next function may be the constructor, a method of the handle, or a method
/// that the runtime calls: its author is not free to choose its signature.
fn is_called(marked: bool, input: ParseStream<'_>) -> bool {
    let visibility: syn::Result<Visibility> = input.parse();
    let signature: syn::Result<Signature> = input.parse();
    let (Ok(visibility), Ok(signature)) = (visibility, signature) else { return false };
    let is_method = matches!(visibility, Visibility::Public(_)) && signature.receiver().is_some();
    marked || is_method || signature.ident == "new"
}

/// Copies tokens up to and including the item's body or semicolon.
fn skip_item(input: ParseStream<'_>, cleaned: &mut TokenStream) -> syn::Result<()> {
    while !input.is_empty() {
        let tree: TokenTree = input.parse()?;
        let ends = match &tree {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Punct(punct) => punct.as_char() == ';',
            _ => false,
        };
        cleaned.extend([tree]);
        if ends {
            break;
        }
    }
    Ok(())
}

fn is_marker(attribute: &Attribute) -> bool {
    let last = attribute.path().segments.last();
    last.is_some_and(|last| MARKERS.iter().any(|marker| last.ident == marker))
}

impl Function {
    /// Returns the marker of this name.
    pub(crate) fn marker(&self, name: &str) -> Option<&Attribute> {
        self.markers
            .iter()
            .find(|marker| marker.path().segments.last().is_some_and(|last| last.ident == name))
    }
}
