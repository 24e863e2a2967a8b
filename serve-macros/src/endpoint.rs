//! `#[get("/path")]` and the other verbs, which make a method an HTTP endpoint.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Ident, LitInt, LitStr, Token, token};

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
    /// The name of the body's format, unless it is JSON.
    pub(crate) form: Option<Form>,
    /// The status of the result, unless it is 200.
    pub(crate) success: Option<u16>,
    pub(crate) max_body: Option<usize>,
}

enum Place {
    Path,
    Query,
    Field,
    Body,
    Header(String),
    Cookie(String),
}

/// The format of a body that is a form.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    Form,
    Multipart,
}

/// The arguments of the attribute.
struct Arguments {
    path: LitStr,
    body: Option<Ident>,
    form: Option<(Form, Ident)>,
    status: Option<LitInt>,
    max_body: Option<LitStr>,
    /// The parameters in the head.
    head: Vec<InHead>,
}

/// A parameter that is a header or a cookie.
struct InHead {
    is_cookie: bool,
    /// The name of the header or the cookie.
    name: String,
    parameter: Ident,
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
    check_head(&arguments, &parsed, parameters, errors);
    if let Some((_, word)) = &arguments.form {
        if without_body {
            errors.at(word, no_body(verb, &word.to_string()));
        } else if let Some(body) = &arguments.body {
            errors.at(
                body,
                format!("`{word}` makes each parameter a field of the body: leave out `body`"),
            );
        }
    }
    let success = arguments.status.as_ref().and_then(|status| {
        let number = status.base10_parse::<u16>().ok().filter(|it| (200..400).contains(it));
        if number.is_none() {
            errors.at(
                status,
                "`status` is the status of a result, from 200 to 399, like `status = 201`; an error \
                 type determines its status by `HttpStatus`",
            );
        }
        number.filter(|number| *number != 200)
    });
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
        let in_head = arguments.head.iter().find(|it| it.parameter == name);
        if parsed.names().any(|named| named == name) {
            Place::Path
        } else if let Some(InHead { is_cookie, name, .. }) = in_head {
            if *is_cookie { Place::Cookie(name.clone()) } else { Place::Header(name.clone()) }
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
    let form = arguments.form.map(|(form, _)| form);
    Some(Endpoint { verb, path, parsed, places, form, success, max_body })
}

/// Checks the parameters that are headers or cookies.
fn check_head(arguments: &Arguments, path: &Path, parameters: &[Parameter], errors: &mut Errors) {
    for (at, InHead { name, parameter, .. }) in arguments.head.iter().enumerate() {
        let own = parameter.to_string();
        let of_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if !parameters.iter().any(|known| known.plain_name() == own) {
            errors.at(
                parameter,
                format!(
                    "`{own}`: the method has no parameter of this name{}",
                    there(&own, parameters)
                ),
            );
        } else if path.names().any(|in_path| in_path == own) {
            errors.at(parameter, format!("`{own}` is in the path already"));
        } else if arguments.body.as_ref().is_some_and(|body| *body == own) {
            errors.at(parameter, format!("`{own}` is the body already"));
        } else if arguments.head[..at].iter().any(|other| other.parameter == own) {
            errors.at(parameter, format!("`{own}` is given twice"));
        } else if name.is_empty() || !name.bytes().all(of_token) {
            errors.at(
                parameter,
                format!(
                    "{name:?} is not the name of a header or a cookie: write it as clients send it"
                ),
            );
        }
    }
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
        let mut arguments = Arguments {
            path: input.parse().map_err(|_| usage())?,
            body: None,
            form: None,
            status: None,
            max_body: None,
            head: Vec::new(),
        };
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let name: Ident = input.parse()?;
            arguments.read(&name, input)?;
        }
        Ok(arguments)
    };
    parser.parse2(tokens)
}

/// The names of the options.
const OPTIONS: [&str; 7] = ["body", "cookie", "form", "header", "max_body", "multipart", "status"];

impl Arguments {
    /// Reads the option of this name.
    fn read(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        let text = name.to_string();
        let twice = match text.as_str() {
            "body" => self.body.is_some(),
            "max_body" => self.max_body.is_some(),
            "status" => self.status.is_some(),
            "form" | "multipart" => self.form.is_some(),
            _ => false,
        };
        if twice {
            let message = match &self.form {
                Some((_, other)) if *other != text && ["form", "multipart"].contains(&&*text) => {
                    format!("the body is `{other}` already")
                }
                _ => format!("`{name}` is given twice"),
            };
            return Err(syn::Error::new(name.span(), message));
        }
        match text.as_str() {
            "form" => self.form = Some((Form::Form, name.clone())),
            "multipart" => self.form = Some((Form::Multipart, name.clone())),
            "header" | "cookie" => {
                let is_cookie = text == "cookie";
                let given = if input.peek(token::Paren) {
                    let content;
                    syn::parenthesized!(content in input);
                    Some(content.parse::<LitStr>()?.value())
                } else {
                    None
                };
                input.parse::<Token![=]>()?;
                let parameter: Ident = input.parse()?;
                let name = match given {
                    Some(name) if is_cookie => name,
                    Some(name) => name.to_lowercase(),
                    None if is_cookie => parameter.unraw().to_string(),
                    None => parameter.unraw().to_string().replace('_', "-").to_lowercase(),
                };
                self.head.push(InHead { is_cookie, name, parameter: parameter.unraw() });
            }
            "body" => {
                input.parse::<Token![=]>()?;
                self.body = Some(input.parse()?);
            }
            "max_body" => {
                input.parse::<Token![=]>()?;
                self.max_body = Some(input.parse()?);
            }
            "status" => {
                input.parse::<Token![=]>()?;
                self.status = Some(input.parse()?);
            }
            unknown => {
                let near = spelling::did_you_mean(unknown, OPTIONS);
                let options = spelling::all_of(OPTIONS);
                return Err(syn::Error::new(
                    name.span(),
                    format!("unknown option `{unknown}`{near}; the options are {options}"),
                ));
            }
        }
        Ok(())
    }
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
                Place::Header(name) => quote! { Header = #name },
                Place::Cookie(name) => quote! { Cookie = #name },
            };
            let ty = &parameter.ty;
            quote! { #place #ty }
        });
        quote! { #(#parameters),* }
    }
}
