//! Every serde type survives the trip.
#![allow(unreachable_pub, reason = "a handle has the public methods, and a test no public face")]

use std::collections::HashMap;

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
async fn five_hard_serde_types_survive_the_wire() -> Result<()> {
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
