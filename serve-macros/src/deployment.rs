//! `#[deployment]`: a struct's name and options, and its handle.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Generics, Ident, Path, Token, Visibility};

use crate::cfg::Cfg;
use crate::errors::Errors;
use crate::options::{self, Entry, Value};
use crate::spelling;

/// Options that have an effect.
const BUILT: [&str; 10] = [
    "name",
    "num_replicas",
    "max_ongoing_requests",
    "max_queued_requests",
    "request_timeout",
    "num_cpus",
    "graceful_shutdown_timeout",
    "request_router",
    "local",
    "crate",
];

/// Options that are known and have none yet.
const NOT_BUILT: [&str; 10] = [
    "num_gpus",
    "memory",
    "resources",
    "autoscaling",
    "health_check_period",
    "health_check_timeout",
    "max_constructor_retry_count",
    "max_replicas_per_node",
    "rolling_update_percentage",
    "max_surge_percent",
];

/// A struct's head; the rest is not read.
struct Head {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    name: Ident,
    generics: Generics,
}

impl Parse for Head {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !input.peek(Token![struct]) {
            return Err(input.error(
                "`#[deployment]` goes on a struct: its fields are what each replica holds",
            ));
        }
        input.parse::<Token![struct]>()?;
        let head = Self { attributes, visibility, name: input.parse()?, generics: input.parse()? };
        input.parse::<TokenStream>()?;
        Ok(head)
    }
}

/// What the options say.
struct Options {
    krate: Path,
    local: bool,
    name: Option<String>,
    settings: TokenStream,
}

pub(crate) fn expand(options: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = read(options, &mut errors);
    let generated = match Head::parse.parse2(item.clone()) {
        Ok(head) if head.generics.params.is_empty() => generate(&head, &options),
        Ok(head) => {
            errors.at(
                &head.generics,
                "a deployment has no generic parameters, because its replicas are started by name; \
                 wrap the types you need: `struct ScorerOfDogs(Scorer<Dog>);`",
            );
            TokenStream::new()
        }
        Err(error) => {
            errors.push(error);
            TokenStream::new()
        }
    };
    let errors = errors.into_tokens();
    quote! { #item #generated #errors }
}

fn read(tokens: TokenStream, errors: &mut Errors) -> Options {
    let mut options = Options {
        krate: options::default_crate(),
        local: false,
        name: None,
        settings: TokenStream::new(),
    };
    for entry in options::entries(tokens, errors) {
        if let Err(error) = read_one(&entry, &mut options) {
            errors.push(error);
        }
    }
    options
}

fn read_one(Entry { name, value }: &Entry, options: &mut Options) -> syn::Result<()> {
    let option = name.to_string();
    let error = |message: String| Err(syn::Error::new(name.span(), message));
    let not_built =
        || error(format!("`{option}` is not built yet in this version of Serve; leave it out"));
    let setting = match option.as_str() {
        "crate" => {
            let Value::Crate(path) = value else { return error("`crate` takes a path".to_owned()) };
            options.krate = path.clone();
            return Ok(());
        }
        "local" => {
            let Value::Nothing = value else { return error("`local` takes no value".to_owned()) };
            options.local = true;
            return Ok(());
        }
        "name" => {
            let text = value.text(name)?;
            if text.is_empty() || text.contains('#') {
                return error("a deployment's name is not empty and has no `#`".to_owned());
            }
            options.name = Some(text);
            return Ok(());
        }
        "request_router" => {
            return match value.word().as_deref() {
                Some("power_of_two_choices") => Ok(()),
                Some(other) => error(format!(
                    "the router `{other}` is not built yet in this version of Serve; leave \
                     `request_router` out for `power_of_two_choices`"
                )),
                None => {
                    error("`request_router` takes a name, like `power_of_two_choices`".to_owned())
                }
            };
        }
        "num_replicas" if value.word().as_deref() == Some("auto") => return not_built(),
        "num_replicas" | "max_ongoing_requests" => {
            let count = value.count(name, 1)?;
            quote! { #count }
        }
        "max_queued_requests" => {
            let count = value.count(name, 0)?;
            quote! { #count }
        }
        "num_cpus" => {
            let number = value.number(name)?;
            quote! { #number }
        }
        "request_timeout" | "graceful_shutdown_timeout" => {
            let duration = value.duration(name)?;
            let (secs, nanos) = (duration.as_secs(), duration.subsec_nanos());
            quote! { ::core::time::Duration::new(#secs, #nanos) }
        }
        known if NOT_BUILT.contains(&known) => return not_built(),
        unknown => {
            let all = || BUILT.iter().chain(&NOT_BUILT).copied();
            let near = spelling::did_you_mean(unknown, all());
            return error(format!(
                "unknown option `{unknown}`{near}; the options are {}",
                spelling::all_of(BUILT)
            ));
        }
    };
    options.settings.extend(quote! { options.#name = ::core::option::Option::Some(#setting); });
    Ok(())
}

fn generate(head: &Head, options: &Options) -> TokenStream {
    let Head { attributes, visibility, name, .. } = head;
    let Options { krate, local, settings, .. } = options;
    let cfg = Cfg::of(attributes).attribute();
    let (handle, mock) = (format_ident!("{name}Handle"), format_ident!("{name}Mock"));
    let text = options.name.clone().unwrap_or_else(|| name.to_string());
    let locality = if *local {
        quote! { InProcess }
    } else {
        quote! { Anywhere }
    };
    let handle_doc = format!("Typed handle of the [`{name}`] deployment. Cheap to clone.");
    let mock_doc = format!("Answers in place of the methods of [`{name}`], for a mock runtime.");
    quote! {
        #cfg
        #[doc = #handle_doc]
        #visibility struct #handle {
            inner: #krate::__private::Handle<#name>,
        }

        #cfg
        #[doc = #mock_doc]
        #[allow(dead_code, reason = "mocks are for tests")]
        #visibility struct #mock {
            mock: #krate::__private::Mock<#name>,
        }

        #cfg
        #krate::__deployment! {
            #krate, #name, #handle, #mock, #text, #locality, { #settings }
        }
    }
}
