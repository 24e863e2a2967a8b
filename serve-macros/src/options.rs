//! The `name = value` lists of attributes, and their values.

use std::fmt::Display;
use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, ExprUnary, Ident, Lit, Path, Token, UnOp};

use crate::errors::Errors;

/// An entry: `name`, `name = value` or `name(..)`.
pub(crate) struct Entry {
    pub(crate) name: Ident,
    pub(crate) value: Value,
}

/// The value of an entry.
pub(crate) enum Value {
    Nothing,
    Expr(Box<Expr>),
    Crate(Path),
    List(TokenStream),
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(Lit) {
            return Err(input.error("an option is written with its name, as `name = value`"));
        }
        let name = Ident::parse_any(input)?;
        if input.peek(Token![:]) {
            return Err(input.error(format!("write `{name} = ..`, with `=`")));
        }
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            if name == "crate" {
                Value::Crate(input.call(Path::parse_mod_style)?)
            } else {
                Value::Expr(input.parse()?)
            }
        } else if input.peek(syn::token::Paren) {
            let list;
            syn::parenthesized!(list in input);
            Value::List(list.parse()?)
        } else {
            Value::Nothing
        };
        Ok(Self { name, value })
    }
}

/// Parses the entries of a list. If the list cannot be parsed, the error is added to `errors` and
/// the list is empty.
pub(crate) fn entries(tokens: TokenStream, errors: &mut Errors) -> Vec<Entry> {
    let parser = Punctuated::<Entry, Token![,]>::parse_terminated;
    let entries: Vec<Entry> = match parser.parse2(tokens) {
        Ok(entries) => entries.into_iter().collect(),
        Err(error) => {
            errors.push(error);
            return Vec::new();
        }
    };
    let mut seen: Vec<String> = Vec::new();
    for entry in &entries {
        let name = entry.name.to_string();
        if seen.contains(&name) {
            errors.at(&entry.name, format!("`{name}` is given twice"));
        }
        seen.push(name);
    }
    entries
}

/// Returns the path of `serve_core` from a macro's options, for macros with no other option.
pub(crate) fn crate_path(tokens: TokenStream, errors: &mut Errors) -> Path {
    let mut path = default_crate();
    for entry in entries(tokens, errors) {
        match entry.value {
            Value::Crate(given) => path = given,
            _ if crate::deployment::OPTIONS.iter().any(|option| entry.name == option) => errors.at(
                &entry.name,
                format!(
                    "`{0}` is an option of `#[deployment]`: `#[deployment({0} = ..)]`",
                    entry.name
                ),
            ),
            _ => errors.at(&entry.name, "the only option here is `crate = path::to::serve_core`"),
        }
    }
    path
}

pub(crate) fn default_crate() -> Path {
    syn::parse_quote!(::serve_core)
}

/// Parses a human-readable size and returns the number of bytes.
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(unit)
}

impl Value {
    fn literal(&self) -> Option<(bool, &Lit)> {
        match self {
            Self::Expr(expr) => match &**expr {
                Expr::Lit(ExprLit { lit, .. }) => Some((false, lit)),
                Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => match &**expr {
                    Expr::Lit(ExprLit { lit, .. }) => Some((true, lit)),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the span of the value, or of the entry's name if there is no value.
    pub(crate) fn span(&self, name: &Ident) -> Span {
        match self {
            Self::Expr(expr) => syn::spanned::Spanned::span(&**expr),
            Self::Crate(path) => syn::spanned::Spanned::span(path),
            Self::List(list) => syn::spanned::Spanned::span(list),
            Self::Nothing => name.span(),
        }
    }

    /// Returns an error at the span of the value.
    pub(crate) fn fault<T>(&self, name: &Ident, message: impl Display) -> syn::Result<T> {
        Err(syn::Error::new(self.span(name), message))
    }

    pub(crate) fn expected<T>(&self, name: &Ident, what: &str) -> syn::Result<T> {
        self.fault(name, format_args!("`{name}` takes {what}"))
    }

    /// Returns true for a value that only the running program knows, such as a constant or a call.
    pub(crate) fn is_computed(&self) -> bool {
        matches!(self, Self::Expr(_)) && self.literal().is_none()
    }

    pub(crate) fn count(&self, name: &Ident, at_least: usize) -> syn::Result<usize> {
        let what =
            format!("a whole number, at least {at_least}, like `{name} = {}`", at_least.max(1));
        match self.literal() {
            Some((false, Lit::Int(int))) => match int.base10_parse::<usize>() {
                Ok(count) if count >= at_least => Ok(count),
                _ => self.expected(name, &what),
            },
            _ => self.expected(name, &what),
        }
    }

    pub(crate) fn number(&self, name: &Ident) -> syn::Result<f64> {
        let parsed = match self.literal() {
            Some((false, Lit::Int(int))) => int.base10_parse::<f64>().ok(),
            Some((false, Lit::Float(float))) => float.base10_parse::<f64>().ok(),
            _ => None,
        };
        match parsed {
            Some(number) if number.is_finite() => Ok(number),
            _ => self.expected(name, &format!("a finite number, 0 or more, like `{name} = 0.5`")),
        }
    }

    /// Returns a number that is not negative and for which `holds` returns true. Otherwise the
    /// error states `what` is expected, with the example `like`.
    pub(crate) fn number_where(
        &self,
        name: &Ident,
        holds: impl Fn(f64) -> bool,
        what: &str,
        like: &str,
    ) -> syn::Result<f64> {
        match self.number(name) {
            Ok(number) if holds(number) => Ok(number),
            _ => self.expected(name, &format!("{what}, like `{name} = {like}`")),
        }
    }

    pub(crate) fn text(&self, name: &Ident) -> syn::Result<String> {
        match self.literal() {
            Some((false, Lit::Str(text))) => Ok(text.value()),
            _ => self.expected(name, &format!("a string, like `{name} = \"...\"`")),
        }
    }

    pub(crate) fn duration(&self, name: &Ident) -> syn::Result<Duration> {
        let what = format!("a duration, like `{name} = \"30s\"` or `\"500ms\"`");
        match self.literal() {
            Some((false, Lit::Str(text))) => match humantime::parse_duration(&text.value()) {
                Ok(duration) => Ok(duration),
                Err(error) => {
                    self.expected(name, &format!("{what}; this is not a duration: {error}"))
                }
            },
            _ => self.expected(name, &what),
        }
    }

    /// Returns a duration that is not zero.
    pub(crate) fn some_time(&self, name: &Ident, example: &str) -> syn::Result<Duration> {
        match self.duration(name)? {
            Duration::ZERO => {
                self.expected(name, &format!("a duration above 0, like `{name} = \"{example}\"`"))
            }
            duration => Ok(duration),
        }
    }

    /// Returns a path.
    pub(crate) fn path(&self, name: &Ident, what: &str) -> syn::Result<TokenStream> {
        match self {
            Self::Expr(expr) if matches!(**expr, Expr::Path(_)) => Ok(expr.to_token_stream()),
            _ => self.expected(name, what),
        }
    }

    /// Returns a size in bytes, from a human-readable text or a whole number.
    pub(crate) fn size(&self, name: &Ident) -> syn::Result<u64> {
        let parsed = match self.literal() {
            Some((false, Lit::Str(text))) => size(&text.value()),
            Some((false, Lit::Int(int))) => int.base10_parse::<u64>().ok(),
            _ => None,
        };
        let what = || {
            format!(
                "a size, like `{name} = \"2GiB\"` or `\"500MB\"`; the units are B, kB, MB, GB, TB, \
                 KiB, MiB, GiB and TiB"
            )
        };
        parsed.map_or_else(|| self.expected(name, &what()), Ok)
    }

    /// Returns a single word: an identifier, or the content of a string literal.
    pub(crate) fn word(&self) -> Option<String> {
        match self {
            Self::Expr(expr) => match &**expr {
                Expr::Path(path) => path.path.get_ident().map(ToString::to_string),
                Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(size("32MiB"), Some(32 << 20));
        assert_eq!(size("500 kB"), Some(500_000));
        assert_eq!(size("2TB"), Some(2_000_000_000_000));
        assert_eq!(size("7"), Some(7));
        assert_eq!(size("many"), None);
        assert_eq!(size("99999999999TiB"), None);
    }
}
