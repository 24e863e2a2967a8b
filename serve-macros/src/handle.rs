//! `#[handle]`: the methods of a handle, `bind`, and the mock.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::{Parse, Parser};
use syn::spanned::Spanned;
use syn::{
    Attribute, FnArg, Ident, Path, Receiver, ReceiverKind, Safety, Signature, Type, Visibility,
};

use crate::block::{Block, Function};
use crate::cfg::Cfg;
use crate::endpoint::{self, Endpoint};
use crate::errors::Errors;
use crate::options;
use crate::signature::{self, Parameter, Returns, Shape};

/// A method of the handle.
struct Method {
    cfg: Cfg,
    /// The user's documentation and the like, for the handle's method.
    forwarded: Vec<Attribute>,
    doc: String,
    name: Ident,
    span: Span,
    is_async: bool,
    mutable: bool,
    blocking: bool,
    parameters: Vec<Parameter>,
    returns: Returns,
    endpoint: Option<Endpoint>,
}

/// The block, as it is understood.
struct Model {
    krate: Path,
    owner: Ident,
    methods: Vec<Method>,
    constructor: Option<Constructor>,
    shutdown: Option<(Cfg, Ident, bool, bool)>,
    routes: Option<(Cfg, Ident)>,
    exclusive: bool,
}

struct Constructor {
    is_async: bool,
    fallible: bool,
    parameters: Vec<Parameter>,
    span: Span,
}

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
    let generated = read(&block, krate, &mut errors).map(|model| generate(&model));
    let errors = errors.into_tokens();
    quote! { #cleaned #generated #errors }
}

/// A marker outside of a `#[handle]` block.
pub(crate) fn outside(name: &str, item: &TokenStream) -> TokenStream {
    let message = format!(
        "`#[{name}]` marks a method of an `impl` block that is marked `#[handle]`; put `#[handle]` \
         on the block"
    );
    let error = syn::Error::new(Span::call_site(), message).into_compile_error();
    quote! { #item #error }
}

fn read(block: &Block, krate: Path, errors: &mut Errors) -> Option<Model> {
    if block.of_trait {
        errors.at(
            &block.self_type,
            "`#[handle]` goes on an inherent `impl` block: move the methods there",
        );
        return None;
    }
    if !block.generics.params.is_empty() {
        errors.at(&block.generics, "a deployment has no generic parameters; wrap the types you need: `struct ScorerOfDogs(Scorer<Dog>);`");
        return None;
    }
    let Type::Path(path) = &block.self_type else {
        errors.at(&block.self_type, "`#[handle]` goes on the `impl` block of a struct");
        return None;
    };
    let last = path.path.segments.last()?;
    if !last.arguments.is_empty() {
        errors.at(last, "a deployment has no generic parameters");
        return None;
    }
    let owner = last.ident.clone();
    let mut model = Model {
        krate,
        owner,
        methods: Vec::new(),
        constructor: None,
        shutdown: None,
        routes: None,
        exclusive: false,
    };
    for function in &block.functions {
        let cfg = Cfg::of(&function.attributes);
        errors.under(&cfg, |errors| read_function(function, &cfg, &mut model, errors));
    }
    Some(model)
}

fn read_function(function: &Function, cfg: &Cfg, model: &mut Model, errors: &mut Errors) {
    let Signature { ident, inputs, .. } = &function.signature;
    for marker in ["batch", "reconfigure", "check_health", "retry"] {
        if let Some(attribute) = function.marker(marker) {
            errors.at(
                attribute,
                format!("`#[{marker}]` is not built yet in this version of Serve; leave it out"),
            );
        }
    }
    let Some(FnArg::Receiver(receiver)) = inputs.first() else {
        if ident == "new" {
            model.constructor = read_constructor(function, model, errors);
        } else if ident == "bind" {
            errors.at(ident, "`bind` is what `#[handle]` writes for this deployment; give this function another name");
        }
        if let Some(marker) = function.markers.first() {
            errors.at(marker, "this goes on a method, with `&self` or `&mut self`");
        }
        return;
    };
    let shutdown = function.marker("shutdown").is_some();
    let public = matches!(function.visibility, Visibility::Public(_));
    if !public && !shutdown {
        if let Some(marker) = function.markers.first() {
            errors.at(marker, "this goes on a `pub` method: private ones are not on the handle");
        }
        return;
    }
    if function.marker("routes").is_some() {
        if matches!(receiver.kind, ReceiverKind::Typed(..)) && inputs.len() == 1 {
            model.routes = Some((cfg.clone(), ident.clone()));
        } else {
            errors
                .at(ident, "`#[routes]` goes on `pub fn routes(self: Arc<Self>) -> axum::Router`");
        }
        return;
    }
    if let Some(message) = bad_receiver(receiver) {
        errors.at(receiver, message);
        return;
    }
    let mutable = matches!(receiver.kind, ReceiverKind::Reference(_, _, Some(_)));
    model.exclusive |= mutable;
    if shutdown {
        let is_async = function.signature.asyncness.is_some();
        model.shutdown = Some((cfg.clone(), ident.clone(), is_async, mutable));
        return;
    }
    if let Some(method) = read_method(function, cfg, mutable, model, errors) {
        model.methods.push(method);
    }
}

fn bad_receiver(receiver: &Receiver) -> Option<&'static str> {
    if !matches!(receiver.kind, ReceiverKind::Reference(..)) {
        return Some(
            "a method takes `&self` or `&mut self`: the replica keeps its instance for the next call",
        );
    }
    None
}

fn read_method(
    function: &Function,
    cfg: &Cfg,
    mutable: bool,
    model: &Model,
    errors: &mut Errors,
) -> Option<Method> {
    let signature = &function.signature;
    let generics = &signature.generics;
    if !generics.params.is_empty() {
        errors.at(
            generics,
            "a method of a handle has no generic parameters, because it is called by name, also from \
             other processes; write one method for each type, or take an enum",
        );
        return None;
    }
    if matches!(signature.safety, Safety::Unsafe(_)) || signature.abi.is_some() {
        errors.at(&signature.ident, "a method of a handle is neither `unsafe` nor `extern`");
        return None;
    }
    let owner = model.owner.to_token_stream();
    let private = private(&model.krate);
    let parameters = signature::parameters(signature, &owner, errors)?;
    let returns = signature::returns(&signature.output, &owner, &private);
    let endpoint = endpoint::read(function, &parameters, errors);
    let is_async = signature.asyncness.is_some();
    let blocking = function.marker("blocking");
    if let Some(marker) = blocking
        && (is_async || returns.shape != Shape::Value)
    {
        errors.at(marker, "a `#[blocking]` method is a plain `fn` that returns one value");
        return None;
    }
    let forwards = ["doc", "cfg", "deprecated", "must_use"];
    let forwarded = function
        .attributes
        .iter()
        .filter(|attribute| forwards.iter().any(|name| attribute.path().is_ident(name)));
    Some(Method {
        cfg: cfg.clone(),
        forwarded: forwarded
            .filter(|attribute| !attribute.path().is_ident("cfg"))
            .cloned()
            .collect(),
        doc: first_paragraph(&function.attributes),
        name: signature.ident.clone(),
        span: signature.ident.span(),
        is_async,
        mutable,
        blocking: blocking.is_some(),
        parameters,
        returns,
        endpoint,
    })
}

fn read_constructor(
    function: &Function,
    model: &Model,
    errors: &mut Errors,
) -> Option<Constructor> {
    let signature = &function.signature;
    if !signature.generics.params.is_empty() {
        errors.at(&signature.generics, "a constructor has no generic parameters, because `bind` keeps its arguments for each replica");
        return None;
    }
    let parameters = signature::parameters(signature, &model.owner.to_token_stream(), errors)?;
    let fallible = match &signature.output {
        syn::ReturnType::Type(_, ty) => {
            matches!(&**ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Result"))
        }
        syn::ReturnType::Default => false,
    };
    let is_async = signature.asyncness.is_some();
    Some(Constructor { is_async, fallible, parameters, span: signature.ident.span() })
}

fn first_paragraph(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let syn::Meta::NameValue(meta) = &attribute.meta else { return None };
        let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &meta.value else {
            return None;
        };
        meta.path.is_ident("doc").then(|| text.value().trim().to_owned())
    });
    let paragraph: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
}

fn private(krate: &Path) -> TokenStream {
    quote! { #krate::__private }
}

fn generate(model: &Model) -> TokenStream {
    let Model { owner, exclusive, .. } = model;
    let private = private(&model.krate);
    let (handle, mock) = (format_ident!("{owner}Handle"), format_ident!("{owner}Mock"));
    let methods = model.methods.iter().map(|method| method_items(method, model));
    let stubs = model.methods.iter().map(|method| stub(method, model));
    let mocks = model.methods.iter().map(|method| mock_method(method, model));
    let registrations = model.methods.iter().map(|method| {
        let (cfg, marker) = (method.cfg.attribute(), marker(method));
        quote! { #cfg methods.push(<#marker as #private::Method>::erased()); }
    });
    let cell = if *exclusive {
        quote! { Exclusive }
    } else {
        quote! { Shared }
    };
    let shutdown = shutdown(model);
    let http = http(model);
    let bind = bind(model);
    quote! {
        const _: () = {
            #(#methods)*

            #[automatically_derived]
            impl #private::Handlers for #owner {
                type Cell = #private::#cell<#owner>;

                fn methods() -> ::std::vec::Vec<&'static dyn #private::AnyMethod> {
                    #[allow(unused_mut, reason = "there may be no method")]
                    let mut methods: ::std::vec::Vec<&'static dyn #private::AnyMethod> =
                        ::std::vec::Vec::new();
                    #(#registrations)*
                    methods
                }

                #shutdown

                #http
            }

            #[allow(dead_code, clippy::pedantic, reason = "what the user calls of it is the user's choice")]
            impl #handle {
                #(#stubs)*
            }

            #[allow(dead_code, clippy::pedantic, reason = "mocks are for tests")]
            impl #mock {
                #(#mocks)*
            }

            #[allow(dead_code, clippy::pedantic, reason = "bound only where it is deployed")]
            impl #owner {
                #bind
            }
        };
    }
}

/// The empty type that stands for a method.
fn marker(method: &Method) -> Ident {
    format_ident!("__Serve_{}", method.name)
}

fn err_of(method: &Method) -> TokenStream {
    method.returns.err.clone().unwrap_or_else(|| quote! { ::core::convert::Infallible })
}

fn method_items(method: &Method, model: &Model) -> TokenStream {
    let private = private(&model.krate);
    let owner = &model.owner;
    let (cfg, marker) = (method.cfg.attribute(), marker(method));
    let (ok, err) = (&method.returns.ok, err_of(method));
    let types: Vec<_> = method.parameters.iter().map(|parameter| &parameter.ty).collect();
    let names: Vec<_> =
        method.parameters.iter().map(|parameter| parameter.name.to_string()).collect();
    let names: Vec<_> = names.iter().map(|name| name.trim_start_matches("r#")).collect();
    let texts = method.parameters.iter().map(|parameter| &parameter.text);
    let name = method.name.to_string();
    let name = name.trim_start_matches("r#");
    let (doc, returns) = (&method.doc, &method.returns.text);
    let codec = match &method.returns.err {
        Some(_) => quote! {
            #private::WireError<<#owner as #private::Deployment>::Locality>
        },
        None => quote! { #private::NoError },
    };
    let endpoint = match &method.endpoint {
        Some(Endpoint { verb, path, .. }) => {
            quote! { ::core::option::Option::Some((#verb, #path)) }
        }
        None => quote! { ::core::option::Option::None },
    };
    let streaming = method.returns.shape != Shape::Value;
    let shape = if streaming {
        quote! { Many }
    } else {
        quote! { One }
    };
    let run = if streaming { run_stream(method, model) } else { run_value(method, model) };
    quote! {
        #cfg
        #[allow(non_camel_case_types, reason = "named after the method")]
        enum #marker {}

        #cfg
        #[automatically_derived]
        impl #private::Method for #marker {
            type Deployment = #owner;
            type Args = (#(#types,)*);
            type Ok = #ok;
            type Err = #err;
            type ErrCodec = #codec;
            const INFO: #private::MethodInfo = #private::MethodInfo {
                name: #name,
                doc: #doc,
                params: &[#(#private::ParamInfo { name: #names, type_name: #texts }),*],
                param_names: &[#(#names),*],
                returns: #returns,
                endpoint: #endpoint,
                streaming: #streaming,
            };

            fn erased() -> &'static dyn #private::AnyMethod {
                &#private::Erased::<Self, #private::#shape>::NEW
            }
        }

        #cfg
        #run
    }
}

/// `this`, and the call of the user's method on it.
fn call_parts(method: &Method, model: &Model) -> (TokenStream, TokenStream) {
    let names: Vec<_> = method.parameters.iter().map(|parameter| &parameter.name).collect();
    let name = &method.name;
    let mutable = method.mutable.then(|| quote! { mut });
    let this = if model.exclusive {
        quote! { let #mutable __serve_this = __serve_cell.get().await; }
    } else {
        quote! { let __serve_this = __serve_cell.get(); }
    };
    let receiver = if method.mutable {
        quote! { &mut *__serve_this }
    } else {
        quote! { &*__serve_this }
    };
    let owner = &model.owner;
    let call = quote_spanned! { method.span => #owner::#name(#receiver, #(#names),*) };
    (this, call)
}

fn run_value(method: &Method, model: &Model) -> TokenStream {
    let private = private(&model.krate);
    let marker = marker(method);
    let names: Vec<_> = method.parameters.iter().map(|parameter| &parameter.name).collect();
    let (this, call) = call_parts(method, model);
    let awaited = if method.is_async {
        quote_spanned! { method.span => #call.await }
    } else {
        call
    };
    let result = match method.returns.err {
        Some(_) => quote! {
            ::core::result::Result::map_err(
                #private::Fallible::into_result(#awaited),
                #private::CallError::App,
            )
        },
        None => quote! { ::core::result::Result::Ok(#awaited) },
    };
    let body = if method.blocking {
        quote! { #this #private::blocking(move || { #result }).await }
    } else {
        quote! { #this #result }
    };
    quote_spanned! { method.span =>
        #[automatically_derived]
        impl #private::Unary for #marker {
            #[allow(unused_mut, clippy::let_unit_value, clippy::unit_arg, clippy::manual_async_fn, reason = "generated for any method")]
            fn run(
                __serve_cell: <<Self as #private::Method>::Deployment as #private::Handlers>::Cell,
                __serve_args: <Self as #private::Method>::Args,
            ) -> impl ::core::future::Future<
                Output = ::core::result::Result<
                    <Self as #private::Method>::Ok,
                    #private::CallError<<Self as #private::Method>::Err>,
                >,
            > + ::core::marker::Send {
                async move {
                    let (#(#names,)*) = __serve_args;
                    #body
                }
            }
        }
    }
}

fn run_stream(method: &Method, model: &Model) -> TokenStream {
    let private = private(&model.krate);
    let marker = marker(method);
    let names: Vec<_> = method.parameters.iter().map(|parameter| &parameter.name).collect();
    let (this, call) = call_parts(method, model);
    let awaited = if method.is_async {
        quote! { #call.await }
    } else {
        call
    };
    let Shape::Stream { outer_result, item_result } = method.returns.shape else {
        return TokenStream::new();
    };
    let item = if item_result {
        quote! { #private::Fallible::into_result(__serve_item).map_err(#private::CallError::App) }
    } else {
        quote! { ::core::result::Result::Ok(__serve_item) }
    };
    let forward = quote! {
        let mut __serve_stream = ::core::pin::pin!(__serve_stream);
        while let ::core::option::Option::Some(__serve_item) =
            #private::futures::StreamExt::next(&mut __serve_stream).await
        {
            yield #item;
        }
    };
    let body = if outer_result {
        quote! {
            let __serve_made = #private::Fallible::into_result(#awaited);
            match __serve_made {
                ::core::result::Result::Ok(__serve_stream) => { #forward }
                ::core::result::Result::Err(__serve_error) => {
                    yield ::core::result::Result::Err(#private::CallError::App(__serve_error));
                }
            }
        }
    } else {
        quote! { let __serve_stream = #awaited; #forward }
    };
    quote! {
        #[automatically_derived]
        impl #private::Streaming for #marker {
            #[allow(unused_mut, reason = "generated for any method")]
            fn run(
                __serve_cell: <<Self as #private::Method>::Deployment as #private::Handlers>::Cell,
                __serve_args: <Self as #private::Method>::Args,
            ) -> impl #private::futures::Stream<
                Item = ::core::result::Result<
                    <Self as #private::Method>::Ok,
                    #private::CallError<<Self as #private::Method>::Err>,
                >,
            > + ::core::marker::Send {
                #private::async_stream::stream! {
                    let (#(#names,)*) = __serve_args;
                    #this
                    #body
                }
            }
        }
    }
}

fn stub(method: &Method, model: &Model) -> TokenStream {
    let private = private(&model.krate);
    let (cfg, marker, name) = (method.cfg.attribute(), marker(method), &method.name);
    let forwarded = &method.forwarded;
    let doc = format!("Calls [`{0}::{1}`] on one replica of [`{0}`].", model.owner, name);
    let blank = (!method.doc.is_empty()).then(|| quote! { #[doc = ""] });
    let names: Vec<_> = method.parameters.iter().map(|parameter| &parameter.name).collect();
    let types: Vec<_> = method.parameters.iter().map(|parameter| &parameter.ty).collect();
    let arguments = names.iter().zip(&types).map(|(name, ty)| {
        let span = ty.span();
        quote_spanned! { span => #name: impl #private::IntoArg<#ty> }
    });
    let values = names.iter().zip(&types).map(|(name, ty)| {
        quote! { #private::IntoArg::<#ty>::into_arg(#name) }
    });
    let (ok, err) = (&method.returns.ok, err_of(method));
    let err = method.returns.err.as_ref().map(|_| quote! { , #err });
    let (response, call) = match method.returns.shape {
        Shape::Value => (quote! { Response }, quote! { call }),
        Shape::Stream { .. } => (quote! { ResponseStream }, quote! { stream }),
    };
    quote! {
        #cfg
        #(#forwarded)*
        #blank
        #[doc = #doc]
        pub fn #name(&self, #(#arguments),*) -> #private::#response<#ok #err> {
            #private::#call::<#marker>(
                #private::DeploymentHandle::handle(self),
                (#(#values,)*),
            )
        }
    }
}

fn mock_method(method: &Method, model: &Model) -> TokenStream {
    let private = private(&model.krate);
    let (cfg, marker) = (method.cfg.attribute(), marker(method));
    let name = match method.name.to_string().as_str() {
        name @ ("new" | "named") => format_ident!("mock_{name}"),
        _ => method.name.clone(),
    };
    let doc = format!("Answers [`{}::{}`].", model.owner, method.name);
    let names: Vec<_> = method.parameters.iter().map(|parameter| &parameter.name).collect();
    let types = method.parameters.iter().map(|parameter| &parameter.ty);
    let whole = &method.returns.whole;
    let fallible = |value: TokenStream, result: bool| {
        if result {
            quote! { #private::Fallible::into_result(#value).map_err(#private::CallError::App) }
        } else {
            quote! { ::core::result::Result::Ok(#value) }
        }
    };
    let (bound, on) = match method.returns.shape {
        Shape::Value => {
            let result = fallible(quote! { answer.await }, method.returns.err.is_some());
            (
                quote! { ::core::future::Future<Output = #whole> },
                quote! {
                    on_unary::<#marker, _, _>(move |(#(#names,)*)| {
                        let answer = answer(#(#names),*);
                        async move { #result }
                    })
                },
            )
        }
        Shape::Stream { item_result, .. } => {
            let result = fallible(quote! { item }, item_result);
            (
                quote! { #private::futures::Stream<Item = #whole> },
                quote! {
                    on_stream::<#marker, _, _>(move |(#(#names,)*)| {
                        #private::futures::StreamExt::map(answer(#(#names),*), |item| #result)
                    })
                },
            )
        }
    };
    quote! {
        #cfg
        #[doc = #doc]
        #[must_use]
        pub fn #name<F, A>(self, answer: F) -> Self
        where
            F: ::core::ops::Fn(#(#types),*) -> A
                + ::core::marker::Send
                + ::core::marker::Sync
                + 'static,
            A: #bound + ::core::marker::Send + 'static,
        {
            Self { mock: self.mock.#on }
        }
    }
}

fn shutdown(model: &Model) -> Option<TokenStream> {
    let private = private(&model.krate);
    let owner = &model.owner;
    let (cfg, name, is_async, mutable) = model.shutdown.as_ref()?;
    let cfg = cfg.attribute();
    let get = if model.exclusive {
        quote! { cell.get().await }
    } else {
        quote! { cell.get() }
    };
    let receiver = if *mutable {
        quote! { &mut *this }
    } else {
        quote! { &*this }
    };
    let awaited = is_async.then(|| quote! { .await });
    Some(quote! {
        #cfg
        fn shutdown(
            cell: Self::Cell,
        ) -> ::core::option::Option<
            #private::futures::future::BoxFuture<'static, ::core::result::Result<(), #private::Error>>,
        > {
            ::core::option::Option::Some(::std::boxed::Box::pin(async move {
                #[allow(unused_mut, reason = "generated for any method")]
                let mut this = #get;
                #private::Ended::ended(#owner::#name(#receiver)#awaited)
            }))
        }
    })
}

/// The endpoints and `#[routes]`, if there are any.
fn http(model: &Model) -> Option<TokenStream> {
    let (krate, owner) = (&model.krate, &model.owner);
    let private = private(krate);
    let endpoints: Vec<_> = model
        .methods
        .iter()
        .filter_map(|method| {
            let spec = method.endpoint.as_ref()?.spec(
                &private,
                &method.parameters,
                &method.returns.ok,
                method.returns.err.as_ref(),
            );
            let (cfg, marker) = (method.cfg.attribute(), marker(method));
            let add = match method.returns.shape {
                Shape::Value => quote! { endpoint },
                Shape::Stream { .. } => quote! { streaming_endpoint },
            };
            Some(quote! { #cfg { http = http.#add::<#marker>(#spec); } })
        })
        .collect();
    let routes = model.routes.as_ref().map(|(cfg, name)| {
        let cfg = cfg.attribute();
        quote! { #cfg { http = http.routes::<#owner>(#owner::#name); } }
    });
    if endpoints.is_empty() && routes.is_none() {
        return None;
    }
    Some(quote! {
        fn http() -> ::core::option::Option<
            ::std::boxed::Box<dyn ::core::any::Any + ::core::marker::Send + ::core::marker::Sync>,
        > {
            #krate::__http_interface! { http, #private::HttpInterface::new::<#owner>(), #(#endpoints)* #routes }
        }
    })
}

fn bind(model: &Model) -> TokenStream {
    let private = private(&model.krate);
    let owner = &model.owner;
    let doc = format!("[`{owner}`] with its constructor's arguments, ready to run.");
    let Some(Constructor { is_async, fallible, parameters, span }) = &model.constructor else {
        return quote! {
            #[doc = #doc]
            #[must_use]
            pub fn bind() -> #private::Bound<#owner> {
                #private::bound::<#owner, _>(::std::vec::Vec::new(), |_| async {
                    ::core::result::Result::Ok(<#owner as ::core::default::Default>::default())
                })
            }
        };
    };
    let names: Vec<_> = parameters.iter().map(|parameter| &parameter.name).collect();
    let types: Vec<_> = parameters.iter().map(|parameter| &parameter.ty).collect();
    let markers: Vec<_> = (0..names.len()).map(|number| format_ident!("M{number}")).collect();
    let arguments = names.iter().zip(&types).zip(&markers).map(|((name, ty), marker)| {
        let span = ty.span();
        quote_spanned! { span => #name: impl #private::IntoInit<#ty, #marker> }
    });
    let awaited = is_async.then(|| quote! { .await });
    let made = quote_spanned! { *span => #owner::new(#(#names),*)#awaited };
    let made = if *fallible {
        quote! {
            match #made {
                ::core::result::Result::Ok(made) => ::core::result::Result::Ok(made),
                ::core::result::Result::Err(error) => {
                    #[allow(unused_imports, reason = "one of the two fits")]
                    use #private::{RaiseDisplay as _, RaiseInto as _};
                    ::core::result::Result::Err((&&#private::Raised::new(error)).raise())
                }
            }
        }
    } else {
        quote! { ::core::result::Result::Ok(#made) }
    };
    quote! {
        #[doc = #doc]
        pub fn bind<#(#markers),*>(#(#arguments),*) -> #private::Bound<#owner> {
            #(let #names = #private::IntoInit::<#types, #markers>::into_init(#names);)*
            let needs = ::std::vec::Vec::from_iter(
                [#(#names.needs()),*].into_iter().flat_map(|needs: &[_]| ::std::iter::Iterator::cloned(needs.iter())),
            );
            #private::bound::<#owner, _>(needs, move |wiring| {
                let _ = wiring;
                #(let #names = #names.make(wiring);)*
                async move { #made }
            })
        }
    }
}
