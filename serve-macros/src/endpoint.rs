//! `#[get("/path")]` and the other verbs, which make a method an HTTP endpoint.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Ident, LitStr, Token};

use crate::block::Function;
use crate::errors::Errors;
use crate::options;
use crate::path::{Clash, Path};
use crate::signature::Parameter;
use crate::spelling;

/// The names of the verb attributes.
pub(crate) const VERBS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The name of the attribute of a WebSocket, which is opened by a `GET` request.
pub(crate) const WEBSOCKET: &str = "websocket";

/// An HTTP endpoint.
pub(crate) struct Endpoint {
    pub(crate) verb: String,
    pub(crate) path: LitStr,
    parsed: Path,
    places: Vec<Place>,
    pub(crate) max_body: Option<usize>,
}

#[derive(Clone, Copy)]
enum Place {
    Path,
    Query,
    Field,
    Body,
}

/// The arguments of the attribute.
struct Arguments {
    path: LitStr,
    body: Option<Ident>,
    max_body: Option<LitStr>,
}

/// Returns the endpoint of a method, if the method is one. For a WebSocket, `parameters` are those
/// that the request has.
pub(crate) fn read(
    function: &Function,
    parameters: &[Parameter],
    errors: &mut Errors,
) -> Option<Endpoint> {
    let verbs = VERBS.iter().chain(&[WEBSOCKET]);
    let mut found = verbs.filter_map(|verb| Some((*verb, function.marker(verb)?)));
    let (verb, attribute) = found.next()?;
    if let Some((_, second)) = found.next() {
        errors.at(
            second,
            "a method can be only one endpoint: write a second method that calls this one",
        );
        return None;
    }
    let arguments = match arguments(attribute, verb) {
        Ok(arguments) => arguments,
        Err(error) => {
            errors.push(error);
            return None;
        }
    };
    let parsed = match Path::parse(&arguments.path.value()) {
        Ok(parsed) => parsed,
        Err(message) => {
            errors.at(&arguments.path, message);
            return None;
        }
    };
    let named = |name: &str| parameters.iter().any(|parameter| parameter.plain_name() == name);
    for name in parsed.names().filter(|name| !named(name)) {
        errors.at(
            &arguments.path,
            format!(
                "`{{{name}}}`: the method has no parameter of this name{}",
                there(name, parameters)
            ),
        );
    }
    let without_body = ["get", "delete", WEBSOCKET].contains(&verb);
    if let Some(body) = &arguments.body {
        let name = body.to_string();
        if without_body {
            errors.at(body, no_body(verb, "body"));
        } else if !named(&name) {
            errors.at(
                body,
                format!(
                    "`{name}`: the method has no parameter of this name{}",
                    there(&name, parameters)
                ),
            );
        } else if parsed.names().any(|in_path| in_path == name) {
            errors.at(
                body,
                format!(
                    "`{name}` is in the path: the body is another parameter, or leave out `body`"
                ),
            );
        }
    }
    if let Some(max_body) = arguments.max_body.as_ref().filter(|_| without_body) {
        errors.at(max_body, no_body(verb, "max_body"));
    }
    let max_body = arguments.max_body.as_ref().and_then(|text| {
        let size = options::size(&text.value()).and_then(|size| usize::try_from(size).ok());
        if size.is_none() {
            errors.at(text, "`max_body` takes a size, like `\"32MiB\"` or `\"500kB\"`");
        }
        size
    });
    let queried = without_body || arguments.body.is_some();
    let place = |parameter: &Parameter| {
        let name = parameter.plain_name();
        if parsed.names().any(|named| named == name) {
            Place::Path
        } else if arguments.body.as_ref().is_some_and(|body| *body == name) {
            Place::Body
        } else if queried {
            Place::Query
        } else {
            Place::Field
        }
    };
    let places = parameters.iter().map(place).collect();
    let verb = if verb == WEBSOCKET { "GET".to_owned() } else { verb.to_uppercase() };
    let path = arguments.path;
    Some(Endpoint { verb, path, parsed, places, max_body })
}

fn no_body(verb: &str, option: &str) -> String {
    if verb == WEBSOCKET {
        return format!("the request that opens a WebSocket has no body: leave out `{option}`");
    }
    let verb = verb.to_uppercase();
    format!("a {verb} request has no body: leave out `{option}`, or use `#[post]`")
}

/// Returns the end of a message about an unknown parameter: the parameters that the method has.
fn there(unknown: &str, parameters: &[Parameter]) -> String {
    let known: Vec<_> = parameters.iter().map(Parameter::plain_name).collect();
    let known = || known.iter().map(String::as_str);
    match parameters {
        [] => format!("; add `{unknown}: ..` to its signature"),
        [_] => format!("; its parameter is {}", spelling::all_of(known())),
        _ => {
            let near = spelling::did_you_mean(unknown, known());
            format!("{near}; its parameters are {}", spelling::all_of(known()))
        }
    }
}

fn arguments(attribute: &Attribute, verb: &str) -> syn::Result<Arguments> {
    let usage = || {
        syn::Error::new_spanned(
            attribute,
            format!("`#[{verb}]` needs a path, a string literal: `#[{verb}(\"/\")]`"),
        )
    };
    let tokens = attribute.meta.require_list().map_err(|_| usage())?.tokens.clone();
    let parser = |input: ParseStream<'_>| {
        let mut arguments =
            Arguments { path: input.parse().map_err(|_| usage())?, body: None, max_body: None };
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let name: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let twice = (name == "body" && arguments.body.is_some())
                || (name == "max_body" && arguments.max_body.is_some());
            if twice {
                return Err(syn::Error::new(name.span(), format!("`{name}` is given twice")));
            }
            match name.to_string().as_str() {
                "body" => arguments.body = Some(input.parse()?),
                "max_body" => arguments.max_body = Some(input.parse()?),
                unknown => {
                    let near = spelling::did_you_mean(unknown, ["body", "max_body"]);
                    return Err(syn::Error::new(
                        name.span(),
                        format!(
                            "unknown option `{unknown}`{near}; the options are `body` and `max_body`"
                        ),
                    ));
                }
            }
        }
        Ok(arguments)
    };
    parser.parse2(tokens)
}

impl Endpoint {
    /// Returns the error of this endpoint if it cannot be told apart from `other`, the endpoint of
    /// the method `name`.
    pub(crate) fn clash(&self, other: &Self, name: &Ident) -> Option<String> {
        let (verb, path) = (&self.verb, self.path.value());
        match self.parsed.clash(&other.parsed)? {
            Clash::Same if self.verb == other.verb => Some(format!(
                "`{verb} {path}` is already the endpoint `{name}`: choose another path or HTTP method"
            )),
            Clash::Same => None,
            Clash::Ambiguous => Some(format!(
                "`{path}` and `{}`, the path of `{name}`, match the same requests: change one of them",
                other.path.value()
            )),
        }
    }

    /// Returns the place and the type of each parameter.
    pub(crate) fn parameters(&self, parameters: &[Parameter]) -> TokenStream {
        let parameters = self.places.iter().zip(parameters).map(|(place, parameter)| {
            let place = match place {
                Place::Path => quote! { Path },
                Place::Query => quote! { Query },
                Place::Field => quote! { Field },
                Place::Body => quote! { Body },
            };
            let ty = &parameter.ty;
            quote! { #place #ty }
        });
        quote! { #(#parameters),* }
    }
}
