//! Parameters of every shape in the query, the path and the fields of a body.
//!
//! Any text is answered by 200 or by a rejection. What the target itself writes arrives as it was
//! written. What an endpoint returns can be sent to it again, and is then returned again.

#![allow(clippy::too_many_arguments, reason = "an endpoint with a parameter of each type")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU8;

use futures::FutureExt;
use futures::future::BoxFuture;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};
use serde_json::{Value, json};
use serve_core::prelude::*;

use super::answers::{Answer, Kept, Server, nearly_equal};
use super::input::Input;
use super::shapes::{
    Adjacent, External, Flat, Internal, Link, Named, Never, Newtype, Pair, Tree, Unit, Untagged,
};

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Scalars {
    a: Option<u8>,
    b: Option<i64>,
    c: Option<u128>,
    d: Option<i128>,
    /// As text, because JSON has no infinity.
    e: Option<String>,
    f: Option<String>,
    g: Option<bool>,
    h: Option<char>,
    s: Option<String>,
    n: Option<NonZeroU8>,
    ip: Option<IpAddr>,
    u: Option<Unit>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Lists {
    texts: Option<Vec<String>>,
    numbers: Option<Vec<u16>>,
    pair: Option<(u8, String)>,
    array: Option<[i8; 3]>,
    set: Option<BTreeSet<u8>>,
    map: Option<BTreeMap<u8, String>>,
    options: Option<Vec<Option<u8>>>,
    nested: Option<Vec<Vec<String>>>,
    twice: Option<Option<u8>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Shapes {
    external: Option<External>,
    internal: Option<Internal>,
    adjacent: Option<Adjacent>,
    untagged: Option<Untagged>,
    flat: Option<Flat>,
    named: Option<Named>,
    value: Option<Value>,
    newtype: Option<Newtype<u8>>,
    unit: Option<Unit>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Selves {
    tree: Option<Tree>,
    link: Option<Link>,
    pair: Option<Pair>,
    never: Option<Never>,
    links: Option<Vec<Link>>,
    newtype: Option<Newtype<Newtype<Tree>>>,
}

#[deployment]
#[derive(Default)]
pub struct Echo;

#[handle]
impl Echo {
    #[get("/scalars")]
    pub async fn scalars(
        &self,
        a: Option<u8>,
        b: Option<i64>,
        c: Option<u128>,
        d: Option<i128>,
        e: Option<f32>,
        f: Option<f64>,
        g: Option<bool>,
        h: Option<char>,
        s: Option<String>,
        n: Option<NonZeroU8>,
        ip: Option<IpAddr>,
        u: Option<Unit>,
    ) -> Scalars {
        let (e, f) = (e.map(|e| e.to_string()), f.map(|f| f.to_string()));
        Scalars { a, b, c, d, e, f, g, h, s, n, ip, u }
    }

    #[post("/scalars")]
    pub async fn scalars_in_body(
        &self,
        a: Option<u8>,
        b: Option<i64>,
        c: Option<u128>,
        d: Option<i128>,
        e: Option<String>,
        f: Option<String>,
        g: Option<bool>,
        h: Option<char>,
        s: Option<String>,
        n: Option<NonZeroU8>,
        ip: Option<IpAddr>,
        u: Option<Unit>,
    ) -> Scalars {
        Scalars { a, b, c, d, e, f, g, h, s, n, ip, u }
    }

    #[get("/lists")]
    pub async fn lists(
        &self,
        texts: Option<Vec<String>>,
        numbers: Option<Vec<u16>>,
        pair: Option<(u8, String)>,
        array: Option<[i8; 3]>,
        set: Option<BTreeSet<u8>>,
        map: Option<BTreeMap<u8, String>>,
        options: Option<Vec<Option<u8>>>,
        nested: Option<Vec<Vec<String>>>,
        twice: Option<Option<u8>>,
    ) -> Lists {
        Lists { texts, numbers, pair, array, set, map, options, nested, twice }
    }

    #[post("/lists")]
    pub async fn lists_in_body(
        &self,
        texts: Option<Vec<String>>,
        numbers: Option<Vec<u16>>,
        pair: Option<(u8, String)>,
        array: Option<[i8; 3]>,
        set: Option<BTreeSet<u8>>,
        map: Option<BTreeMap<u8, String>>,
        options: Option<Vec<Option<u8>>>,
        nested: Option<Vec<Vec<String>>>,
        twice: Option<Option<u8>>,
    ) -> Lists {
        Lists { texts, numbers, pair, array, set, map, options, nested, twice }
    }

    #[get("/shapes")]
    pub async fn shapes(
        &self,
        external: Option<External>,
        internal: Option<Internal>,
        adjacent: Option<Adjacent>,
        untagged: Option<Untagged>,
        flat: Option<Flat>,
        named: Option<Named>,
        value: Option<Value>,
        newtype: Option<Newtype<u8>>,
        unit: Option<Unit>,
    ) -> Shapes {
        Shapes { external, internal, adjacent, untagged, flat, named, value, newtype, unit }
    }

    #[post("/shapes")]
    pub async fn shapes_in_body(
        &self,
        external: Option<External>,
        internal: Option<Internal>,
        adjacent: Option<Adjacent>,
        untagged: Option<Untagged>,
        flat: Option<Flat>,
        named: Option<Named>,
        value: Option<Value>,
        newtype: Option<Newtype<u8>>,
        unit: Option<Unit>,
    ) -> Shapes {
        Shapes { external, internal, adjacent, untagged, flat, named, value, newtype, unit }
    }

    #[get("/selves")]
    pub async fn selves(
        &self,
        tree: Option<Tree>,
        link: Option<Link>,
        pair: Option<Pair>,
        never: Option<Never>,
        links: Option<Vec<Link>>,
        newtype: Option<Newtype<Newtype<Tree>>>,
    ) -> Selves {
        Selves { tree, link, pair, never, links, newtype }
    }

    #[post("/selves")]
    pub async fn selves_in_body(
        &self,
        tree: Option<Tree>,
        link: Option<Link>,
        pair: Option<Pair>,
        never: Option<Never>,
        links: Option<Vec<Link>>,
        newtype: Option<Newtype<Newtype<Tree>>>,
    ) -> Selves {
        Selves { tree, link, pair, never, links, newtype }
    }

    #[get("/path/{number}/{text}")]
    pub async fn path(&self, number: u8, text: String, more: Option<String>) -> Value {
        json!([number, text, more])
    }

    #[get("/tree/{tree}")]
    pub async fn tree(&self, tree: Tree) -> Tree {
        tree
    }

    #[get("/link/{link}")]
    pub async fn link(&self, link: Link) -> Link {
        link
    }

    #[get("/external/{external}")]
    pub async fn external(&self, external: External) -> External {
        external
    }

    #[get("/value/{value}")]
    pub async fn value(&self, value: Value) -> Value {
        value
    }

    /// Some parameters in the path, and others in the body.
    #[put("/some/{number}")]
    pub async fn some(&self, number: i8, named: Named, link: Option<Link>) -> Value {
        json!([number, named, link])
    }
}

fn start() -> BoxFuture<'static, Result<MockRuntime>> {
    async {
        let runtime = MockRuntime::builder().start();
        runtime.run(Echo::bind()).await?;
        Ok(runtime)
    }
    .boxed()
}

const GROUPS: [&str; 4] = ["/scalars", "/lists", "/shapes", "/selves"];

/// The statuses of an endpoint that returns what it was sent.
const STATUSES: [u16; 3] = [200, 400, 422];

pub fn run(data: &[u8]) {
    thread_local! {
        static SERVER: Kept = const { Kept::new() };
    }
    SERVER.with(|kept| kept.run(start, |server| one(server, Input::new(data))));
}

fn one(server: &Server, mut input: Input<'_>) {
    match input.byte() % 8 {
        0 | 1 => raw_query(server, input),
        2 | 3 => raw_fields(server, input),
        4 => raw_path(server, input),
        5 => scalars(server, input),
        6 => lists(server, input),
        _ => shapes(server, input),
    }
}

/// Any text as a query.
fn raw_query(server: &Server, mut input: Input<'_>) {
    let path = input.choice(&GROUPS);
    let query = visible(input.rest());
    let Some(answer) = server.ask(|http| http.get(format!("{path}?{query}"))) else { return };
    answer.check(&STATUSES);
    if path != "/scalars" {
        again(server, path, &answer);
    }
}

/// Any bytes as the fields of a body.
fn raw_fields(server: &Server, mut input: Input<'_>) {
    if input.byte() % 4 == 3 {
        let number = input.byte();
        let body = input.rest().to_vec();
        let answer = server.ask(|http| http.put(format!("/some/{number}")).body(body));
        answer.expect("a client can send this").check(&STATUSES);
        return;
    }
    let path = input.choice(&GROUPS);
    let body = input.rest().to_vec();
    let answer = server.ask(|http| http.post(path).body(body)).expect("a client can send this");
    answer.check(&STATUSES);
    again(server, path, &answer);
}

/// Round trip of a value as the fields of a body.
fn again(server: &Server, path: &str, answer: &Answer) {
    let Some(returned) = answer.json() else { return };
    let body = answer.body.clone();
    let again = server.ask(|http| http.post(path).body(body)).expect("a client can send this");
    again.check(&[200]);
    let again = again.json().expect("it was accepted before");
    assert!(nearly_equal(&again, &returned), "{returned} became {again}");
}

/// Any text as a path with parameters.
fn raw_path(server: &Server, mut input: Input<'_>) {
    let path = input.choice(&["/path/7", "/path", "/tree", "/link", "/external", "/value"]);
    let rest = visible(input.rest());
    let Some(answer) = server.ask(|http| http.get(format!("{path}/{rest}"))) else { return };
    answer.check(&[200, 404, 422]);
}

/// Text as a client can put it into a URL: as it is, and the rest encoded.
fn visible(text: &[u8]) -> String {
    const REST: &percent_encoding::AsciiSet =
        &percent_encoding::CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'`');
    percent_encode(text, REST).to_string()
}

fn scalars(server: &Server, mut input: Input<'_>) {
    let sent = Scalars {
        a: input.option(Input::byte),
        b: input.option(|input| input.number() as i64),
        c: input.option(Input::number),
        d: input.option(|input| input.number() as i128),
        e: input.option(|input| f32::from_bits(input.number() as u32).to_string()),
        f: input.option(|input| f64::from_bits(input.number() as u64).to_string()),
        g: input.option(|input| input.byte() % 2 == 0),
        h: input.option(|input| char::from_u32(input.number() as u32).unwrap_or('x')),
        s: input.option(Input::text),
        n: input.option(|input| NonZeroU8::new(input.byte()).unwrap_or(NonZeroU8::MIN)),
        ip: input.option(|input| IpAddr::from(input.number().to_be_bytes())),
        u: input.option(|_| Unit),
    };
    let mut query = Vec::new();
    let mut add = |name: &'static str, value: Option<String>| {
        query.extend(value.map(|value| (name, value)));
    };
    add("a", sent.a.map(|a| a.to_string()));
    add("b", sent.b.map(|b| b.to_string()));
    add("c", sent.c.map(|c| c.to_string()));
    add("d", sent.d.map(|d| d.to_string()));
    add("e", sent.e.clone());
    add("f", sent.f.clone());
    add("g", sent.g.map(|g| g.to_string()));
    add("h", sent.h.map(|h| h.to_string()));
    add("s", sent.s.clone());
    add("n", sent.n.map(|n| n.to_string()));
    add("ip", sent.ip.map(|ip| ip.to_string()));
    add("u", sent.u.as_ref().map(|_| String::new()));
    let answer = server.ask(|http| http.get("/scalars").query(&query)).expect("it can be sent");
    // `Some` of nothing is the same as nothing in JSON.
    let sent = Scalars { u: None, ..sent };
    assert_eq!(returned::<Scalars>(&answer, &query), sent);
    let answer = server.ask(|http| http.post("/scalars").json(&sent)).expect("it can be sent");
    assert_eq!(returned::<Scalars>(&answer, &sent), sent);

    let (number, text) = (input.byte(), input.text());
    if !text.is_empty() {
        let segment = utf8_percent_encode(&text, NON_ALPHANUMERIC);
        let path = format!("/path/{number}/{segment}");
        let more = input.option(Input::text);
        let query: Vec<_> = more.iter().map(|more| ("more", more)).collect();
        let answer = server.ask(|http| http.get(path).query(&query)).expect("it can be sent");
        assert_eq!(returned::<Value>(&answer, &text), json!([number, text, more]));
    }
}

fn lists(server: &Server, mut input: Input<'_>) {
    let sent = Lists {
        texts: input.option(|input| input.list(Input::text)),
        numbers: input.option(|input| input.list(|input| input.number() as u16)),
        pair: input.option(|input| (input.byte(), input.text())),
        array: input.option(|input| [0; 3].map(|_: u8| input.byte() as i8)),
        set: input.option(|input| input.list(Input::byte).into_iter().collect()),
        map: input
            .option(|input| input.list(|input| (input.byte(), input.text())).into_iter().collect()),
        options: input.option(|input| input.list(|input| input.option(Input::byte))),
        nested: input.option(|input| input.list(|input| input.list(Input::text))),
        twice: input.option(|input| Some(input.byte())),
    };
    let answer = server.ask(|http| http.post("/lists").json(&sent)).expect("it can be sent");
    assert_eq!(returned::<Lists>(&answer, &sent), sent);

    // One text that begins like JSON is JSON, and a list without items has no text.
    let repeated = |texts: &[String]| match texts {
        [] => false,
        [only] => !only.trim_start().starts_with('['),
        _ => true,
    };
    let mut query = Vec::new();
    match &sent.texts {
        Some(texts) if repeated(texts) => {
            query.extend(texts.iter().map(|text| ("texts", text.clone())));
        }
        texts => query.extend(texts.as_ref().map(|texts| ("texts", json(texts)))),
    }
    match &sent.numbers {
        Some(numbers) if !numbers.is_empty() => {
            query.extend(numbers.iter().map(|number| ("numbers", number.to_string())));
        }
        numbers => query.extend(numbers.as_ref().map(|numbers| ("numbers", json(numbers)))),
    }
    query.extend(sent.pair.as_ref().map(|pair| ("pair", json(pair))));
    query.extend(sent.array.as_ref().map(|array| ("array", json(array))));
    query.extend(sent.set.as_ref().map(|set| ("set", json(set))));
    query.extend(sent.map.as_ref().map(|map| ("map", json(map))));
    query.extend(sent.options.as_ref().map(|options| ("options", json(options))));
    query.extend(sent.nested.as_ref().map(|nested| ("nested", json(nested))));
    query.extend(sent.twice.flatten().map(|twice| ("twice", twice.to_string())));
    let answer = server.ask(|http| http.get("/lists").query(&query)).expect("it can be sent");
    assert_eq!(returned::<Lists>(&answer, &query), sent);
}

fn shapes(server: &Server, mut input: Input<'_>) {
    let sent = Shapes {
        external: input.option(|input| external(input, 6)),
        internal: input.option(|input| internal(input, 6)),
        adjacent: input.option(|input| adjacent(input, 6)),
        untagged: input.option(|input| untagged(input, 6)),
        flat: input.option(|input| Flat {
            id: input.byte(),
            rest: input
                .list(|input| (format!("_{}", input.text()), value(input, 3)))
                .into_iter()
                .collect(),
        }),
        named: input.option(|input| named(input, 6)),
        value: input.option(|input| match value(input, 6) {
            Value::Null => json!([null]),
            value => value,
        }),
        newtype: input.option(|input| Newtype(input.byte())),
        unit: None,
    };
    let answer = server.ask(|http| http.post("/shapes").json(&sent)).expect("it can be sent");
    assert_eq!(returned::<Shapes>(&answer, &sent), sent);

    let mut query = Vec::new();
    query.extend(sent.external.as_ref().map(|external| match external {
        External::Unit => ("external", "Unit".to_owned()),
        external => ("external", json(external)),
    }));
    query.extend(sent.internal.as_ref().map(|internal| ("internal", json(internal))));
    query.extend(sent.adjacent.as_ref().map(|adjacent| ("adjacent", json(adjacent))));
    query.extend(sent.untagged.as_ref().map(|untagged| ("untagged", json(untagged))));
    query.extend(sent.flat.as_ref().map(|flat| ("flat", json(flat))));
    query.extend(sent.named.as_ref().map(|named| ("named", json(named))));
    query.extend(sent.value.as_ref().map(|value| ("value", json(value))));
    query.extend(sent.newtype.as_ref().map(|newtype| ("newtype", newtype.0.to_string())));
    let answer = server.ask(|http| http.get("/shapes").query(&query)).expect("it can be sent");
    assert_eq!(returned::<Shapes>(&answer, &query), sent);

    if let Some(external) = &sent.external {
        let text = match external {
            External::Unit => "Unit".to_owned(),
            external => json(external),
        };
        let segment = utf8_percent_encode(&text, NON_ALPHANUMERIC);
        let answer = server.ask(|http| http.get(format!("/external/{segment}")));
        let answer = answer.expect("it can be sent");
        assert_eq!(&returned::<External>(&answer, external), external);
    }
}

#[track_caller]
fn returned<T: serde::de::DeserializeOwned>(answer: &Answer, sent: &dyn std::fmt::Debug) -> T {
    assert_eq!(answer.status, 200, "{sent:?}: {answer:?}");
    serde_json::from_slice(&answer.body).expect("an echo has the type of what was sent")
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it is JSON")
}

pub fn named(input: &mut Input<'_>, depth: u8) -> Named {
    let Some(depth) = depth.checked_sub(1) else { return Named::default() };
    Named {
        number: input.number() as i64,
        text: input.option(Input::text),
        list: input.list(|input| named(input, depth)),
        map: input.list(|input| (input.text(), named(input, depth))).into_iter().collect(),
        next: input.option(|input| Box::new(named(input, depth))),
    }
}

fn external(input: &mut Input<'_>, depth: u8) -> External {
    let Some(depth) = depth.checked_sub(1) else { return External::Unit };
    match input.byte() % 4 {
        0 => External::Unit,
        1 => External::Newtype(Box::new(external(input, depth))),
        2 => External::Tuple(input.byte(), input.option(Input::text)),
        _ => External::Struct {
            a: input.option(|input| Box::new(external(input, depth))),
            b: input.list(|input| external(input, depth)),
        },
    }
}

fn internal(input: &mut Input<'_>, depth: u8) -> Internal {
    let Some(depth) = depth.checked_sub(1) else { return Internal::Unit };
    match input.byte() % 3 {
        0 => Internal::Unit,
        1 => Internal::Newtype(named(input, depth)),
        _ => Internal::Struct {
            next: input.option(|input| Box::new(internal(input, depth))),
            list: input.list(|input| internal(input, depth)),
        },
    }
}

fn adjacent(input: &mut Input<'_>, depth: u8) -> Adjacent {
    let Some(depth) = depth.checked_sub(1) else { return Adjacent::Unit };
    match input.byte() % 4 {
        0 => Adjacent::Unit,
        1 => Adjacent::Newtype(Box::new(adjacent(input, depth))),
        2 => {
            Adjacent::Tuple(input.byte() as i8, input.option(|input| u16::from(input.byte()) << 4))
        }
        _ => Adjacent::Struct { list: input.list(|input| adjacent(input, depth)) },
    }
}

fn untagged(input: &mut Input<'_>, depth: u8) -> Untagged {
    let Some(depth) = depth.checked_sub(1) else { return Untagged::Number(0) };
    match input.byte() % 4 {
        0 => Untagged::Number(input.number() as i64),
        1 => Untagged::Text(input.text()),
        2 => Untagged::List(input.list(|input| untagged(input, depth))),
        _ => Untagged::Map(
            input.list(|input| (input.text(), untagged(input, depth))).into_iter().collect(),
        ),
    }
}

/// Any JSON, except for numbers with fractions, which `serde_json` may read inexactly.
pub fn value(input: &mut Input<'_>, depth: u8) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    match input.byte() % 7 {
        0 => Value::Null,
        1 => Value::Bool(input.byte().is_multiple_of(2)),
        2 => Value::from(input.number() as u64),
        3 => Value::from(input.number() as i64),
        4 => Value::String(input.text()),
        5 => Value::Array(input.list(|input| value(input, depth))),
        _ => Value::Object(
            input.list(|input| (input.text(), value(input, depth))).into_iter().collect(),
        ),
    }
}
