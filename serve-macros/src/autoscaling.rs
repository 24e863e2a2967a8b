//! `autoscaling(...)`: how a deployment's number of replicas follows its load.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, Path};

use crate::options::{Entry, Value};
use crate::spelling;

/// What `autoscaling(...)` takes.
const OPTIONS: [&str; 11] = [
    "min_replicas",
    "max_replicas",
    "initial_replicas",
    "target_ongoing_requests",
    "upscale_delay",
    "downscale_delay",
    "downscale_to_zero_delay",
    "upscaling_factor",
    "downscaling_factor",
    "look_back_period",
    "aggregation",
];

const EXAMPLE: &str = "autoscaling(min_replicas = 1, max_replicas = 10)";

/// The upper bound that `num_replicas = "auto"` means.
const MAX_OF_AUTO: usize = 100;

/// The config as an expression; on top of what `num_replicas = "auto"` means, if `auto`.
pub(crate) fn read(
    name: &Ident,
    value: &Value,
    krate: &Path,
    auto: bool,
) -> syn::Result<TokenStream> {
    let entries = crate::deployment::nested(name, value, EXAMPLE)?;
    let base = format_ident!("{}", if auto { "auto" } else { "new" });
    let config = quote! { #krate::__private::AutoscalingConfig::#base() };
    let setters: Vec<TokenStream> =
        entries.iter().map(|entry| setter(entry, krate)).collect::<syn::Result<_>>()?;
    check_bounds(name, &entries, if auto { MAX_OF_AUTO } else { 1 })?;
    Ok(quote! { #config #(#setters)* })
}

fn setter(Entry { name, value }: &Entry, krate: &Path) -> syn::Result<TokenStream> {
    let option = name.to_string();
    let argument = match option.as_str() {
        "min_replicas" | "initial_replicas" => {
            let count = value.count(name, 0)?;
            quote! { #count }
        }
        "max_replicas" => {
            let count = value.count(name, 1)?;
            quote! { #count }
        }
        "target_ongoing_requests" | "upscaling_factor" | "downscaling_factor" => {
            let number = value.number_where(name, |number| number > 0.0, "a number above 0")?;
            quote! { #number }
        }
        "upscale_delay" | "downscale_delay" | "downscale_to_zero_delay" => {
            crate::deployment::duration(value.duration(name)?)
        }
        "look_back_period" => {
            let period = value.duration(name)?;
            if period.is_zero() {
                return Err(syn::Error::new(
                    name.span(),
                    "`look_back_period` is more than nothing, like `look_back_period = \"30s\"`",
                ));
            }
            crate::deployment::duration(period)
        }
        "aggregation" => {
            let variant = match value.word().as_deref() {
                Some("mean") => "Mean",
                Some("min") => "Min",
                Some("max") => "Max",
                _ => {
                    return Err(syn::Error::new(
                        name.span(),
                        "`aggregation` takes `mean`, `min` or `max`",
                    ));
                }
            };
            let variant = format_ident!("{variant}");
            quote! { #krate::__private::Aggregation::#variant }
        }
        unknown => {
            let near = spelling::did_you_mean(unknown, OPTIONS);
            return Err(syn::Error::new(
                name.span(),
                format!(
                    "unknown option `{unknown}`{near}; the options of `autoscaling` are {}",
                    spelling::all_of(OPTIONS)
                ),
            ));
        }
    };
    Ok(quote! { .#name(#argument) })
}

/// Refuses bounds that leave no number.
fn check_bounds(name: &Ident, entries: &[Entry], unless_given: usize) -> syn::Result<()> {
    let given = |option: &str| {
        let entry = entries.iter().find(|entry| entry.name == option)?;
        entry.value.count(&entry.name, 0).ok()
    };
    let min = given("min_replicas").unwrap_or(1);
    let max = given("max_replicas").unwrap_or(unless_given);
    let at = |option: &str| {
        let entry = entries.iter().find(|entry| entry.name == option);
        entry.map_or(name, |entry| &entry.name).span()
    };
    if min > max {
        return Err(syn::Error::new(
            at("min_replicas"),
            format!("`min_replicas` is {min} and `max_replicas` is {max}: raise `max_replicas`"),
        ));
    }
    match given("initial_replicas") {
        Some(initial) if !(min..=max).contains(&initial) => Err(syn::Error::new(
            at("initial_replicas"),
            format!("`initial_replicas` is {initial}: give a number from {min} to {max}"),
        )),
        _ => Ok(()),
    }
}
