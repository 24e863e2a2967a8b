//! Every serde type survives the wire, and nothing but its bytes crosses it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use futures::stream;
use parking_lot::Mutex;
use serde::Deserializer;
use serde_json::{Value, json};
use serve_core::prelude::*;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
    Point { x: f64, y: f64 },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Tagged {
    Empty,
    Circle { radius: f64 },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Flat {
    name: String,
    #[serde(flatten)]
    rest: HashMap<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Untagged>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, thiserror::Error)]
#[error("refused: {0:?}")]
struct Refused(Option<Option<String>>);

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Done;

/// Options in the shapes that serde gives them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Options {
    number: Option<Option<Option<u8>>>,
    unit: Option<()>,
    done: Option<Option<Done>>,
    json: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    skipped: Option<Option<String>>,
    in_order: Vec<Option<Option<u8>>>,
    by_key: BTreeMap<Option<i8>, Option<()>>,
    either: Option<Either>,
    external: Option<Option<Change>>,
    #[serde(flatten)]
    rest: BTreeMap<String, Option<Option<bool>>>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Either {
    Tuple(Option<()>, Option<Option<u8>>),
    Struct { a: Option<Option<u8>> },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Change {
    Nothing,
    To(Option<Option<u8>>),
    Field { from: Option<()>, to: Option<Option<u8>> },
}

/// A field that may be absent, null, or a value, as JSON endpoints have it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "op")]
enum Patch {
    Rename {
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
        name: Option<Option<String>>,
    },
    Count {
        count: Option<Option<u8>>,
    },
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

/// Each holds the one before it.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Nested(Vec<Nested>);

impl Nested {
    fn of(depth: usize) -> Self {
        (1..depth).fold(Self::default(), |inner, _| Self(vec![inner]))
    }
}

#[deployment]
#[derive(Default)]
struct Echo;

#[handle]
impl Echo {
    pub async fn value(&self, value: Value) -> Value {
        value
    }

    pub async fn untagged(&self, values: Vec<Untagged>) -> Vec<Untagged> {
        values
    }

    pub async fn tagged(&self, values: Vec<Tagged>) -> Vec<Tagged> {
        values
    }

    pub async fn optional(&self, options: Options, none: Option<()>) -> (Option<()>, Options) {
        (none, options)
    }

    pub async fn option(&self, option: Option<Option<u8>>) -> Option<Option<u8>> {
        option
    }

    pub async fn failing(&self, error: Option<Option<String>>) -> Result<(), Refused> {
        Err(Refused(error))
    }

    pub async fn patches(&self, patches: Vec<Patch>) -> Vec<Patch> {
        patches
    }

    pub async fn large(&self, number: i128, bits: u32) -> (u128, f32) {
        (number.unsigned_abs(), f32::from_bits(bits))
    }

    pub async fn depth(&self, nested: Nested) -> usize {
        std::iter::successors(Some(&nested), |nested| nested.0.first()).count()
    }

    pub async fn flat(&self, flat: Flat) -> Result<Flat, String> {
        if flat.name.is_empty() { Err("no name".to_owned()) } else { Ok(flat) }
    }

    pub async fn reference(&self, object: ObjectRef<String>) -> Result<String> {
        Ok(object.await?)
    }

    pub async fn same(&self, echoes: Vec<EchoHandle>) -> Vec<EchoHandle> {
        echoes
    }

    pub async fn through(&self, echo: EchoHandle, value: Value) -> Result<Value> {
        Ok(echo.value(value).await?)
    }
}

#[tokio::test(start_paused = true)]
async fn hard_serde_types_survive_the_wire() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let echo = runtime.run(Echo::bind()).await?;
    let value = json!({ "a": [1, -2.5, null, true, "x"], "b": { "c": {} } });
    assert_eq!(echo.value(value.clone()).await?, value);
    let untagged = vec![
        Untagged::Number(-1),
        Untagged::Text("x".to_owned()),
        Untagged::Point { x: 1.5, y: 2.0 },
    ];
    assert_eq!(echo.untagged(untagged.clone()).await?, untagged);
    let tagged = vec![Tagged::Empty, Tagged::Circle { radius: 0.5 }];
    assert_eq!(echo.tagged(tagged.clone()).await?, tagged);
    let flat = Flat {
        name: "n".to_owned(),
        rest: HashMap::from([("extra".to_owned(), json!([1, { "deep": "er" }]))]),
        note: None,
        tags: Vec::new(),
    };
    assert_eq!(echo.flat(flat.clone()).await?, flat);
    let nameless = Flat { name: String::new(), ..flat };
    assert_eq!(echo.flat(nameless).await, Err(CallError::App("no name".to_owned())));
    assert_eq!(echo.reference(ObjectRef::put("here".to_owned())).await?, "here");
    assert_eq!(echo.through(echo.clone(), json!(7)).await?, json!(7));
    let [back] = &echo.same(vec![echo.clone()]).await?[..] else { panic!("one was sent") };
    assert_eq!(back.value(json!(8)).await?, json!(8));
    assert_eq!(runtime.calls::<Echo>().len(), 10);
    Ok(())
}

/// A text that can be told from another one of the same letters: by its place in memory.
#[derive(Clone, Debug)]
struct Placed(Arc<str>);

impl Serialize for Placed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Placed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer)?.into()))
    }
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The texts that the callee received or returned, in order, kept so that no place is used again.
type Places = Arc<Mutex<Vec<Placed>>>;

#[deployment]
struct Keeper(Places);

impl Keeper {
    fn keep(&self, placed: &Placed) {
        self.0.lock().push(placed.clone());
    }

    /// A new one, of which it keeps a clone.
    fn made(&self) -> Placed {
        let placed = Placed("text".into());
        self.keep(&placed);
        placed
    }
}

#[handle]
impl Keeper {
    fn new(places: Places) -> Self {
        Self(places)
    }

    pub async fn take(&self, placed: Placed) {
        self.keep(&placed);
    }

    #[retry]
    pub async fn take_again(&self, placed: Placed) {
        self.keep(&placed);
    }

    pub async fn take_reference(&self, placed: ObjectRef<Placed>) -> Result<()> {
        self.keep(&*placed.get().await?);
        Ok(())
    }

    pub async fn take_items(&self, mut items: InputStream<Placed>) -> Result<()> {
        while let Some(placed) = items.try_next().await? {
            self.keep(&placed);
        }
        Ok(())
    }

    #[batch]
    pub async fn take_batch(&self, batch: Vec<Placed>) -> Vec<()> {
        batch.iter().map(|placed| self.keep(placed)).collect()
    }

    pub async fn give(&self) -> Placed {
        self.made()
    }

    pub async fn give_reference(&self) -> ObjectRef<Placed> {
        ObjectRef::put(self.made())
    }

    pub fn give_items(&self) -> impl Stream<Item = Placed> {
        stream::iter([self.made()])
    }

    #[blocking]
    pub fn compute_items(&self) -> impl Iterator<Item = Placed> {
        [self.made()].into_iter()
    }

    #[batch]
    pub async fn give_batch(&self, batch: Vec<()>) -> Vec<Placed> {
        batch.iter().map(|()| self.made()).collect()
    }

    pub async fn fail(&self) -> Result<(), Placed> {
        Err(self.made())
    }

    pub fn fail_items(&self) -> impl Stream<Item = Result<(), Placed>> {
        stream::iter([Err(self.made())])
    }
}

/// The failure of a method itself.
fn failure<T: fmt::Debug>(outcome: Result<T, CallError<Placed>>) -> Placed {
    match outcome {
        Err(CallError::App(error)) => error,
        other => panic!("it was to fail: {other:?}"),
    }
}

/// Sends a text each way that there is, and returns the ways on which both ends have the same
/// text in memory, and those on which they have not.
async fn ways(mode: Mode) -> Result<(Vec<&'static str>, Vec<&'static str>)> {
    let (places, runtime) = (Places::default(), MockRuntime::builder().mode(mode).start());
    let keeper = runtime.run(Keeper::bind(Arc::clone(&places))).await?;
    let (mut shared, mut apart) = (Vec::new(), Vec::new());
    let mut way = |name, here: &Placed| {
        let there = std::mem::take(&mut *places.lock());
        assert!(!there.is_empty(), "{name}: it has arrived");
        for placed in &there {
            assert_eq!(placed.0, here.0, "{name}: it is the same text");
            let ways = if Arc::ptr_eq(&placed.0, &here.0) { &mut shared } else { &mut apart };
            ways.push(name);
        }
    };
    let here = Placed("text".into());

    keeper.take(here.clone()).await?;
    way("argument", &here);
    keeper.take_again(here.clone()).await?;
    way("argument that may be sent again", &here);
    keeper.take_batch(here.clone()).await?;
    way("argument of a batch", &here);
    keeper.take(ObjectRef::put(here.clone())).await?;
    way("reference where a value is due", &here);
    keeper.take_reference(ObjectRef::put(here.clone())).await?;
    way("reference", &here);
    keeper.take_items(stream::iter([here.clone()])).await?;
    way("item of an input stream", &here);

    way("result", &keeper.give().await?);
    way("result of a batch", &keeper.give_batch(()).await?);
    way("result by reference", &*keeper.give().object_ref().get().await?);
    way("reference in a result", &*keeper.give_reference().await?.get().await?);
    way("item", &keeper.give_items().next().await.expect("there is one")?);
    way("computed item", &keeper.compute_items().next().await.expect("there is one")?);
    way("error", &failure(keeper.fail().await));
    way("error as an item", &failure(keeper.fail_items().next().await.expect("there is one")));

    // Both ends are the keeper's: the one that made it, and the one that got it.
    for name in ["response as an argument", "response as a reference", "stream as an input"] {
        match name {
            "response as an argument" => keeper.take(keeper.give()).await?,
            "response as a reference" => keeper.take_reference(keeper.give()).await?,
            _ => keeper.take_items(keeper.give_items()).await?,
        }
        let made = places.lock().remove(0);
        way(name, &made);
    }
    Ok((shared, apart))
}

/// The places are kept until they were compared, so two of them are the same only if the text is.
#[tokio::test(start_paused = true)]
async fn values_never_share_memory_across_the_wire() -> Result<()> {
    let (shared, apart) = ways(Mode::Local).await?;
    assert_eq!(apart, [""; 0], "in one process everything is passed as it is");
    assert_eq!(shared.len(), 17, "{shared:?}");
    let (shared, apart) = ways(Mode::Wire).await?;
    assert_eq!(shared, [""; 0], "these were passed as they are");
    assert_eq!(apart.len(), 17, "{apart:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn options_arrive_as_sent() -> Result<()> {
    for mode in [Mode::Local, Mode::Wire] {
        let runtime = MockRuntime::builder().mode(mode).start();
        let echo = runtime.run(Echo::bind()).await?;
        for option in [None, Some(None), Some(Some(1))] {
            assert_eq!(echo.option(option).await?, option);
            let options = Options {
                number: Some(option),
                unit: option.map(|_| ()),
                done: option.map(|inner| inner.map(|_| Done)),
                json: option.map(|inner| inner.map_or(Value::Null, Value::from)),
                skipped: option.map(|inner| inner.map(|_| "text".to_owned())),
                in_order: vec![option, None, Some(None)],
                by_key: BTreeMap::from([(None, Some(())), (Some(1), None)]),
                either: Some(Either::Struct { a: option }),
                external: Some(Some(Change::To(option))),
                rest: BTreeMap::from([(
                    "rest".to_owned(),
                    option.map(|inner| inner.map(|_| true)),
                )]),
            };
            assert_eq!(
                echo.optional(options.clone(), Some(())).await?,
                (Some(()), options.clone())
            );
            let either = Some(Either::Tuple(option.map(|_| ()), option));
            let external =
                option.map(|to| to.map(|_| Change::Field { from: Some(()), to: option }));
            let others = Options { either, external, ..options };
            assert_eq!(echo.optional(others.clone(), None).await?, (None, others));
            let error = option.map(|inner| inner.map(|_| "text".to_owned()));
            let refused = echo.failing(error.clone()).await;
            assert_eq!(refused, Err(CallError::App(Refused(error.clone()))));
            let patches = vec![Patch::Rename { name: error }];
            assert_eq!(echo.patches(patches.clone()).await?, patches);
            let patches = vec![Patch::Count { count: option }];
            assert_eq!(echo.patches(patches.clone()).await?, patches);
        }
        let (number, float) = echo.large(i128::MIN, 0x7fc0_1234).await?;
        assert_eq!((number, float.to_bits()), (i128::MIN.unsigned_abs(), 0x7fc0_1234));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn too_deep_values_are_call_errors() -> Result<()> {
    let runtime = MockRuntime::builder().mode(Mode::Wire).start();
    let echo = runtime.run(Echo::bind()).await?;
    // The arguments are the first level.
    assert_eq!(echo.depth(Nested::of(127)).await?, 127);
    let Err(CallError::Codec(error)) = echo.depth(Nested::of(128)).await else {
        panic!("128 levels were sent");
    };
    assert_eq!(error, "a value is nested more than 128 levels deep");
    Ok(())
}
