//! `#[deployment]`: reads a struct's name and options, and generates its handle.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, Generics, Ident, Path, Token, Visibility};

use crate::autoscaling;
use crate::cfg::Cfg;
use crate::errors::Errors;
use crate::options::{self, Entry, Value};
use crate::signature;
use crate::spelling;

/// The options of `#[deployment]`.
pub(crate) const OPTIONS: [&str; 22] = [
    "name",
    "num_replicas",
    "max_ongoing_requests",
    "max_queued_requests",
    "request_timeout",
    "num_cpus",
    "num_gpus",
    "memory",
    "resources",
    "autoscaling",
    "health_check_period",
    "health_check_timeout",
    "graceful_shutdown_timeout",
    "max_constructor_retry_count",
    "max_replicas_per_node",
    "rolling_update_percentage",
    "max_surge_percent",
    "request_router",
    "local",
    "crate",
    // These are refused with a note: they are set on `Bound`, where they can be any value.
    "user_config",
    "autoscaling_policy",
];

/// The head of a struct, whose fields are not parsed.
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
                "`#[deployment]` goes on a struct, whose fields are the state of each replica",
            ));
        }
        input.parse::<Token![struct]>()?;
        let head = Self { attributes, visibility, name: input.parse()?, generics: input.parse()? };
        input.parse::<TokenStream>()?;
        Ok(head)
    }
}

/// The parsed options.
struct Options {
    krate: Path,
    local: bool,
    name: Option<String>,
    /// True if both `num_replicas = "auto"` and `autoscaling(..)` are given: `autoscaling` then
    /// starts from the values of `"auto"`.
    auto: bool,
    settings: TokenStream,
}

pub(crate) fn expand(options: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = read(options, &mut errors);
    let generated = match Head::parse.parse2(item.clone()) {
        Ok(head) => match signature::parameters_of_a_deployment(&head.generics) {
            None => match second(&head) {
                None => generate(&head, &options),
                Some(second) => {
                    errors.at(second, "`#[deployment]` is given twice: leave one out");
                    TokenStream::new()
                }
            },
            Some(message) => {
                errors.at(&head.generics, message);
                TokenStream::new()
            }
        },
        Err(error) => {
            errors.push(error);
            TokenStream::new()
        }
    };
    let errors = errors.into_tokens();
    quote! { #item #generated #errors }
}

/// Returns another `#[deployment]` of the same struct.
fn second(head: &Head) -> Option<&Attribute> {
    head.attributes.iter().find(|attribute| {
        attribute.path().segments.last().is_some_and(|last| last.ident == "deployment")
    })
}

fn read(tokens: TokenStream, errors: &mut Errors) -> Options {
    let mut options = Options {
        krate: options::default_crate(),
        local: false,
        name: None,
        auto: false,
        settings: TokenStream::new(),
    };
    let entries = options::entries(tokens, errors);
    // Read first, because the code generated for the other options uses it.
    for entry in &entries {
        if let Value::Crate(path) = &entry.value {
            options.krate = path.clone();
        }
    }
    let has = |option: &str| entries.iter().find(|entry| entry.name == option);
    if let (Some(fixed), Some(autoscaling)) = (has("num_replicas"), has("autoscaling")) {
        if is_auto(fixed) {
            options.auto = true;
        } else {
            errors.at(
                &autoscaling.name,
                "`num_replicas` and `autoscaling` cannot be combined: leave one out (the number of \
                 replicas at first is `initial_replicas` of `autoscaling`)",
            );
        }
    }
    for entry in &entries {
        if let Err(error) = read_one(entry, &mut options) {
            errors.push(or_on_bound(entry, error));
        }
    }
    options
}

fn is_auto(num_replicas: &Entry) -> bool {
    num_replicas.value.word().as_deref() == Some("auto")
}

/// Adds a note to the error of a computed value: such a value belongs on `Bound`.
fn or_on_bound(Entry { name, value }: &Entry, error: syn::Error) -> syn::Error {
    if !value.is_computed()
        || !OPTIONS.iter().any(|option| name == option)
        || name == "request_router"
    {
        return error;
    }
    let message =
        format!("{error}; set a computed value on the result of `bind`: `X::bind(..).{name}(..)`");
    syn::Error::new(error.span(), message)
}

fn read_one(Entry { name, value }: &Entry, options: &mut Options) -> syn::Result<()> {
    let option = name.to_string();
    let error = |message: String| Err(syn::Error::new(name.span(), message));
    let krate = options.krate.clone();
    let setting = match option.as_str() {
        "crate" => {
            let Value::Crate(_) = value else {
                return error(
                    "`crate` takes a path, like `crate = my_crate::serve_core`".to_owned(),
                );
            };
            return Ok(());
        }
        "local" => {
            let Value::Nothing = value else {
                return value.fault(name, "`local` takes no value: write `local`, or leave it out");
            };
            options.local = true;
            return Ok(());
        }
        "name" => {
            let text = value.text(name)?;
            if text.is_empty() || text.contains('#') {
                return value
                    .fault(name, "a deployment's name must not be empty and must not contain `#`");
            }
            options.name = Some(text);
            return Ok(());
        }
        "resources" => {
            for Entry { name, value } in nested(name, value, "resources(tpu = 1.0)")? {
                let (resource, amount) = (name.to_string(), value.number(&name)?);
                options.settings.extend(quote! {
                    options.resources.insert(::std::string::String::from(#resource), #amount);
                });
            }
            return Ok(());
        }
        "request_router" => {
            let routing = routing(name, value, &krate)?;
            quote! { #routing }
        }
        "autoscaling" => autoscaling::read(name, value, &krate, options.auto)?,
        // `autoscaling(..)` starts from the values of `"auto"`.
        "num_replicas" if options.auto => return Ok(()),
        "num_replicas" if value.word().as_deref() == Some("auto") => {
            options.settings.extend(quote! {
                options.autoscaling =
                    ::core::option::Option::Some(#krate::__private::AutoscalingConfig::auto());
            });
            return Ok(());
        }
        "num_replicas" => match value.count(name, 1) {
            Ok(count) => quote! { #count },
            Err(error) => {
                return Err(syn::Error::new(error.span(), format!("{error}, or `\"auto\"`")));
            }
        },
        "max_ongoing_requests" | "max_replicas_per_node" | "max_constructor_retry_count" => {
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
        "num_gpus" => {
            let number = value.number_where(
                name,
                |gpus| gpus <= 1.0 || gpus.fract() == 0.0,
                "a whole number of GPUs, or a fraction of one GPU between 0 and 1",
                "0.5",
            )?;
            quote! { #number }
        }
        "rolling_update_percentage" => {
            let number = value.number_where(
                name,
                |part| part > 0.0 && part <= 1.0,
                "a fraction of the replicas, above 0 and at most 1",
                "0.2",
            )?;
            quote! { #number }
        }
        "max_surge_percent" => {
            let number = value.number_where(
                name,
                |percent| percent <= 100.0,
                "a percentage, from 0 to 100",
                "25",
            )?;
            quote! { #number }
        }
        "memory" => {
            let bytes = value.size(name)?;
            quote! { #bytes }
        }
        "request_timeout" | "graceful_shutdown_timeout" => duration(value.duration(name)?),
        "health_check_period" | "health_check_timeout" => duration(value.some_time(name, "10s")?),
        "user_config" | "autoscaling_policy" => {
            return error(format!(
                "`{option}` is set on the result of `bind`: `X::bind(..).{option}(..)`"
            ));
        }
        unknown if autoscaling::OPTIONS.contains(&unknown) => {
            return error(format!(
                "`{unknown}` is an option of `autoscaling`: `autoscaling({unknown} = ..)`"
            ));
        }
        unknown => {
            let near = spelling::did_you_mean(unknown, OPTIONS);
            return error(format!(
                "unknown option `{unknown}`{near}; the options are {}",
                spelling::all_of(OPTIONS.into_iter().take(20))
            ));
        }
    };
    options.settings.extend(quote! { options.#name = ::core::option::Option::Some(#setting); });
    Ok(())
}

/// Returns the entries of `name(..)`.
pub(crate) fn nested(name: &Ident, value: &Value, example: &str) -> syn::Result<Vec<Entry>> {
    let Value::List(list) = value else {
        return Err(syn::Error::new(
            name.span(),
            format!("`{name}` takes a list, like `{example}`"),
        ));
    };
    let mut errors = Errors::default();
    let entries = options::entries(list.clone(), &mut errors);
    match errors.into_first() {
        Some(error) => Err(error),
        None => Ok(entries),
    }
}

/// Returns a duration as an expression.
pub(crate) fn duration(duration: std::time::Duration) -> TokenStream {
    let (secs, nanos) = (duration.as_secs(), duration.subsec_nanos());
    quote! { ::core::time::Duration::new(#secs, #nanos) }
}

/// The words that `request_router` takes.
const ROUTERS: [&str; 3] = ["power_of_two_choices", "round_robin", "consistent_hash"];
const ROUTING: &str = "`power_of_two_choices`, `round_robin`, `consistent_hash`, or a type that \
                       implements `RequestRouter`";

/// Returns the request router as an expression: a built-in one by its name, or a custom type.
fn routing(name: &Ident, value: &Value, krate: &Path) -> syn::Result<TokenStream> {
    let routing = quote! { #krate::__private::RequestRouting };
    Ok(match value.word().as_deref() {
        Some("power_of_two_choices") => quote! { #routing::PowerOfTwoChoices },
        Some("round_robin") => quote! { #routing::RoundRobin },
        Some("consistent_hash") => quote! { #routing::ConsistentHash },
        // A type's name begins with a capital letter.
        Some(word) if word.starts_with(char::is_lowercase) => {
            let near = spelling::did_you_mean(word, ROUTERS);
            return value.fault(
                name,
                format_args!("there is no request router `{word}`{near}; `{name}` takes {ROUTING}"),
            );
        }
        _ => {
            let path = value.path(name, ROUTING)?;
            // The span is that of the type, where the compiler reports one that is not a router.
            quote_spanned! { path.span() => #routing::custom::<#path>() }
        }
    })
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
    let handle_doc = format!(" Typed handle of the [`{name}`] deployment. Cheap to clone.");
    let mock_doc = format!(" Answers in place of the methods of [`{name}`], for a mock runtime.");
    // The span is that of the struct's name, where the compiler reports an instance that cannot be
    // sent to another thread, and a missing `#[handle]`.
    let private = signature::respan(quote! { #krate::__private }, name.span());
    let items = quote! {
        #krate::__deployment_items! { #handle, #text, #locality, { #settings } }
    };
    let mock_items = quote! { #krate::__mock_items! { #name } };
    let deployment = quote_spanned! { name.span() =>
        impl #private::Deployment for #name { #items }
        impl #private::IntoMock for #mock {
            type Deployment = #name;
            #mock_items
        }
    };
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
        const _: () = { #deployment };

        #cfg
        #krate::__deployment! { #name, #handle, #mock }
    }
}
