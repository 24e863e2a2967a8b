//! [`Request`]: id, route, model, session and trace, which all calls of one tree share.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::options::CallOptions;
use super::request_ids::RequestIds;

/// The request that a whole tree of calls belongs to.
///
/// Most requests bring no details. Such a request is only a number, from which the id is
/// computed, and is not allocated.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    number: u64,
    details: Option<Arc<RequestDetails>>,
}

/// The details of a request that its HTTP headers or its caller's options set.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestDetails {
    /// The id, unless it is computed from the number.
    pub(crate) id: Option<Arc<str>>,
    /// The HTTP route, set once it has been found.
    pub(crate) route: OnceLock<Arc<str>>,
    pub(crate) multiplexed_model_id: Option<Arc<str>>,
    pub(crate) session_id: Option<Arc<str>>,
    pub(crate) trace: Option<Arc<str>>,
}

impl RequestDetails {
    /// The details that a handle's options set; none if they set no details.
    pub(crate) fn said_by(options: &CallOptions) -> Option<Self> {
        if !options.change_request() {
            return None;
        }
        let shared = |text: &Option<String>| text.as_deref().map(Arc::from);
        Some(Self {
            id: shared(&options.request_id),
            multiplexed_model_id: shared(&options.multiplexed_model_id),
            session_id: shared(&options.session_id),
            ..Self::default()
        })
    }

    /// The same details, with the id, model and session that `newer` sets in place of the old
    /// ones.
    fn overridden_by(&self, newer: &Self) -> Self {
        let either = |new: &Option<Arc<str>>, old: &Option<Arc<str>>| {
            new.as_ref().or(old.as_ref()).map(Arc::clone)
        };
        Self {
            id: either(&newer.id, &self.id),
            route: self.route.clone(),
            multiplexed_model_id: either(&newer.multiplexed_model_id, &self.multiplexed_model_id),
            session_id: either(&newer.session_id, &self.session_id),
            trace: self.trace.clone(),
        }
    }
}

impl Request {
    /// A new request with this number, which is unique in its runtime and not 0.
    pub(crate) fn new(number: u64) -> Self {
        Self { number, details: None }
    }

    /// False for a request without an id: [`begin`](Self::begin) still has to number it.
    pub(crate) fn has_begun(&self) -> bool {
        self.number != 0 || self.details().is_some_and(|details| details.id.is_some())
    }

    /// Numbers the request. The number is unique in its runtime and not 0.
    pub(crate) fn begin(&mut self, number: u64) {
        self.number = number;
    }

    /// A new request with these details, in which the id must be set.
    pub(crate) fn with_details(details: RequestDetails) -> Self {
        debug_assert!(details.id.is_some(), "without a number, the id must be given");
        Self { number: 0, details: Some(Arc::new(details)) }
    }

    /// The same request with the details that a handle's options set, `said`. Most requests
    /// have no other details, and then nothing is allocated.
    pub(crate) fn with_options(&self, said: &Arc<RequestDetails>) -> Self {
        let details = match &self.details {
            None => Arc::clone(said),
            Some(known) => Arc::new(known.overridden_by(said)),
        };
        Self { number: self.number, details: Some(details) }
    }

    /// The id of the request: the id in the details, or else the id that `ids` computes from the
    /// number. Empty if there is neither.
    pub(crate) fn id(&self, ids: Option<&RequestIds>) -> Arc<str> {
        match (self.details().and_then(|details| details.id.clone()), ids) {
            (Some(id), _) => id,
            (None, Some(ids)) => ids.of(self.number),
            (None, None) => Arc::from(""),
        }
    }

    /// The HTTP route of the request, once it has been found.
    pub(crate) fn route(&self) -> Option<&Arc<str>> {
        self.details()?.route.get()
    }

    /// Sets the HTTP route of the request, unless a route was set before.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only HTTP knows routes"))]
    pub(crate) fn set_route(&self, route: Arc<str>) {
        if let Some(details) = self.details() {
            let _ = details.route.set(route);
        }
    }

    /// True if the request has no details, but only a number.
    pub(crate) fn is_plain(&self) -> bool {
        self.details.is_none()
    }

    /// The model that the request names.
    pub(crate) fn multiplexed_model_id(&self) -> Option<&Arc<str>> {
        self.details()?.multiplexed_model_id.as_ref()
    }

    /// The session that the request names.
    pub(crate) fn session_id(&self) -> Option<&Arc<str>> {
        self.details()?.session_id.as_ref()
    }

    /// The W3C `traceparent` that the request brought.
    pub(crate) fn trace(&self) -> Option<&str> {
        self.details()?.trace.as_deref()
    }

    fn details(&self) -> Option<&RequestDetails> {
        self.details.as_deref()
    }

    /// The request in the form that travels to another process. `ids` computes the id from the
    /// number, because another process cannot.
    pub(crate) fn sent(&self, ids: &RequestIds) -> SentRequest {
        let details = self.details();
        let text = |text: Option<&Arc<str>>| text.map(|text| text.to_string());
        SentRequest {
            id: match details.and_then(|details| details.id.as_deref()) {
                Some(id) => SentId::Text(id.to_owned()),
                None => SentId::Bits(ids.bits(self.number)),
            },
            route: text(self.route()),
            multiplexed_model_id: text(self.multiplexed_model_id()),
            session_id: text(self.session_id()),
            trace: self.trace().map(str::to_owned),
        }
    }
}

/// A [`Request`] in the form that travels to another process.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct SentRequest {
    id: SentId,
    route: Option<String>,
    multiplexed_model_id: Option<String>,
    session_id: Option<String>,
    trace: Option<String>,
}

/// The id of a request: as 128 bits if Serve made the id, else as text.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum SentId {
    Bits(u128),
    Text(String),
}

impl SentRequest {
    /// Converts the request to the form that the receiving process uses.
    pub(crate) fn received(self) -> Request {
        let shared = |text: Option<String>| text.map(Arc::from);
        let route = OnceLock::new();
        if let Some(taken) = self.route {
            let _ = route.set(taken.into());
        }
        Request::with_details(RequestDetails {
            id: Some(match self.id {
                SentId::Bits(bits) => RequestIds::text(bits),
                SentId::Text(text) => text.into(),
            }),
            route,
            multiplexed_model_id: shared(self.multiplexed_model_id),
            session_id: shared(self.session_id),
            trace: shared(self.trace),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_arrives_as_it_was_sent_with_the_same_id() {
        let ids = RequestIds::new(7);
        let plain = Request::new(3);
        let there = plain.sent(&ids).received();
        assert_eq!(there.id(None), plain.id(Some(&ids)));
        assert_eq!((there.route(), there.session_id(), there.trace()), (None, None, None));

        let details = RequestDetails {
            id: Some("from-a-header".into()),
            route: OnceLock::from(Arc::from("/papers/{id}")),
            multiplexed_model_id: Some("es".into()),
            session_id: Some("dora".into()),
            trace: Some("00-4bf9-00f0-01".into()),
        };
        let named = Request::with_details(details);
        let there = named.sent(&ids).received();
        assert_eq!(&*there.id(None), "from-a-header");
        assert_eq!(there.route().map(|route| &**route), Some("/papers/{id}"));
        assert_eq!(there.multiplexed_model_id().map(|id| &**id), Some("es"));
        assert_eq!(there.session_id().map(|id| &**id), Some("dora"));
        assert_eq!(there.trace(), Some("00-4bf9-00f0-01"));
    }
}
