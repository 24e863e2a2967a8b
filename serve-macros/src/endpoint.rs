//! `#[get("/path")]` and the other verbs, which make a method an HTTP endpoint.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Ident, LitStr, Token};

use crate::block::Function;
use crate::errors::Errors;
use crate::options;
use crate::signature::Parameter;
use crate::spelling;

/// The names of the verb attributes.
pub(crate) const VERBS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// An HTTP endpoint.
pub(crate) struct Endpoint {
    pub(crate) verb: String,
    pub(crate) path: String,
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

/// Returns the endpoint of a method, if the method is one.
pub(crate) fn read(
    function: &Function,
    parameters: &[Parameter],
    errors: &mut Errors,
) -> Option<Endpoint> {
    let mut found = VERBS.iter().filter_map(|verb| Some((*verb, function.marker(verb)?)));
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
    let path = arguments.path.value();
    let in_path = match names_in(&path) {
        Ok(names) => names,
        Err(message) => {
            errors.at(&arguments.path, message);
            return None;
        }
    };
    let named = |name: &str| parameters.iter().any(|parameter| parameter.plain_name() == name);
    for name in in_path.iter().filter(|name| !named(name)) {
        errors.at(
            &arguments.path,
            format!(
                "`{{{name}}}`: the method has no parameter of this name{}",
                there(name, parameters)
            ),
        );
    }
    if let Some(body) = &arguments.body {
        if ["get", "delete"].contains(&verb) {
            errors.at(body, format!("a {} request has no body", verb.to_uppercase()));
        } else if !named(&body.to_string()) {
            let name = body.to_string();
            errors.at(
                body,
                format!(
                    "`{name}`: the method has no parameter of this name{}",
                    there(&name, parameters)
                ),
            );
        }
    }
    let max_body = arguments.max_body.as_ref().and_then(|text| {
        let size = options::size(&text.value()).and_then(|size| usize::try_from(size).ok());
        if size.is_none() {
            errors.at(text, "`max_body` takes a size, like `\"32MiB\"` or `\"500kB\"`");
        }
        size
    });
    let queried = ["get", "delete"].contains(&verb) || arguments.body.is_some();
    let place = |parameter: &Parameter| {
        let name = parameter.plain_name();
        if in_path.contains(&name) {
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
    Some(Endpoint { verb: verb.to_uppercase(), path, places, max_body })
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
        syn::Error::new_spanned(attribute, format!("`#[{verb}]` needs a path: `#[{verb}(\"/\")]`"))
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

/// Returns the parameters that a path names.
fn names_in(path: &str) -> Result<Vec<String>, String> {
    if !path.starts_with('/') {
        return Err("a path starts with `/`".to_owned());
    }
    let mut names = Vec::new();
    for segment in path.split('/') {
        let Some(inner) = segment.strip_prefix('{') else {
            if segment.contains(['{', '}']) {
                return Err(format!("`{segment}`: a parameter is a whole segment, like `/{{id}}`"));
            }
            continue;
        };
        let Some(name) = inner.strip_suffix('}') else {
            return Err(format!("`{segment}`: a parameter is a whole segment, like `/{{id}}`"));
        };
        let name = name.strip_prefix('*').unwrap_or(name);
        if name.is_empty() || name.contains(['{', '}']) {
            return Err(format!("`{segment}` names no parameter"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

impl Endpoint {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_parameters() {
        assert_eq!(names_in("/papers/{id}/{*rest}"), Ok(vec!["id".to_owned(), "rest".to_owned()]));
        assert_eq!(names_in("/"), Ok(Vec::new()));
        for bad in ["papers", "/a{b}", "/{}", "/{a"] {
            assert!(names_in(bad).is_err(), "{bad}");
        }
    }
}
