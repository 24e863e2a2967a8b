//! The conversion of a [`Block`] to a [`Model`], which finds and checks the role of each
//! function.
//!
//! A marker that makes a function something other than a method of the handle is a
//! [`Role`]; a marker that changes how a method runs is read in [`method`].

use quote::ToTokens;
use syn::{
    Attribute, FnArg, Ident, Path, Receiver, ReceiverKind, Safety, Signature, Type, Visibility,
};

use super::batch;
use super::model::{Constructor, Hook, Kind, Method, Model, Routes, When};
use super::socket;
use crate::block::{Block, Function};
use crate::cfg::Cfg;
use crate::endpoint::{self, Endpoint, WEBSOCKET};
use crate::errors::Errors;
use crate::options::{self, Entry};
use crate::signature::{self, Shape, Source};

/// The markers that take no arguments.
const BARE: [&str; 5] = ["blocking", "check_health", "reconfigure", "shutdown", "routes"];

/// The markers of methods that the runtime itself calls.
const HOOKS: [&str; 3] = ["check_health", "reconfigure", "shutdown"];

/// The methods that every handle has: those of the core's `DeploymentHandle`, and `clone`. A method
/// of the same name would hide them.
const OF_EVERY_HANDLE: [&str; 4] = ["options", "deployment_name", "application_name", "clone"];

/// The number of retries of a method marked `#[retry]` without a number.
const RETRIES: usize = 2;

/// The attributes that are copied to the handle's method. `cfg` is not among them, since it is
/// repeated on all code that is generated for a method.
const FORWARDED: [&str; 3] = ["doc", "deprecated", "must_use"];

/// The role of a function of the block.
enum Role {
    /// The constructor `new`.
    Constructor,
    /// A method of the handle.
    Method,
    /// A method that the runtime itself calls.
    Hook,
    Routes,
    /// A method that a request opens a WebSocket to.
    Socket,
    /// A function that is not called by Serve: a private one, or one without a receiver.
    Own,
    /// A function called `bind`, which is already reported as an error.
    Bind,
    /// A constructor that is already reported as an error.
    FaultyConstructor,
}

/// Converts the block. Returns `None` if the block cannot be that of a deployment.
pub(super) fn block(block: &Block, krate: Path, errors: &mut Errors) -> Option<Model> {
    if block.of_trait {
        errors.at(
            &block.self_type,
            "`#[handle]` goes on an inherent `impl` block: move the methods there",
        );
        return None;
    }
    if let Some(message) = signature::parameters_of_a_deployment(&block.generics) {
        errors.at(&block.generics, message);
        return None;
    }
    let owner = match signature::ungrouped(&block.self_type) {
        Type::Path(path) if path.qself.is_none() => path.path.clone(),
        _ => {
            errors.at(&block.self_type, "`#[handle]` goes on the `impl` block of a struct");
            return None;
        }
    };
    if let Some(message) = signature::arguments_of_a_deployment(&owner.segments.last()?.arguments) {
        errors.at(&owner, message);
        return None;
    }
    let mut model = Model {
        krate,
        owner,
        methods: Vec::new(),
        constructors: Vec::new(),
        faulty_constructors: Vec::new(),
        bind_exists: false,
        hooks: Vec::new(),
        routes: Vec::new(),
        sockets: Vec::new(),
        exclusive: Vec::new(),
    };
    for read in &block.functions {
        let cfg = Cfg::of(&read.attributes);
        errors.under(&cfg, |errors| {
            function(read, &cfg, &mut model, errors);
        });
    }
    routes_are_shared(&mut model, errors);
    sockets_are_shared(&mut model, errors);
    Some(model)
}

/// Reports an error if a block has both `#[routes]` and a `&mut self` method.
fn routes_are_shared(model: &mut Model, errors: &mut Errors) {
    let Model { routes, exclusive, .. } = model;
    let Some(exclusive) = Cfg::any_of(&exclusive.iter().collect::<Vec<_>>()) else { return };
    for Routes { cfg, name } in &*routes {
        errors.under(&cfg.and(&exclusive), |errors| {
            errors.at(
                name,
                "a deployment with a `&mut self` method has no `#[routes]`, because all requests \
                 would share the instance: let the methods take `&self`, with a `Mutex` or atomics \
                 for the state",
            );
        });
    }
    routes.retain(|routes| !routes.cfg.is_always() || !exclusive.is_always());
}

/// Reports an error if a block has both a `#[websocket]` and a `&mut self` method.
fn sockets_are_shared(model: &mut Model, errors: &mut Errors) {
    let Model { sockets, exclusive, .. } = model;
    let Some(exclusive) = Cfg::any_of(&exclusive.iter().collect::<Vec<_>>()) else { return };
    for socket in &*sockets {
        errors.under(&socket.cfg.and(&exclusive), |errors| {
            errors.at(
                &socket.name,
                "a deployment with a `&mut self` method has no `#[websocket]`, because the method with \
                 the socket would keep all other calls waiting: let the methods take `&self`, with a \
                 `Mutex` or atomics for the state",
            );
        });
    }
    sockets.retain(|socket| !socket.cfg.is_always() || !exclusive.is_always());
}

fn function(function: &Function, cfg: &Cfg, model: &mut Model, errors: &mut Errors) -> Option<()> {
    check_markers(function, errors);
    let cfg = cfg.clone();
    match role(function, errors)? {
        Role::Own => {}
        Role::Bind => model.bind_exists |= cfg.is_always(),
        Role::FaultyConstructor => model.faulty_constructors.push(cfg),
        Role::Constructor => {
            let earlier = model.constructors.iter().map(|constructor| &constructor.cfg);
            let cfg = alone(&cfg, earlier)?;
            match constructor(function, cfg.clone(), model, errors) {
                Some(read) => model.constructors.push(read),
                None => model.faulty_constructors.push(cfg),
            }
        }
        Role::Routes => {
            let read = routes(function, cfg, errors)?;
            let others = model.routes.iter().map(|other| (&other.cfg, &other.name));
            only_one("routes", (&read.cfg, &read.name), others, errors)?;
            model.routes.push(read);
        }
        Role::Socket => {
            let name = &function.signature.ident;
            let named = model.sockets.iter().filter(|socket| socket.name == *name);
            let cfg = alone(&cfg, named.map(|socket| &socket.cfg))?;
            let read = socket::read(function, cfg, model, errors)?;
            endpoint_alone(&read.cfg, &read.endpoint, model, errors);
            model.sockets.push(read);
        }
        Role::Hook => {
            let read = hook(function, cfg, model, errors)?;
            let marker = read.when.marker();
            let others = model.hooks.iter().filter(|other| other.when.marker() == marker);
            let others = others.map(|other| (&other.cfg, &other.name));
            only_one(marker, (&read.cfg, &read.name), others, errors)?;
            model.exclusive.extend(read.mutable.then(|| read.cfg.clone()));
            model.hooks.push(read);
        }
        Role::Method => {
            let name = &function.signature.ident;
            let named = model.methods.iter().filter(|method| method.name == *name);
            let cfg = alone(&cfg, named.map(|method| &method.cfg))?;
            let read = method(function, cfg, model, errors)?;
            if let Some(endpoint) = &read.endpoint {
                endpoint_alone(&read.cfg, endpoint, model, errors);
            }
            model.exclusive.extend(read.mutable.then(|| read.cfg.clone()));
            model.methods.push(read);
        }
    }
    Some(())
}

/// Returns the condition of a function for which none of the `earlier` functions of the same name
/// exists; `None` if one of them always exists. The compiler reports that there are two.
fn alone<'a>(cfg: &Cfg, earlier: impl Iterator<Item = &'a Cfg>) -> Option<Cfg> {
    let earlier: Vec<_> = earlier.collect();
    Some(cfg.and(&Cfg::none_of(&earlier)?))
}

/// Reports an error if requests cannot tell the endpoint apart from that of another method.
fn endpoint_alone(cfg: &Cfg, endpoint: &Endpoint, model: &Model, errors: &mut Errors) {
    let typed = model
        .methods
        .iter()
        .filter_map(|other| Some((&other.cfg, other.endpoint.as_ref()?, &other.name)));
    let sockets = model.sockets.iter().map(|other| (&other.cfg, &other.endpoint, &other.name));
    for (other_cfg, other, name) in typed.chain(sockets) {
        let Some(message) = endpoint.clash(other, name) else { continue };
        let both = other_cfg.and(cfg);
        errors.under(&both, |errors| errors.at(&endpoint.path, message));
        if both.is_always() {
            // One error is enough.
            return;
        }
    }
}

/// Reports faults of the markers that do not depend on the function.
fn check_markers(function: &Function, errors: &mut Errors) {
    let mut seen = Vec::new();
    for marker in &function.markers {
        let Some(last) = marker.path().segments.last() else { continue };
        let name = last.ident.to_string();
        if seen.contains(&name) {
            errors.at(marker, format!("`#[{name}]` is given twice: leave one out"));
        }
        seen.push(name.clone());
        if BARE.contains(&name.as_str()) && marker.meta.require_path_only().is_err() {
            errors.at(marker, format!("`#[{name}]` takes no arguments"));
        } else if ["batch", "retry"].contains(&name.as_str())
            && marker.meta.require_name_value().is_ok()
        {
            let example = if name == "batch" { "max_batch_size = 8" } else { "max = 2" };
            errors.at(marker, format!("options go in parentheses: `#[{name}({example})]`"));
        } else if name == "handle" {
            errors.at(
                marker,
                "`#[handle]` goes on the `impl` block: all its `pub` methods are on the handle, without an attribute",
            );
        }
    }
}

/// Returns the name of a marker, without the path before it.
fn marker_name(marker: &Attribute) -> String {
    marker.path().segments.last().map(|last| last.ident.to_string()).unwrap_or_default()
}

/// Returns the role of the function; `None` if its markers are not allowed on it.
fn role(function: &Function, errors: &mut Errors) -> Option<Role> {
    let ident = &function.signature.ident;
    if ident == "bind" {
        errors.at(ident, "`bind` is generated by `#[handle]`: give this function another name");
        return Some(Role::Bind);
    }
    if !matches!(function.signature.inputs.first(), Some(FnArg::Receiver(_))) {
        // A constructor may have only this marker.
        let allowed = |marker: &&Attribute| ident == "new" && marker_name(marker) == "blocking";
        if let Some(marker) = function.markers.iter().find(|marker| !allowed(marker)) {
            let name = marker_name(marker);
            errors.at(
                marker,
                format!(
                    "`#[{name}]` goes on a method with `&self` or `&mut self`: a function without a \
                     receiver does not run on a replica"
                ),
            );
            return None;
        }
        return Some(if ident == "new" { Role::Constructor } else { Role::Own });
    }
    for marker in HOOKS.into_iter().chain(["routes"]) {
        let Some(attribute) = function.marker(marker) else { continue };
        let other = function.markers.iter().map(marker_name).find(|other| other != marker);
        if let Some(other) = other {
            errors.at(
                attribute,
                format!(
                    "`#[{marker}]` cannot be combined with `#[{other}]`, because only the runtime \
                     calls this method: write a second method"
                ),
            );
            return None;
        }
        return Some(if marker == "routes" { Role::Routes } else { Role::Hook });
    }
    if function.marker(WEBSOCKET).is_some() {
        return Some(Role::Socket);
    }
    if matches!(function.visibility, Visibility::Public(_)) {
        if ident == "new" && returns_instance(&function.signature) {
            errors.at(
                function.signature.inputs.first(),
                "`new` is the constructor, which creates the instance: leave out the receiver",
            );
            return Some(Role::FaultyConstructor);
        }
        if OF_EVERY_HANDLE.iter().any(|name| ident == name) {
            errors.at(
                ident,
                format!("every handle has a method `{ident}`: give this method another name"),
            );
            return None;
        }
        return Some(Role::Method);
    }
    if let Some(marker) = function.markers.first() {
        let name = marker_name(marker);
        errors.at(
            marker,
            format!("`#[{name}]` goes on a `pub` method: private methods are not on the handle"),
        );
        return None;
    }
    Some(Role::Own)
}

/// Returns true for a function that returns `Self`, or a `Result` of it.
fn returns_instance(signature: &Signature) -> bool {
    let syn::ReturnType::Type(_, ty) = &signature.output else { return false };
    matches!(signature::success(ty), Type::Path(path) if path.path.is_ident("Self"))
}

/// Returns true for the receiver `&mut self` and false for `&self`; `None` for any other.
pub(super) fn receiver(signature: &Signature, errors: &mut Errors) -> Option<bool> {
    match signature.inputs.first() {
        Some(FnArg::Receiver(Receiver {
            kind: ReceiverKind::Reference(_, _, mutability), ..
        })) => Some(mutability.is_some()),
        other => {
            errors.at(
                other,
                "a method takes `&self` or `&mut self`: the replica keeps its instance for the next call",
            );
            None
        }
    }
}

fn routes(function: &Function, cfg: Cfg, errors: &mut Errors) -> Option<Routes> {
    let Signature { ident, inputs, .. } = &function.signature;
    let typed = matches!(
        inputs.first(),
        Some(FnArg::Receiver(Receiver { kind: ReceiverKind::Typed(..), .. }))
    );
    if !typed || inputs.len() != 1 || function.signature.asyncness.is_some() {
        let place =
            inputs.first().map_or_else(|| ident.to_token_stream(), ToTokens::to_token_stream);
        errors.at(
            place,
            "`#[routes]` goes on `pub fn routes(self: Arc<Self>) -> axum::Router`: the router is \
             made once and shares the instance with every request",
        );
        return None;
    }
    Some(Routes { cfg, name: ident.clone() })
}

/// Reports an error if there is another function with the same marker, of which a deployment has
/// one. The error applies only where the conditions of both hold, so functions whose conditions
/// exclude each other are allowed.
fn only_one<'a>(
    marker: &str,
    (cfg, name): (&Cfg, &Ident),
    others: impl Iterator<Item = (&'a Cfg, &'a Ident)>,
    errors: &mut Errors,
) -> Option<()> {
    let mut healthy = true;
    for (other_cfg, other) in others {
        errors.under(&other_cfg.and(cfg), |errors| {
            errors.at(
                name,
                format!(
                    "`{other}` already is the `#[{marker}]` method: a deployment has at most one, which \
                     may call other methods"
                ),
            );
        });
        healthy &= !other_cfg.is_always() && !cfg.is_always();
    }
    healthy.then_some(())
}

/// Reads a method that the runtime itself calls.
fn hook(function: &Function, cfg: Cfg, model: &Model, errors: &mut Errors) -> Option<Hook> {
    let signature = &function.signature;
    let mutable = receiver(signature, errors)?;
    if !signature.generics.params.is_empty() {
        errors.at(
            &signature.generics,
            "this method has no generic parameters, because the runtime calls it",
        );
        return None;
    }
    let is = |marker| function.marker(marker).is_some();
    let parameters = signature.inputs.iter().skip(1);
    let when = if is("reconfigure") {
        let owner = model.owner.to_token_stream();
        let parameters = signature::parameters(signature, &owner, errors)?;
        let [config] = &parameters[..] else {
            const ONE: &str = "a `#[reconfigure]` method takes one parameter besides `&self`, the user \
                               config: `async fn reconfigure(&self, config: Settings)`";
            match parameters.get(1) {
                Some(second) => {
                    errors.at(&second.name, format!("{ONE}; put several values into one struct"));
                }
                None => errors.at(&signature.ident, ONE),
            }
            return None;
        };
        When::Reconfigure(config.ty.clone())
    } else {
        let marker = if is("shutdown") { "shutdown" } else { "check_health" };
        if let Some(parameter) = parameters.into_iter().next() {
            errors.at(
                parameter,
                format!(
                    "a `#[{marker}]` method takes only `&self` or `&mut self`, because the runtime calls it: \
                     put what it needs into a field"
                ),
            );
            return None;
        }
        if is("shutdown") { When::Shutdown } else { When::CheckHealth }
    };
    let (name, is_async) = (signature.ident.clone(), signature.asyncness.is_some());
    let returns = match &signature.output {
        syn::ReturnType::Type(_, ty) => Some(Type::clone(ty)),
        syn::ReturnType::Default => None,
    };
    Some(Hook { cfg, when, name, returns, is_async, mutable })
}

fn constructor(
    function: &Function,
    cfg: Cfg,
    model: &Model,
    errors: &mut Errors,
) -> Option<Constructor> {
    let signature = &function.signature;
    if !signature.generics.params.is_empty() {
        errors.at(
            &signature.generics,
            if signature::only_lifetimes(&signature.generics) {
                "a constructor has no lifetime parameters, because `bind` stores its arguments for \
                 every replica: take owned types, like `String` instead of `&'a str`"
            } else {
                "a constructor has no generic parameters, because `bind` stores its arguments for \
                 every replica"
            },
        );
        return None;
    }
    let parameters = signature::parameters(signature, &model.owner.to_token_stream(), errors)?;
    let fallible = match &signature.output {
        syn::ReturnType::Type(_, ty) => signature::is_result(ty),
        syn::ReturnType::Default => false,
    };
    let is_async = signature.asyncness.is_some();
    let blocking = function.marker("blocking");
    if let Some(marker) = blocking.filter(|_| is_async) {
        errors.at(
            marker,
            "a `#[blocking]` constructor runs on a thread of its own, so it is a plain `fn`: leave \
             out `async`, or leave out `#[blocking]`",
        );
        return None;
    }
    let returns = match &signature.output {
        syn::ReturnType::Type(_, ty) => ty.to_token_stream(),
        syn::ReturnType::Default => signature.ident.to_token_stream(),
    };
    Some(Constructor {
        cfg,
        name: signature.ident.clone(),
        is_async,
        is_blocking: blocking.is_some(),
        fallible,
        returns,
        parameters,
    })
}

/// Reads a method of the handle, and the markers that change how the method runs.
fn method(function: &Function, cfg: Cfg, model: &Model, errors: &mut Errors) -> Option<Method> {
    let signature = &function.signature;
    let mutable = receiver(signature, errors)?;
    let generics = &signature.generics;
    if !generics.params.is_empty() {
        errors.at(
            generics,
            if signature::only_lifetimes(generics) {
                "a method of a handle has no lifetime parameters, because its arguments and results \
                 travel between replicas: take and return owned types, like `String` instead of \
                 `&'a str`"
            } else {
                "a method of a handle has no generic parameters, because it is called by name, also \
                 from other processes: write one method for each type, or take an enum"
            },
        );
        return None;
    }
    if matches!(signature.safety, Safety::Unsafe(_)) || signature.abi.is_some() {
        errors.at(&signature.ident, "a method of a handle cannot be `unsafe` or `extern`");
        return None;
    }
    let typed = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(&typed.ty),
        FnArg::Receiver(_) => None,
    });
    if let Some(socket) = typed.into_iter().find(|ty| socket::is_socket(ty)) {
        errors.at(
            socket,
            "a method of a handle cannot take a `WebSocket`, which only a request opens: mark the \
             method `#[websocket(\"/path\")]`",
        );
        return None;
    }
    let owner = model.owner.to_token_stream();
    let mut parameters = signature::parameters(signature, &owner, errors)?;
    let (returns, batch) = match function.marker("batch") {
        None => {
            let private = model.private();
            let source = match function.marker("blocking") {
                Some(_) => Source::Iterator,
                None => Source::Stream,
            };
            (signature::returns(&signature.output, source, &owner, &private, errors)?, None)
        }
        Some(marker) => {
            if mutable {
                errors.at(
                    marker,
                    "a `#[batch]` method takes `&self`: with `&mut self` calls run one at a time, and a \
                     batch needs several",
                );
                return None;
            }
            let (returns, batch) = batch::read(marker, function, &mut parameters, model, errors)?;
            (returns, Some(batch))
        }
    };
    let retries = retries(function, returns.shape, errors)?;
    let endpoint = endpoint::read(function, &parameters, errors);
    let is_async = signature.asyncness.is_some();
    let kind = match function.marker("blocking") {
        Some(marker) if is_async => {
            errors.at(
                marker,
                "a `#[blocking]` method runs on a thread of its own, so it is a plain `fn`: leave out \
                 `async`, or leave out `#[blocking]`",
            );
            return None;
        }
        Some(_) => Kind::Blocking,
        None if is_async => Kind::Async,
        None => Kind::Inline,
    };
    Some(Method {
        cfg,
        forwarded: function
            .attributes
            .iter()
            .filter_map(|attribute| crate::cfg::only(attribute, &FORWARDED))
            .collect(),
        doc: first_paragraph(&function.attributes),
        name: signature.ident.clone(),
        mutable,
        kind,
        parameters,
        returns,
        endpoint,
        batch,
        retries,
    })
}

/// Reads the maximum number of retries of a method.
fn retries(function: &Function, shape: Shape, errors: &mut Errors) -> Option<usize> {
    let Some(marker) = function.marker("retry") else { return Some(0) };
    if shape != Shape::Value {
        errors.at(marker, "a method that returns a stream cannot be retried, because its caller may already have received items");
        return None;
    }
    let mut retries = RETRIES;
    const USAGE: &str = "write `#[retry]` for 2 retries, or `#[retry(max = 3)]`";
    if let syn::Meta::NameValue(_) = &marker.meta {
        errors.at(marker, USAGE);
        return None;
    }
    if let syn::Meta::List(list) = &marker.meta {
        if syn::parse2::<syn::Lit>(list.tokens.clone()).is_ok() {
            errors.at(&list.tokens, USAGE);
            return None;
        }
        for Entry { name, value } in options::entries(list.tokens.clone(), errors) {
            if name != "max" {
                errors.at(
                    &name,
                    format!(
                        "unknown option `{name}`; the only option is `max`, like `#[retry(max = 2)]`"
                    ),
                );
                return None;
            }
            match value.count(&name, 1) {
                Ok(max) => retries = max,
                Err(error) => {
                    let message = format!("{error}; for no retries, leave out `#[retry]`");
                    errors.push(syn::Error::new(error.span(), message));
                    return None;
                }
            }
        }
    }
    Some(retries)
}

pub(super) fn first_paragraph(attributes: &[Attribute]) -> String {
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
