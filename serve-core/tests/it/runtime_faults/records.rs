//! The records of calls that a mock runtime keeps.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;
use serve_core::prelude::*;

#[derive(Clone, Debug, Deserialize, Serialize)]
enum Shape {
    Point,
    Circle { radius: f64 },
    Polygon(Vec<(i32, i32)>),
}

#[deployment]
#[derive(Default)]
struct Store;

#[handle]
impl Store {
    pub async fn put(&self, bytes: Vec<u8>) -> usize {
        bytes.len()
    }

    pub async fn draw(
        &self,
        shapes: HashMap<u8, Shape>,
        name: Option<String>,
        tags: BTreeMap<String, bool>,
    ) -> usize {
        drop((name, tags));
        shapes.len()
    }

    pub async fn nothing(&self) {}
}

#[tokio::test(start_paused = true)]
async fn large_arguments_are_shown_when_they_are_asked_for() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let store = runtime.run(Store::bind()).await?;
    for number in 0..50_u8 {
        assert_eq!(store.put(vec![number; 1 << 20]).await?, 1 << 20);
    }
    let calls = runtime.calls::<Store>();
    assert_eq!(calls.len(), 50);
    for (number, call) in calls.iter().enumerate().step_by(20) {
        // A copy parses for itself, and is dropped with what it parsed.
        let call = call.clone();
        let bytes = call.arguments().unwrap()["bytes"].as_array().unwrap();
        assert!(bytes.len() == 1 << 20 && bytes.iter().all(|byte| *byte == number));
    }
    assert!(calls[1] != calls[2] && calls[1] == calls[1].clone());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn arguments_of_every_shape_are_shown_as_json() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    let store = runtime.run(Store::bind()).await?;
    let shapes = HashMap::from([
        (1, Shape::Point),
        (2, Shape::Circle { radius: 0.5 }),
        (3, Shape::Polygon(vec![(-1, 2)])),
    ]);
    for _ in 0..2 {
        // Two maps of equal content may have different orders.
        let shapes: HashMap<_, _> = shapes.clone().into_iter().collect();
        store.draw(shapes, None::<String>, BTreeMap::from([("a".to_owned(), true)])).await?;
    }
    store.nothing().await?;
    let calls = runtime.calls::<Store>();
    let shapes =
        json!({"1": "Point", "2": {"Circle": {"radius": 0.5}}, "3": {"Polygon": [[-1, 2]]}});
    let expected = json!({"shapes": shapes, "name": null, "tags": {"a": true}});
    assert_eq!(calls[0].arguments(), Some(&expected));
    assert_eq!(calls[0], calls[1]);
    assert_eq!(calls[2].arguments(), Some(&json!({})));
    assert_eq!(format!("{:?}", calls[2]), "nothing()");
    Ok(())
}
