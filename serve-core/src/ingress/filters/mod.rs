//! [`Filters`]: what every request of an application passes before it is routed, and every answer after
//! that: CORS, API keys, the rate limit, and the compression of answers. All of them are off by default,
//! and an application without any has no `Filters`.

mod api_keys;
mod coding;
mod compression;
mod cors;
#[cfg(feature = "compression")]
mod encoded_body;
mod rate_limit;

use std::net::IpAddr;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use tokio::time::Instant;

pub(crate) use self::api_keys::ApiKeys;
use self::api_keys::Digest;
use self::coding::Coding;
pub(crate) use self::cors::Cors;
use self::cors::Origin;
use self::rate_limit::{Client, RateLimit, Standing};
use crate::application::HttpSettings;
use crate::ingress::response::http_error::HttpError;

/// The filters of an application that has any. Prepared once, when the application is mounted.
pub(crate) struct Filters {
    cors: Option<Cors>,
    keys: Option<ApiKeys>,
    rate: Option<RateLimit>,
    compresses: bool,
}

/// The facts about a request that its answer needs.
pub(crate) struct Passage {
    origin: Option<Origin>,
    standing: Option<Standing>,
    coding: Option<Coding>,
}

impl Filters {
    /// Returns the filters that the settings switch on, or `None` if all are off.
    pub(crate) fn of(settings: &HttpSettings) -> Option<Self> {
        let filters = Self {
            cors: Cors::of(settings),
            keys: ApiKeys::of(&settings.api_keys),
            rate: settings.rate_limit.map(RateLimit::new),
            compresses: settings.compression,
        };
        let Self { cors, keys, rate, compresses } = &filters;
        let any = cors.is_some() || keys.is_some() || rate.is_some() || *compresses;
        any.then_some(filters)
    }

    /// The rules for pages of other origins, if there are any.
    pub(crate) fn cors(&self) -> Option<&Cors> {
        self.cors.as_ref()
    }

    /// Looks at the head of a request. The answer is `Some` if the request goes no further: it is the
    /// preflight of a browser, has no valid key, or is one too many. `methods` returns the methods of
    /// the path, if they are known.
    pub(crate) fn enter(
        &self,
        head: &Parts,
        client: Option<IpAddr>,
        methods: impl FnOnce() -> Option<HeaderValue>,
    ) -> (Box<Passage>, Option<Response<Body>>) {
        let origin = self.cors.as_ref().and_then(|cors| cors.origin(&head.headers));
        let coding = if self.compresses { Coding::wanted(&head.headers) } else { None };
        let mut passage = Box::new(Passage { origin, standing: None, coding });
        if let Some(cors) = &self.cors
            && Cors::is_preflight(head)
        {
            return (passage, Some(cors.preflight(head, methods)));
        }
        let answer = self.admit(head, client, &mut passage).err().map(HttpError::into_response);
        (passage, answer)
    }

    fn admit(
        &self,
        head: &Parts,
        client: Option<IpAddr>,
        passage: &mut Passage,
    ) -> Result<(), HttpError> {
        let key: Option<Digest> = match &self.keys {
            Some(keys) => Some(keys.check(&head.headers)?),
            None => None,
        };
        let Some(rate) = &self.rate else { return Ok(()) };
        let client = match (key, client) {
            (Some(key), _) => Client::Key(key),
            (None, Some(address)) => Client::of(address),
            (None, None) => Client::Unknown,
        };
        let standing = rate.take(client, Instant::now());
        passage.standing = Some(standing);
        rate.check(standing)
    }

    /// Completes the answer to a request.
    pub(crate) fn leave(&self, passage: &Passage, mut response: Response<Body>) -> Response<Body> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        if let (Some(rate), Some(standing)) = (&self.rate, passage.standing) {
            rate.describe(standing, response.headers_mut());
        }
        if let Some(cors) = &self.cors {
            cors.allow(passage.origin.as_ref(), response.headers_mut());
        }
        if self.compresses { compression::compressed(response, passage.coding) } else { response }
    }
}
