//! The parameters and the return type of a method, checked.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    FnArg, GenericArgument, GenericParam, Generics, Ident, Pat, PathArguments, ReturnType,
    Signature, Type, TypeParamBound,
};

use crate::errors::Errors;

/// The maximum number of parameters of a method.
const MOST: usize = 12;

/// A named parameter of an owned type.
pub(crate) struct Parameter {
    pub(crate) name: Ident,
    pub(crate) ty: TokenStream,
    /// The type as written.
    pub(crate) text: String,
}

impl Parameter {
    /// Returns the parameter's name without `r#`.
    pub(crate) fn plain_name(&self) -> String {
        self.name.to_string().trim_start_matches("r#").to_owned()
    }
}

/// The return type of a method.
pub(crate) struct Returns {
    pub(crate) ok: TokenStream,
    /// The error type; `None` for a method that cannot fail.
    pub(crate) err: Option<TokenStream>,
    pub(crate) shape: Shape,
    /// The whole type of one value, or of one item.
    pub(crate) whole: TokenStream,
    /// The return type as written.
    pub(crate) text: String,
}

/// The shape of a return type: one value, or a stream of values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Value,
    Stream { outer_result: bool, item_result: bool },
}

/// The source of the values of a method that returns many.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Stream,
    /// An iterator of a `#[blocking]` method, read on a compute thread.
    Iterator,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Stream => "Stream",
            Self::Iterator => "Iterator",
        }
    }

    /// Returns `T` of `impl Stream<Item = T>`, or of `impl Iterator<Item = T>`.
    pub(crate) fn item(self, ty: &Type) -> Option<Type> {
        let Type::ImplTrait(impl_trait) = ungrouped(ty) else { return None };
        impl_trait.bounds.iter().find_map(|bound| {
            let TypeParamBound::Trait(bound) = bound else { return None };
            let last = bound.path.segments.last()?;
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
            if last.ident != self.name() {
                return None;
            }
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::AssocType(item) if item.ident == "Item" => Some(item.ty.clone()),
                _ => None,
            })
        })
    }
}

/// Returns the parameters after the receiver; `None` if one of them is faulty.
pub(crate) fn parameters(
    signature: &Signature,
    owner: &TokenStream,
    errors: &mut Errors,
) -> Option<Vec<Parameter>> {
    let mut parameters = Vec::new();
    let mut healthy = true;
    for input in &signature.inputs {
        let FnArg::Typed(typed) = input else { continue };
        let name = match &*typed.pat {
            Pat::Ident(ident) if ident.by_ref.is_none() && ident.subpat.is_none() => {
                ident.ident.clone()
            }
            pattern => {
                errors.at(pattern, "a parameter needs a plain name, because arguments are passed by name: destructure the value in the body");
                healthy = false;
                continue;
            }
        };
        if let Some(message) = not_owned(&typed.ty) {
            errors.at(&typed.ty, message);
            healthy = false;
        }
        let ty = replace_self(typed.ty.to_token_stream(), owner);
        parameters.push(Parameter { name, ty, text: text_of(&typed.ty) });
    }
    if parameters.len() > MOST {
        errors.at(
            &signature.ident,
            format!("a method has at most {MOST} parameters; put some into a struct"),
        );
        healthy = false;
    }
    healthy.then_some(parameters)
}

/// Returns the message about the generic parameters of a deployment; `None` if there are none.
pub(crate) fn parameters_of_a_deployment(generics: &Generics) -> Option<&'static str> {
    match (generics.params.is_empty(), only_lifetimes(generics)) {
        (true, _) => None,
        (false, true) => Some(BORROWS),
        (false, false) => Some(GENERIC),
    }
}

/// Returns the message about the generic arguments of a deployment; `None` if there are none.
pub(crate) fn arguments_of_a_deployment(arguments: &PathArguments) -> Option<&'static str> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return None };
    let lifetime = |argument: &GenericArgument| matches!(argument, GenericArgument::Lifetime(_));
    Some(if arguments.args.iter().all(lifetime) { BORROWS } else { GENERIC })
}

const GENERIC: &str = "a deployment has no generic parameters, because its replicas are started by \
                       name: wrap the types you need: `struct ScorerOfDogs(Scorer<Dog>);`";

const BORROWS: &str = "a deployment owns its data, because its replicas outlive the code that binds \
                       them: leave out the lifetime, with `String` or `Arc<T>` in place of references";

/// Returns true if all generic parameters are lifetimes.
pub(crate) fn only_lifetimes(generics: &Generics) -> bool {
    generics.params.iter().all(|parameter| matches!(parameter, GenericParam::Lifetime(_)))
}

/// Returns the type in which each reference is replaced by the type that owns the data. A
/// `&'static T` inside of another type owns what it needs.
fn owned(ty: &Type) -> String {
    let replaced = match ungrouped(ty) {
        Type::Reference(reference) => owner_of(reference.elem.to_token_stream()),
        Type::Slice(_) => owner_of(ty.to_token_stream()),
        Type::Path(path) if path.path.is_ident("str") => quote! { String },
        _ => with_owners(ty.to_token_stream()),
    };
    text_of(&replaced)
}

/// Returns the type that owns the data of a reference to the type at the beginning of `referent`,
/// and the tokens after it.
fn owner_of(referent: TokenStream) -> TokenStream {
    let mut trees = referent.into_iter();
    let owner = match trees.next() {
        Some(TokenTree::Ident(ident)) if ident == "str" => quote! { String },
        Some(TokenTree::Group(group))
            if group.delimiter() == Delimiter::Bracket
                && syn::parse2::<Type>(group.stream()).is_ok() =>
        {
            let item = with_owners(group.stream());
            quote! { Vec<#item> }
        }
        first => with_owners(first.into_iter().collect()),
    };
    let rest = with_owners(trees.collect());
    quote! { #owner #rest }
}

fn with_owners(tokens: TokenStream) -> TokenStream {
    let mut trees = tokens.into_iter();
    let mut before = TokenStream::new();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                let reference: TokenStream =
                    [TokenTree::from(punct)].into_iter().chain(trees).collect();
                let text = text_of(&reference);
                if text.starts_with("&'static ") {
                    let mut trees = reference.into_iter();
                    before.extend(trees.by_ref().take(3));
                    before.extend(with_owners(trees.collect()));
                    return before;
                }
                let referent = reference.into_iter().skip(1);
                // The lifetime is two trees: a quote and a name.
                let lifetime = if text.starts_with("&'") { 2 } else { 0 };
                let mut referent = referent.skip(lifetime).peekable();
                referent.next_if(|tree| matches!(tree, TokenTree::Ident(ident) if ident == "mut"));
                before.extend(owner_of(referent.collect()));
                return before;
            }
            TokenTree::Group(group) => {
                let group = Group::new(group.delimiter(), with_owners(group.stream()));
                before.extend([TokenTree::from(group)]);
            }
            tree => before.extend([tree]),
        }
    }
    before
}

/// Returns the message about a type that does not own its data; `None` if it does. `what` travels:
/// arguments or results.
fn borrowed(ty: &Type, what: &str) -> Option<String> {
    let text = text_of(ty);
    // The type of a function may have lifetimes of its own.
    if ["fn (", "Fn (", "FnMut (", "FnOnce (", "for<"].iter().any(|own| text.contains(own)) {
        return None;
    }
    let owned = owned(ty);
    if text != owned {
        return Some(format!(
            "{what} travel between replicas, so they are owned: use `{owned}` instead of `{text}`"
        ));
    }
    let lifetime = text.match_indices('\'').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        // A character ends with a quote.
        (!name.is_empty() && name != "static" && !rest.starts_with('\'')).then_some(name)
    })?;
    Some(format!(
        "{what} travel between replicas, so they are owned: use a type without the lifetime \
         `'{lifetime}` instead of `{text}`"
    ))
}

/// Returns the message about a parameter that does not own its data; `None` if it does.
fn not_owned(ty: &Type) -> Option<String> {
    match ungrouped(ty) {
        Type::ImplTrait(_) => Some(
            "a parameter needs a concrete type, because its value may come from another process: write the type in place of `impl ..`".to_owned(),
        ),
        _ => borrowed(ty, "arguments"),
    }
}

/// Reads the return type of a method. Returns `None` if the type is faulty.
pub(crate) fn returns(
    output: &ReturnType,
    source: Source,
    owner: &TokenStream,
    private: &TokenStream,
    errors: &mut Errors,
) -> Option<Returns> {
    let ReturnType::Type(_, ty) = output else {
        let whole = quote! { () };
        return Some(Returns {
            ok: whole.clone(),
            err: None,
            shape: Shape::Value,
            whole,
            text: String::new(),
        });
    };
    let value = success(ty);
    if let Some(message) = not_returned(&value, source) {
        errors.at(value, message);
        return None;
    }
    Some(known_returns(ty, source, owner, private))
}

/// Returns the success type of a `Result`, or the type itself if it is not a `Result`.
pub(crate) fn success(ty: &Type) -> Type {
    let value = if is_result(ty) { first_argument(ty) } else { None };
    value.unwrap_or_else(|| ty.clone())
}

/// Returns the message about a result that cannot leave its replica; `None` if it can.
fn not_returned(ty: &Type, source: Source) -> Option<String> {
    match ungrouped(ty) {
        Type::ImplTrait(_) if source.item(ty).is_some() => {
            borrowed(&success(&source.item(ty)?), "results")
        }
        Type::ImplTrait(bounds) if names(&bounds.bounds, "Future") => Some(
            "a method that returns a future is an `async fn`: write `async fn` with the type of the \
             future's output"
                .to_owned(),
        ),
        Type::ImplTrait(_) => Some(match source {
            Source::Stream if Source::Iterator.item(ty).is_some() => {
                "an iterator works on the thread that reads it, and async code must not be blocked: mark \
                 the method `#[blocking]`, so that one of the replica's own threads reads it; or, \
                 if it only holds values, return `futures::stream::iter(..)` as `impl Stream<Item = T>`"
                    .to_owned()
            }
            Source::Iterator if Source::Stream.item(ty).is_some() => {
                "a `#[blocking]` method runs on a thread that cannot poll a stream: return \
                 `impl Iterator<Item = T>`, which the caller reads as a stream, or leave out \
                 `#[blocking]`"
                    .to_owned()
            }
            _ => format!(
                "a result needs a concrete type, because it may be sent to another process: write the \
                 type, or return `impl {}<Item = T>`",
                source.name()
            ),
        }),
        _ if boxed_stream(ty) => Some(
            "return the stream as `impl Stream<Item = T>`, which a boxed stream is, too"
                .to_owned(),
        ),
        _ => borrowed(ty, "results"),
    }
}

/// Returns true if one of the bounds is a trait of this name.
fn names<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>, name: &str) -> bool {
    bounds.into_iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => {
            bound.path.segments.last().is_some_and(|last| last.ident == name)
        }
        _ => false,
    })
}

/// Returns true for `BoxStream<'static, T>`, and for `Pin<Box<dyn Stream<Item = T>>>`.
fn boxed_stream(ty: &Type) -> bool {
    let boxed = argument_of(ty, "Pin").and_then(|pinned| argument_of(&pinned, "Box"));
    match (ungrouped(ty), boxed) {
        (_, Some(Type::TraitObject(object))) => names(&object.bounds, "Stream"),
        (Type::Path(path), _) => {
            path.path.segments.last().is_some_and(|last| last.ident == "BoxStream")
        }
        _ => false,
    }
}

fn known_returns(ty: &Type, source: Source, owner: &TokenStream, private: &TokenStream) -> Returns {
    let text = text_of(ty);
    if let Some(item) = source.item(ty) {
        let shape = Shape::Stream { outer_result: false, item_result: is_result(&item) };
        return stream_returns(&item, None, shape, owner, private, text);
    }
    if is_result(ty)
        && let Some(item) = first_argument(ty).and_then(|value| source.item(&value))
    {
        let outer = fallible(&with_first_argument(ty, &quote! { () }), owner, private).1;
        let shape = Shape::Stream { outer_result: true, item_result: is_result(&item) };
        return stream_returns(&item, Some(outer), shape, owner, private, text);
    }
    let whole = replace_self(ty.to_token_stream(), owner);
    if is_result(ty) {
        let (ok, err) = fallible(&ty.to_token_stream(), owner, private);
        return Returns { ok, err: Some(err), shape: Shape::Value, whole, text };
    }
    Returns { ok: whole.clone(), err: None, shape: Shape::Value, whole, text }
}

fn stream_returns(
    item: &Type,
    outer: Option<TokenStream>,
    shape: Shape,
    owner: &TokenStream,
    private: &TokenStream,
    text: String,
) -> Returns {
    let whole = replace_self(item.to_token_stream(), owner);
    let (ok, inner) = if is_result(item) {
        let (ok, err) = fallible(&item.to_token_stream(), owner, private);
        (ok, Some(err))
    } else {
        (whole.clone(), None)
    };
    Returns { ok, err: inner.or(outer), shape, whole, text }
}

/// Returns the success and the error type of a `Result`, which may be an alias.
fn fallible(
    ty: &TokenStream,
    owner: &TokenStream,
    private: &TokenStream,
) -> (TokenStream, TokenStream) {
    let ty = replace_self(ty.clone(), owner);
    let visible = syn::parse2::<Type>(ty.clone()).map(|ty| arguments(&ty)).unwrap_or_default();
    if let [ok, err] = &visible[..] {
        return (ok.to_token_stream(), err.to_token_stream());
    }
    // If an alias has one argument, that is usually its success type.
    let at = visible.first().map_or_else(|| ty.span(), Spanned::span);
    let private = respan(private.clone(), at);
    (
        quote_spanned! { at => <#ty as #private::Fallible>::Ok },
        quote_spanned! { ty.span() => <#ty as #private::Fallible>::Err },
    )
}

/// Returns the type without the invisible group around it that a `$ty:ty` of a `macro_rules!` has.
pub(crate) fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        ty => ty,
    }
}

/// Returns true if the type is called `Result`. It may be an alias.
pub(crate) fn is_result(ty: &Type) -> bool {
    matches!(ungrouped(ty), Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Result"))
}

/// Returns `T` of `Name<T>`, with any path before the name.
pub(crate) fn argument_of(ty: &Type, name: &str) -> Option<Type> {
    let Type::Path(path) = ungrouped(ty) else { return None };
    let last = path.path.segments.last()?;
    (last.ident == name).then(|| first_argument(ty))?
}

/// Returns the return type of a call of a batched method, which returns one row to each call.
pub(crate) fn of_row(
    row: &Type,
    shape: Shape,
    owner: &TokenStream,
    private: &TokenStream,
) -> Returns {
    let text = text_of(row);
    if shape != Shape::Value {
        return stream_returns(
            row,
            None,
            shape,
            owner,
            private,
            format!("impl Stream<Item = {text}>"),
        );
    }
    known_returns(row, Source::Stream, owner, private)
}

/// Returns the type arguments of a type, as written.
pub(crate) fn arguments(ty: &Type) -> Vec<Type> {
    let Type::Path(path) = ungrouped(ty) else { return Vec::new() };
    let Some(last) = path.path.segments.last() else { return Vec::new() };
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Vec::new() };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty.clone()),
        _ => None,
    });
    types.collect()
}

pub(crate) fn first_argument(ty: &Type) -> Option<Type> {
    arguments(ty).into_iter().next()
}

pub(crate) fn with_first_argument(ty: &Type, replacement: &TokenStream) -> TokenStream {
    let mut ty = ungrouped(ty).clone();
    if let Type::Path(path) = &mut ty
        && let Some(last) = path.path.segments.last_mut()
        && let PathArguments::AngleBracketed(arguments) = &mut last.arguments
        && let Some(first) = arguments.args.first_mut()
    {
        *first = GenericArgument::Type(syn::parse_quote!(#replacement));
    }
    ty.to_token_stream()
}

/// Replaces `Self` in `tokens` by the deployment's type.
pub(crate) fn replace_self(tokens: TokenStream, owner: &TokenStream) -> TokenStream {
    let trees = tokens.into_iter().flat_map(|tree| match tree {
        TokenTree::Ident(ident) if ident == "Self" => {
            let span = ident.span();
            let owner = owner.clone().into_iter().map(move |mut tree| {
                tree.set_span(span);
                tree
            });
            owner.collect::<TokenStream>()
        }
        TokenTree::Group(group) => {
            let mut replaced =
                proc_macro2::Group::new(group.delimiter(), replace_self(group.stream(), owner));
            replaced.set_span(group.span());
            TokenTree::Group(replaced).into()
        }
        tree => tree.into(),
    });
    trees.collect()
}

/// Returns `tokens` as they are resolved, shown by the compiler at `span`.
pub(crate) fn shown_at(tokens: TokenStream, span: Span) -> TokenStream {
    let trees = tokens.into_iter().map(|mut tree| {
        tree.set_span(tree.span().located_at(span));
        tree
    });
    trees.collect()
}

/// Returns `tokens` with the span of each of them set to `span`.
pub(crate) fn respan(tokens: TokenStream, span: Span) -> TokenStream {
    let trees = tokens.into_iter().map(|mut tree| {
        if let TokenTree::Group(group) = &tree {
            let inner = respan(group.stream(), span);
            tree = proc_macro2::Group::new(group.delimiter(), inner).into();
        }
        tree.set_span(span);
        tree
    });
    trees.collect()
}

/// Returns the text of a type, spaced as people write it.
pub(crate) fn text_of(ty: &impl ToTokens) -> String {
    let mut text = ty.to_token_stream().to_string();
    for (from, to) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ,", ","),
        ("& ", "&"),
        (" ;", ";"),
    ] {
        text = text.replace(from, to);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn a_reference_is_replaced_by_what_owns_its_data() {
        let replaced = |ty: Type| borrowed(&ty, "arguments").map(|_| owned(&ty));
        for (ty, owner) in [
            (parse_quote!(&str), "String"),
            (parse_quote!(&'static str), "String"),
            (parse_quote!(&mut [u8]), "Vec<u8>"),
            (parse_quote!(&[&'a str]), "Vec<String>"),
            (parse_quote!(&Paper), "Paper"),
            (parse_quote!(str), "String"),
            (parse_quote!([u8]), "Vec<u8>"),
            (parse_quote!(Option<&str>), "Option<String>"),
            (parse_quote!((u8, &'a [Paper])), "(u8, Vec<Paper>)"),
            (parse_quote!(HashMap<&'a str, Vec<&Paper>>), "HashMap<String, Vec<Paper>>"),
        ] {
            assert_eq!(replaced(ty).as_deref(), Some(owner));
        }
        for ty in [
            parse_quote!(Vec<&'static str>),
            parse_quote!(Arc<dyn Fn(&str) -> u8>),
            parse_quote!(fn(&str)),
            parse_quote!(Cow<'static, str>),
            parse_quote!([u8; 'a' as usize]),
        ] {
            assert_eq!(borrowed(&ty, "arguments"), None);
        }
        let cow = borrowed(&parse_quote!(Cow<'_, str>), "arguments");
        assert!(cow.is_some_and(|message| message.contains("without the lifetime `'_`")));
    }
}
