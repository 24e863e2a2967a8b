//! `EndpointInfo`: an endpoint as data, as `#[handle]` declares it. Requests are read, checked and
//! described by this data.

use std::any::TypeId;
use std::convert::Infallible;
use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use schemars::{Schema, SchemaGenerator};

use crate::call::{Arguments, ParamTraits};
use crate::deployment::Anywhere;
use crate::ingress::file_part::FilePart;
use crate::ingress::response::into_response::EndpointResult;
use crate::ingress::response::result_kind::ResultKind;
use crate::method::{Method, MethodInfo};

/// The place where a parameter of an endpoint is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamPlace {
    /// A segment of the path, by name.
    Path,
    /// A key of the query.
    Query,
    /// A key of the JSON object in the body, or a field of the form in the body.
    Field,
    /// The whole body: JSON, or raw if the parameter is `Bytes`.
    Body,
    /// The header of this name.
    Header(&'static str),
    /// The cookie of this name.
    Cookie(&'static str),
}

/// The number of files that a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    One,
    Many,
}

/// The format of a body whose fields are parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// A JSON object.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`.
    Multipart,
}

impl ParamPlace {
    /// Returns the word for the place in errors and in OpenAPI.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Field | Self::Body => "body",
            Self::Header(_) => "header",
            Self::Cookie(_) => "cookie",
        }
    }
}

/// One endpoint, as `#[handle]` declares it.
pub struct EndpointSpec<M: Method> {
    /// The HTTP method, such as `GET`.
    pub verb: &'static str,
    /// The path below the route prefix, with `{name}` for parameters.
    pub path: &'static str,
    /// The place of each parameter, in the order of the signature.
    pub places: &'static [ParamPlace],
    /// The format of the body, if fields of the body are parameters.
    pub body: BodyFormat,
    /// The status of a result.
    pub success: u16,
    /// The way in which the result becomes a response.
    pub result: EndpointResult<M::Ok>,
    /// The limit of the body in bytes; `None` means the limit of the application.
    pub max_body: Option<usize>,
    /// The status of the method's own error; `None` means 500 without details.
    pub status: fn(&M::Err) -> Option<u16>,
    /// The statuses that the method's own error may have, each with its meaning.
    pub statuses: &'static [(u16, &'static str)],
    /// The schemas of the parameters.
    pub params: fn(&mut SchemaGenerator) -> Vec<Schema>,
    /// The schema of the result, or of one item of the stream.
    pub returns: fn(&mut SchemaGenerator) -> Schema,
}

impl<M: Method> fmt::Debug for EndpointSpec<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.verb, self.path, M::INFO.name)
    }
}

/// One WebSocket endpoint, as `#[handle]` declares it.
#[derive(Clone, Copy, Debug)]
pub struct SocketSpec {
    /// The path below the route prefix, with `{name}` for parameters.
    pub path: &'static str,
    /// The place of each parameter, in the order of the signature.
    pub places: &'static [ParamPlace],
    /// The schemas of the parameters.
    pub params: fn(&mut SchemaGenerator) -> Vec<Schema>,
    /// The schema of what the socket receives.
    pub receives: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of what the socket sends.
    pub sends: fn(&mut SchemaGenerator) -> Schema,
}

/// One endpoint, without its types.
pub(crate) struct EndpointInfo {
    pub(crate) verb: http::Method,
    pub(crate) path: &'static str,
    /// The names in the path, in order.
    pub(crate) path_names: Vec<&'static str>,
    pub(crate) method: MethodInfo,
    pub(crate) places: &'static [ParamPlace],
    pub(crate) body: BodyFormat,
    /// The status of a result.
    pub(crate) success: StatusCode,
    pub(crate) traits: Vec<ParamTraits>,
    /// The endpoint's own limit of the body in bytes.
    pub(crate) max_body: Option<usize>,
    pub(crate) result: ResultKind,
    /// True if the method has an error of its own.
    pub(crate) fallible: bool,
    /// The statuses of that error, if it says them.
    pub(crate) statuses: &'static [(u16, &'static str)],
    pub(crate) params: fn(&mut SchemaGenerator) -> Vec<Schema>,
    /// The schema of the result, or of what a WebSocket sends.
    pub(crate) returns: fn(&mut SchemaGenerator) -> Schema,
    pub(crate) socket: Option<SocketInfo>,
}

/// The parts of a WebSocket endpoint that other endpoints do not have.
pub(crate) struct SocketInfo {
    /// The schema of what the socket receives.
    pub(crate) receives: fn(&mut SchemaGenerator) -> Schema,
    /// The words for the form of the messages that the socket receives and sends.
    pub(crate) formats: (&'static str, &'static str),
}

impl EndpointInfo {
    /// Describes a WebSocket endpoint. `formats` are the words for the form of the messages that the
    /// socket receives and sends.
    pub(crate) fn of_socket(
        spec: &SocketSpec,
        method: MethodInfo,
        traits: Vec<ParamTraits>,
        formats: (&'static str, &'static str),
    ) -> Self {
        debug_assert_eq!(spec.places.len(), traits.len(), "one place for each parameter");
        Self {
            verb: http::Method::GET,
            path: spec.path,
            path_names: path_names(spec.path),
            method,
            places: spec.places,
            traits,
            body: BodyFormat::Json,
            success: StatusCode::SWITCHING_PROTOCOLS,
            max_body: None,
            result: ResultKind::Empty,
            fallible: false,
            statuses: &[],
            params: spec.params,
            returns: spec.sends,
            socket: Some(SocketInfo { receives: spec.receives, formats }),
        }
    }

    pub(crate) fn of<M: Method>(spec: &EndpointSpec<M>) -> Self
    where
        M::Args: Arguments<Anywhere>,
    {
        let info = Self {
            verb: spec.verb.parse().expect("`#[handle]` writes known HTTP methods"),
            path: spec.path,
            path_names: path_names(spec.path),
            method: M::INFO,
            places: spec.places,
            body: spec.body,
            success: StatusCode::from_u16(spec.success).expect("`#[handle]` checks the status"),
            traits: <M::Args as Arguments<Anywhere>>::traits(),
            max_body: spec.max_body,
            result: spec.result.kind,
            fallible: TypeId::of::<M::Err>() != TypeId::of::<Infallible>(),
            statuses: spec.statuses,
            params: spec.params,
            returns: spec.returns,
            socket: None,
        };
        debug_assert_eq!(info.places.len(), info.traits.len(), "one place for each parameter");
        info
    }

    /// Returns the index of the parameter that has this name and is found in this place.
    pub(crate) fn index_of(&self, place: ParamPlace, name: &str) -> Option<usize> {
        let index = self.method.param_names.iter().position(|known| *known == name)?;
        (self.places[index] == place).then_some(index)
    }

    /// Returns the name by which clients know the parameter at `index`.
    pub(crate) fn name_outside(&self, index: usize) -> &'static str {
        match self.places[index] {
            ParamPlace::Header(name) | ParamPlace::Cookie(name) => name,
            _ => self.method.param_names[index],
        }
    }

    /// Returns how many files of a multipart form the parameter at `index` takes, if it takes files.
    pub(crate) fn files(&self, index: usize) -> Option<Files> {
        let id = self.traits[index].type_id;
        let one = [
            TypeId::of::<Bytes>(),
            TypeId::of::<Option<Bytes>>(),
            TypeId::of::<FilePart>(),
            TypeId::of::<Option<FilePart>>(),
        ];
        let many = [
            TypeId::of::<Vec<Bytes>>(),
            TypeId::of::<Option<Vec<Bytes>>>(),
            TypeId::of::<Vec<FilePart>>(),
            TypeId::of::<Option<Vec<FilePart>>>(),
        ];
        match self.body {
            BodyFormat::Multipart if one.contains(&id) => Some(Files::One),
            BodyFormat::Multipart if many.contains(&id) => Some(Files::Many),
            _ => None,
        }
    }

    /// Returns the parameter that is the whole body. The boolean is true if the parameter takes raw
    /// bytes.
    pub(crate) fn body_param(&self) -> Option<(usize, bool)> {
        let index = self.places.iter().position(|place| *place == ParamPlace::Body)?;
        let raw = [TypeId::of::<Bytes>(), TypeId::of::<Option<Bytes>>()];
        Some((index, raw.contains(&self.traits[index].type_id)))
    }
}

/// Returns the names of a path's parameters: `{id}` and `{*id}` both have the name `id`.
fn path_names(path: &'static str) -> Vec<&'static str> {
    let braces = path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    braces.map(|(name, _)| name.trim_start_matches('*')).collect()
}

/// Returns the path with numbers for names: `/papers/{id}` and `/papers/{paper}` become equal.
pub(crate) fn numbered(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    let mut rest = path;
    for number in 0.. {
        let Some((before, after)) = rest.split_once('{') else { break };
        let Some((name, behind)) = after.split_once('}') else { break };
        let star = if name.starts_with('*') { "*" } else { "" };
        pattern.push_str(&format!("{before}{{{star}{number}}}"));
        rest = behind;
    }
    pattern.push_str(rest);
    pattern
}
