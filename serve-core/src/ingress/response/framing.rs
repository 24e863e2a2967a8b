//! The framing of a stream, negotiated from the `Accept` header.

use http::HeaderMap;
use http::header::ACCEPT;

use crate::ingress::response::error_format::qualities;
use crate::ingress::response::result_kind::ResultKind;

/// The way in which the items of a stream are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events.
    Events,
    /// All items in one JSON array, at the end.
    List,
    /// One JSON value per line.
    Lines,
    /// Text as it is produced.
    Text,
    /// Bytes as they are produced.
    Raw,
}

impl Framing {
    /// Returns the framing that the header prefers. If the header prefers several framings equally,
    /// their order here decides. A wildcard asks for nothing in particular: the items are then sent
    /// as they are produced.
    pub(crate) fn wanted(headers: &HeaderMap, items: ResultKind) -> Self {
        let offers = [
            (Self::Events, "text/event-stream"),
            (Self::List, "application/json"),
            (Self::Lines, "application/x-ndjson"),
        ];
        let mut best = (Self::produced(items), 0.0);
        for (framing, media_type) in offers {
            let quality = quality(headers, media_type);
            if quality > best.1 {
                best = (framing, quality);
            }
        }
        best.0
    }

    /// Returns the framing of items that are sent as they are produced.
    pub(crate) const fn produced(items: ResultKind) -> Self {
        match items {
            ResultKind::Text => Self::Text,
            ResultKind::Raw => Self::Raw,
            ResultKind::Empty | ResultKind::Json => Self::Lines,
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::List => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Text => "text/plain; charset=utf-8",
            Self::Raw => "application/octet-stream",
        }
    }
}

/// Returns the quality of a media type that the header names in full, or 0 if it does not.
fn quality(headers: &HeaderMap, wanted: &str) -> f32 {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges = values.flat_map(qualities);
    let named = ranges.filter(|(range, _)| range.eq_ignore_ascii_case(wanted));
    named.fold(0.0, |best, (_, quality)| best.max(quality))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn wanted(accept: &'static str, items: ResultKind) -> Framing {
        let headers = [(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
        Framing::wanted(&headers, items)
    }

    #[test]
    fn a_stream_is_sent_as_the_client_accepts() {
        assert_eq!(wanted("text/event-stream", ResultKind::Text), Framing::Events);
        assert_eq!(wanted("application/json", ResultKind::Text), Framing::List);
        assert_eq!(wanted("application/json, text/plain, */*", ResultKind::Json), Framing::List);
        assert_eq!(
            wanted("application/json;q=0.5, Text/Event-Stream", ResultKind::Json),
            Framing::Events
        );
        assert_eq!(
            wanted("application/json, text/event-stream;q=0.9", ResultKind::Json),
            Framing::List
        );
        assert_eq!(wanted("application/json; q=0, */*", ResultKind::Json), Framing::Lines);
        assert_eq!(wanted("application/x-ndjson", ResultKind::Text), Framing::Lines);
    }

    #[test]
    fn without_a_wish_it_is_sent_as_produced() {
        assert_eq!(wanted("*/*", ResultKind::Json), Framing::Lines);
        assert_eq!(wanted("*/*", ResultKind::Text), Framing::Text);
        assert_eq!(wanted("image/png", ResultKind::Raw), Framing::Raw);
        assert_eq!(Framing::wanted(&HeaderMap::new(), ResultKind::Json), Framing::Lines);
    }
}
