//! `#[handle]`: the methods of a handle, `bind`, and the mock.
//!
//! | module | owns |
//! |---|---|
//! | `model` | the block as plain data |
//! | `read` | from syntax to the model, and what is wrong with it |
//! | `methods`, `batch` | each method: its types, how it runs, its stub and its mock |
//! | `socket` | methods with a WebSocket, which are not methods of the handle |
//! | `bind` | `bind`, for each constructor |
//! | `handlers` | the runtime's interface to the block |
//!
//! The code that is the same for every block is in `serve-core/src/macros/`, in hidden
//! `macro_rules!`, whose grammar is described there.

mod batch;
mod bind;
mod handlers;
mod methods;
mod model;
mod read;
mod socket;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::{Parse, Parser};

use self::model::Model;
use crate::block::Block;
use crate::errors::Errors;
use crate::options;

pub(crate) fn expand(options: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let krate = options::crate_path(options, &mut errors);
    let block = match Block::parse.parse2(item.clone()) {
        Ok(block) => block,
        Err(error) => {
            errors.push(syn::Error::new(
                error.span(),
                format!("`#[handle]` goes on the `impl` block of a deployment: {error}"),
            ));
            let errors = errors.into_tokens();
            return quote! { #item #errors };
        }
    };
    let cleaned = &block.cleaned;
    let generated = read::block(&block, krate, &mut errors).map(|model| generate(&model));
    let errors = errors.into_tokens();
    quote! { #cleaned #generated #errors }
}

/// Generates the error of a marker outside of a `#[handle]` block.
pub(crate) fn outside(name: &str, item: &TokenStream) -> TokenStream {
    let message = format!(
        "`#[{name}]` works only on a method of an `impl` block with `#[handle]`: put `#[handle]` on the \
         block"
    );
    let error = syn::Error::new(Span::call_site(), message).into_compile_error();
    quote! { #item #error }
}

fn generate(model: &Model) -> TokenStream {
    let (krate, private) = (&model.krate, model.private());
    let (cell, user_config) = (handlers::cell(model), handlers::user_config(model));
    let (handlers, methods) = (handlers::handlers(model), methods::all(model));
    let sockets = socket::all(model);
    let bind = (!model.bind_exists).then(|| bind::all(model));
    quote! {
        const _: () = {
            use #krate::__private as #private;
            #cell
            #user_config
            #handlers
            #methods
            #sockets
            #bind
        };
    }
}
