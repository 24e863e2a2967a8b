//! [`Model`], the parsed form of a `#[handle]` block, from which all code is generated.

use std::time::Duration;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Path, Type};

use crate::cfg::Cfg;
use crate::endpoint::Endpoint;
use crate::signature::{Parameter, Returns, Shape};

/// The parsed block.
pub(super) struct Model {
    pub(super) krate: Path,
    /// The deployment's type, as written after `impl`.
    pub(super) owner: Path,
    pub(super) methods: Vec<Method>,
    /// The `new` functions; more than one only under different conditions.
    pub(super) constructors: Vec<Constructor>,
    /// The conditions of the constructors that are faulty, for which there is no `bind`.
    pub(super) faulty_constructors: Vec<Cfg>,
    /// True if the block has a function called `bind`, so that none is generated.
    pub(super) bind_exists: bool,
    pub(super) hooks: Vec<Hook>,
    pub(super) routes: Vec<Routes>,
    pub(super) sockets: Vec<Socket>,
    /// The conditions of each `&mut self` method. If there is such a method, calls run one at
    /// a time.
    pub(super) exclusive: Vec<Cfg>,
}

/// A method of the handle.
pub(super) struct Method {
    pub(super) cfg: Cfg,
    /// The attributes that the handle's method has too, such as the user's documentation.
    pub(super) forwarded: Vec<TokenStream>,
    /// The first paragraph of the documentation.
    pub(super) doc: String,
    pub(super) name: Ident,
    pub(super) mutable: bool,
    pub(super) kind: Kind,
    pub(super) parameters: Vec<Parameter>,
    pub(super) returns: Returns,
    pub(super) endpoint: Option<Endpoint>,
    /// The options of `#[batch]`, if the method has that marker.
    pub(super) batch: Option<Batch>,
    /// The maximum number of retries after the method's replica died; 0 for none.
    pub(super) retries: usize,
}

/// The options and types of a `#[batch]` method.
pub(super) struct Batch {
    pub(super) max_batch_size: usize,
    pub(super) batch_wait_timeout: Duration,
    pub(super) max_concurrent_batches: usize,
    pub(super) batch_size_fn: Option<TokenStream>,
    /// The types of the columns that the method takes.
    pub(super) columns: Vec<TokenStream>,
    pub(super) rows: Rows,
}

/// The return type of a batched method.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// `Vec<R>`
    Values,
    /// `Vec<Result<R, E>>`
    Results,
    /// `Result<Vec<R>, E>`
    Whole,
    /// `impl Stream<Item = Vec<Option<R>>>`, or of `Vec<Option<Result<R, E>>>`
    Steps {
        /// True if an item is a `Result`.
        fallible: bool,
    },
}

/// The way in which a method's body is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An `async fn`.
    Async,
    /// A plain `fn`, on the thread that polls the call.
    Inline,
    /// A plain `fn`, on the replica's own threads.
    Blocking,
}

/// A constructor, the function `new`.
pub(super) struct Constructor {
    pub(super) cfg: Cfg,
    pub(super) name: Ident,
    pub(super) is_async: bool,
    /// True if the constructor runs on a thread of its own.
    pub(super) is_blocking: bool,
    pub(super) fallible: bool,
    /// The return type, or the name of a constructor that returns nothing.
    pub(super) returns: TokenStream,
    pub(super) parameters: Vec<Parameter>,
}

/// A method that the runtime itself calls.
pub(super) struct Hook {
    pub(super) cfg: Cfg,
    pub(super) when: When,
    pub(super) name: Ident,
    /// The return type, if the method returns anything.
    pub(super) returns: Option<Type>,
    pub(super) is_async: bool,
    pub(super) mutable: bool,
}

/// The event at which the runtime calls a hook.
pub(super) enum When {
    /// `#[check_health]`
    CheckHealth,
    /// `#[reconfigure]`, with the type of its parameter.
    Reconfigure(TokenStream),
    /// `#[shutdown]`
    Shutdown,
}

impl When {
    /// Returns the name of the hook's marker.
    pub(super) fn marker(&self) -> &'static str {
        match self {
            Self::CheckHealth => "check_health",
            Self::Reconfigure(_) => "reconfigure",
            Self::Shutdown => "shutdown",
        }
    }
}

/// A method marked `#[websocket]`.
pub(super) struct Socket {
    pub(super) cfg: Cfg,
    /// The first paragraph of the documentation.
    pub(super) doc: String,
    pub(super) name: Ident,
    /// The names of all parameters, in the order of the signature.
    pub(super) arguments: Vec<Ident>,
    /// The parameters except for the socket.
    pub(super) parameters: Vec<Parameter>,
    /// The name of the parameter that is the socket.
    pub(super) socket: Ident,
    /// The type that the socket receives.
    pub(super) receives: TokenStream,
    /// The type that the socket sends.
    pub(super) sends: TokenStream,
    /// The return type, if the method returns anything.
    pub(super) returns: Option<Type>,
    pub(super) endpoint: Endpoint,
}

impl Socket {
    /// Returns the name of the empty type that represents the method.
    pub(super) fn marker(&self) -> Ident {
        format_ident!("__ServeSocket_{}", self.name)
    }
}

/// The method marked `#[routes]`.
pub(super) struct Routes {
    pub(super) cfg: Cfg,
    pub(super) name: Ident,
}

impl Model {
    /// Returns the last segment of the path of the deployment's type.
    pub(super) fn name(&self) -> &Ident {
        let last = self.owner.segments.last();
        &last.expect("`read` takes only a type with a name").ident
    }

    /// Returns the path of `XHandle` or `XMock`, beside the deployment.
    pub(super) fn beside(&self, suffix: &str) -> Path {
        let mut path = self.owner.clone();
        let last = path.segments.last_mut().expect("`read` takes only a type with a name");
        last.ident = format_ident!("{}{suffix}", last.ident);
        path
    }

    /// Returns the name that the private module of the core has inside the generated code.
    #[expect(clippy::unused_self, reason = "a block has one such name")]
    pub(super) fn private(&self) -> TokenStream {
        quote! { __serve }
    }

    /// Returns the deployment's type for the call of a function, which the compiler shows at `span`.
    pub(super) fn owner_at(&self, span: Span) -> TokenStream {
        crate::signature::shown_at(self.owner.to_token_stream(), span)
    }

    /// Returns the same path with a span of the user's code, so that the compiler points there.
    pub(super) fn private_at(&self, span: Span) -> TokenStream {
        crate::signature::respan(self.private(), span)
    }
}

impl Method {
    /// Returns the name of the empty type that represents the method.
    pub(super) fn marker(&self) -> Ident {
        format_ident!("__Serve_{}", self.name)
    }

    pub(super) fn streams(&self) -> bool {
        self.returns.shape != Shape::Value
    }

    /// Returns `One`, or `Many` for a method that returns a stream.
    pub(super) fn shape(&self) -> Ident {
        format_ident!("{}", if self.streams() { "Many" } else { "One" })
    }

    /// Returns `(Ok, Err)`, or `(Ok)` if the method cannot fail.
    pub(super) fn result(&self) -> TokenStream {
        let ok = &self.returns.ok;
        let err = self.returns.err.as_ref().map(|err| quote! { , #err });
        quote! { (#ok #err) }
    }

    /// Returns the return type of the handle's method.
    pub(super) fn response(&self, private: &TokenStream) -> TokenStream {
        let response = if self.streams() {
            quote! { ResponseStream }
        } else {
            quote! { Response }
        };
        let ok = &self.returns.ok;
        let err = self.returns.err.as_ref().map(|err| quote! { , #err });
        quote_spanned! { ok.span() => #private::#response<#ok #err> }
    }

    /// Returns the name of the function that turns what the method returns into the result of its
    /// call: one value, or each item of a stream.
    pub(super) fn turn(&self) -> Ident {
        let fallible = match self.returns.shape {
            Shape::Value => self.returns.err.is_some(),
            Shape::Stream { item_result, .. } => item_result,
        };
        Ident::new(if fallible { "fallible" } else { "infallible" }, self.name.span())
    }

    pub(super) fn parameter_names(&self) -> Vec<&Ident> {
        self.parameters.iter().map(|parameter| &parameter.name).collect()
    }

    pub(super) fn parameter_types(&self) -> Vec<&TokenStream> {
        self.parameters.iter().map(|parameter| &parameter.ty).collect()
    }

    /// All its types, to look for names in.
    pub(super) fn types(&self) -> TokenStream {
        let (types, whole) = (self.parameter_types(), &self.returns.whole);
        quote! { #(#types)* #whole }
    }
}

impl Constructor {
    /// All its types, to look for names in.
    pub(super) fn types(&self) -> TokenStream {
        self.parameters.iter().map(|parameter| parameter.ty.to_token_stream()).collect()
    }
}
