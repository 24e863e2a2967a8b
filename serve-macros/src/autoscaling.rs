//! `autoscaling(...)`, the options that make a deployment's number of replicas follow its load.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, Path};

use crate::options::{Entry, Value};
use crate::spelling;

/// The options of `autoscaling(...)`.
pub(crate) const OPTIONS: [&str; 11] = [
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

/// The upper bound of `num_replicas = "auto"`.
const MAX_OF_AUTO: usize = 100;

/// Returns the config as an expression. If `auto` is true, the config starts from the values of
/// `num_replicas = "auto"`.
pub(crate) fn read(
    name: &Ident,
    value: &Value,
    krate: &Path,
    auto: bool,
) -> syn::Result<TokenStream> {
    let entries = crate::deployment::nested(name, value, EXAMPLE)?;
    let base = format_ident!("{}", if auto { "auto" } else { "new" });
    let config = quote! { #krate::__private::AutoscalingConfig::#base() };
    let mut setters = Vec::new();
    let mut faults: Option<syn::Error> = None;
    for entry in &entries {
        match setter(entry, krate) {
            Ok(setter) => setters.push(setter),
            Err(error) => match &mut faults {
                Some(faults) => faults.combine(error),
                None => faults = Some(error),
            },
        }
    }
    if let Some(faults) = faults {
        return Err(faults);
    }
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
            let number =
                value.number_where(name, |number| number > 0.0, "a number above 0", "2.0")?;
            quote! { #number }
        }
        "upscale_delay" | "downscale_delay" | "downscale_to_zero_delay" => {
            crate::deployment::duration(value.duration(name)?)
        }
        "look_back_period" => crate::deployment::duration(value.some_time(name, "30s")?),
        "aggregation" => {
            let variant = match value.word().as_deref() {
                Some("mean") => "Mean",
                Some("min") => "Min",
                Some("max") => "Max",
                _ => return value.expected(name, "`mean`, `min` or `max`"),
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

/// Returns an error for bounds that allow no number of replicas.
fn check_bounds(name: &Ident, entries: &[Entry], unless_given: usize) -> syn::Result<()> {
    let given = |option: &str| {
        let entry = entries.iter().find(|entry| entry.name == option)?;
        entry.value.count(&entry.name, 0).ok()
    };
    let min = given("min_replicas").unwrap_or(1);
    let max = given("max_replicas").unwrap_or(unless_given);
    let at = |option: &str| {
        let entry = entries.iter().find(|entry| entry.name == option);
        entry.map_or_else(|| name.span(), |entry| entry.value.span(&entry.name))
    };
    let stated = |option: &str, value: usize| {
        let unless_set = if given(option).is_some() { "" } else { " unless set" };
        format!("`{option}` is {value}{unless_set}")
    };
    if min > max {
        let (low, high) = (stated("min_replicas", min), stated("max_replicas", max));
        return Err(syn::Error::new(
            at("min_replicas"),
            format!("{low}, but {high}: write `max_replicas = {min}` or more"),
        ));
    }
    match given("initial_replicas") {
        Some(initial) if !(min..=max).contains(&initial) => Err(syn::Error::new(
            at("initial_replicas"),
            format!(
                "`initial_replicas` is {initial}, but must be from {min} (`min_replicas`) to {max} \
                 (`max_replicas`)"
            ),
        )),
        _ => Ok(()),
    }
}
