//! `#[handle]`: the methods of a handle, `bind`, and the mock.
//!
//! | module | owns |
//! |---|---|
//! | `model` | the block as plain data |
//! | `read` | from syntax to the model, and what is wrong with it |
//! | `methods`, `batch` | each method as a type, and how it runs |
//! | `checks` | the bounds of what crosses the handle |
//! | `stubs`, `mocks`, `bind` | what the user calls |
//! | `interface` | what the runtime knows of the block |

mod batch;
mod bind;
mod checks;
mod interface;
mod methods;
mod mocks;
mod model;
mod read;
mod stubs;

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
        "`#[{name}]` marks a method of an `impl` block that is marked `#[handle]`; put `#[handle]` \
         on the block"
    );
    let error = syn::Error::new(Span::call_site(), message).into_compile_error();
    quote! { #item #error }
}

fn generate(model: &Model) -> TokenStream {
    let owner = &model.owner;
    let (handle, mock) = (model.beside("Handle"), model.beside("Mock"));
    let methods = model.methods.iter().enumerate();
    let methods = methods.map(|(index, method)| methods::items(index, method, model));
    let checks = model.methods.iter().map(|method| checks::of(method, model));
    let stubs = model.methods.iter().map(|method| stubs::method(method, model));
    let mocks = model.methods.iter().map(|method| mocks::method(method, model));
    let (cell, handlers) = (interface::cell(model), interface::handlers(model));
    let user_config = interface::user_config(model);
    let bind = bind::all(model);
    quote! {
        const _: () = {
            #(#checks)*

            #cell

            #(#methods)*

            #user_config

            #handlers

            #[allow(dead_code, unreachable_pub, clippy::all, clippy::pedantic, reason = "what the user calls of it is the user's choice")]
            impl #handle {
                #(#stubs)*
            }

            #[allow(dead_code, unreachable_pub, clippy::all, clippy::pedantic, reason = "mocks are for tests")]
            impl #mock {
                #(#mocks)*
            }

            #[allow(dead_code, deprecated, unreachable_pub, clippy::all, clippy::pedantic, reason = "bound only where it is deployed")]
            impl #owner {
                #bind
            }
        };
    }
}
