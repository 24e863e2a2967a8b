//! The items of a stream as the bytes that are sent.

use bytes::Bytes;
use serde::Serialize;

use crate::error::same;
use crate::ingress::response::event::Event;
use crate::ingress::response::framing::Framing;
use crate::ingress::response::json;
use crate::ingress::response::reply::Unsendable;

/// Encodes one item as it is sent.
pub(crate) fn chunk<T: Serialize + 'static>(
    item: T,
    framing: Framing,
) -> Result<Bytes, Unsendable> {
    match framing {
        Framing::Text => return Ok(same::<T, String>(item).map(Bytes::from).unwrap_or_default()),
        Framing::Raw => return Ok(same::<T, Bytes>(item).unwrap_or_default()),
        Framing::List => return Ok(json::to_vec(&item)?.into()),
        Framing::Lines => {
            let mut line = json::to_vec(&item)?;
            line.push(b'\n');
            return Ok(line.into());
        }
        Framing::Events => {}
    }
    Ok(event(None, &data(item)?))
}

/// Encodes one event as it is sent. Only server-sent events have more than its data.
pub(crate) fn chunk_of_event<T: Serialize + 'static>(
    item: Event<T>,
    framing: Framing,
) -> Result<Bytes, Unsendable> {
    if framing != Framing::Events {
        return chunk(item.data, framing);
    }
    item.check()?;
    let mut lines = String::new();
    for (field, value) in [("event", &item.name), ("id", &item.id)] {
        if let Some(value) = value {
            push_field(&mut lines, field, value);
        }
    }
    if let Some(retry) = item.retry {
        push_field(&mut lines, "retry", &retry.as_millis().to_string());
    }
    push_data(&mut lines, &data(item.data)?);
    Ok(lines.into())
}

/// Returns an item as the data of an event: text as it is, anything else as JSON.
fn data<T: Serialize + 'static>(item: T) -> Result<String, Unsendable> {
    match same::<T, String>(item) {
        Ok(text) => Ok(text),
        Err(item) => Ok(String::from_utf8_lossy(&json::to_vec(&item)?).into_owned()),
    }
}

/// Formats a server-sent event with a name, if there is one.
pub(crate) fn event(name: Option<&str>, data: &str) -> Bytes {
    let mut event = String::with_capacity(data.len() + 16);
    if let Some(name) = name {
        push_field(&mut event, "event", name);
    }
    push_data(&mut event, data);
    event.into()
}

fn push_field(event: &mut String, field: &str, value: &str) {
    event.push_str(field);
    event.push_str(": ");
    event.push_str(value);
    event.push('\n');
}

/// Ends an event with its data. Each line of the data is a line of its own; a receiver joins the lines
/// again. A lone carriage return ends a line too, and is a line break to the receiver.
fn push_data(event: &mut String, data: &str) {
    let mut rest = data;
    loop {
        let end = rest.find(['\n', '\r']);
        push_field(event, "data", &rest[..end.unwrap_or(rest.len())]);
        let Some(end) = end else { break };
        let skip = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[end + skip..];
    }
    event.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_hold_text_of_many_lines() {
        assert_eq!(event(None, "Hola"), "data: Hola\n\n");
        assert_eq!(event(None, ""), "data: \n\n");
        assert_eq!(event(None, "a\nb\r\nc\rd\n"), "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
        assert_eq!(event(Some("error"), "{}"), "event: error\ndata: {}\n\n");
    }

    #[test]
    fn items_are_framed() {
        let text = || "a\nb".to_owned();
        assert_eq!(chunk(text(), Framing::Text).unwrap(), "a\nb");
        assert_eq!(chunk(text(), Framing::Lines).unwrap(), "\"a\\nb\"\n");
        assert_eq!(chunk(text(), Framing::Events).unwrap(), "data: a\ndata: b\n\n");
        assert_eq!(chunk(7, Framing::Events).unwrap(), "data: 7\n\n");
        assert_eq!(chunk(Bytes::from_static(b"\0"), Framing::Raw).unwrap(), "\0");
        assert_eq!(chunk(Bytes::from_static(b"\0"), Framing::List).unwrap(), "[0]");
    }

    #[test]
    fn an_event_has_its_lines_only_where_there_are_events() {
        let item = || {
            let retry = std::time::Duration::from_millis(1_500);
            Event::new("a\nb".to_owned()).id(7).name("word").retry(retry)
        };
        let sent = |framing| chunk_of_event(item(), framing).unwrap();
        assert_eq!(sent(Framing::Events), "event: word\nid: 7\nretry: 1500\ndata: a\ndata: b\n\n");
        assert_eq!(sent(Framing::Text), "a\nb");
        assert_eq!(sent(Framing::Lines), "\"a\\nb\"\n");
        assert_eq!(sent(Framing::List), "\"a\\nb\"");
        assert_eq!(chunk_of_event(Event::new(7), Framing::Events).unwrap(), "data: 7\n\n");
        assert_eq!(
            chunk_of_event(Event::new(7).id(""), Framing::Events).unwrap(),
            "id: \ndata: 7\n\n"
        );
    }

    #[test]
    fn an_id_or_a_name_of_several_lines_cannot_be_sent() {
        for event in
            [Event::new(1).id("7\ndata: 8"), Event::new(1).name("a\rb"), Event::new(1).id("\0")]
        {
            let error = chunk_of_event(event, Framing::Events).unwrap_err().to_string();
            assert!(error.contains("has a line break"), "{error}");
        }
    }
}
