//! The parameters of endpoints, and the errors for wrong ones.
#![cfg(feature = "http")]

use crate::support::runtimes::mock_runtime;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use serve_core::prelude::*;
use serve_core::testing::{HttpClient, HttpResponse};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Language {
    Spanish,
    French,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Item {
    name: String,
    tags: Vec<u8>,
}

#[deployment]
struct Desk;

#[handle]
impl Desk {
    fn new() -> Self {
        Self
    }

    #[post("/greet")]
    pub async fn greet(&self, language: Language, name: String) -> String {
        format!("{language:?} {name}")
    }

    #[get("/papers/{id}")]
    pub async fn paper(
        &self,
        id: u32,
        verbose: bool,
        tag: Vec<String>,
        limit: Option<u8>,
    ) -> Value {
        json!([id, verbose, tag, limit])
    }

    #[put("/papers/{id}")]
    pub async fn rename(&self, id: u32, title: String, pages: Option<u16>) -> Value {
        json!([id, title, pages])
    }

    #[delete("/papers/{id}")]
    pub async fn remove(&self, id: u32, force: Option<bool>) -> Value {
        json!([id, force])
    }

    #[get("/files/{*path}")]
    pub async fn file(&self, path: String) -> String {
        path
    }

    #[post("/item", body = item)]
    pub async fn item(&self, item: Item, dry: Option<bool>) -> Value {
        json!([item, dry])
    }

    #[post("/sum", body = numbers)]
    pub async fn sum(&self, numbers: Vec<i64>) -> i64 {
        numbers.iter().sum()
    }

    #[post("/size", body = data, max_body = "8B")]
    pub async fn size(&self, data: serve_core::Bytes, unit: Option<String>) -> String {
        format!("{} {}", data.len(), unit.unwrap_or_default())
    }

    #[post("/nested")]
    pub async fn nested(&self, items: Vec<Item>, note: Option<String>) -> usize {
        items.len() + note.map_or(0, |note| note.len())
    }

    #[post("/maybe")]
    pub async fn maybe(&self, note: Option<String>) -> Option<String> {
        note
    }

    #[post("/nothing")]
    pub async fn nothing(&self) -> bool {
        true
    }
}

async fn desk() -> Result<(MockRuntime, HttpClient)> {
    let (runtime, _) = mock_runtime(Desk::bind()).await?;
    let http = runtime.http();
    Ok((runtime, http))
}

async fn error(response: HttpResponse) -> Result<(u16, Value)> {
    assert_eq!(response.header("content-type"), Some("application/json"));
    let status = response.status().as_u16();
    let id = response.header("x-request-id").unwrap_or_default().to_owned();
    let body: BTreeMap<String, Value> = response.json().await?;
    assert_eq!(body.len(), 1);
    assert_eq!(body["error"]["status"], status);
    assert_eq!(body["error"]["request_id"], id);
    assert!(body["error"]["code"].is_string());
    Ok((status, body["error"].clone()))
}

#[tokio::test(start_paused = true)]
async fn parameters_are_keys_of_the_json_object() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let response = http.post("/greet").json(json!({"name": "Dora", "language": "french"})).await?;
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await?, "French Dora");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn json_content_types_are_accepted() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let body = r#"{"language": "spanish", "name": "Dora"}"#;
    assert_eq!(http.post("/greet").body(body).await?.status(), 200);
    for content_type in
        ["application/json", "application/json; charset=utf-8", "application/x+json"]
    {
        let request = http.post("/greet").header("content-type", content_type).body(body);
        assert_eq!(request.await?.status(), 200, "{content_type}");
    }
    let request = http.post("/greet").header("content-type", "text/plain").body(body);
    let (status, error) = error(request.await?).await?;
    assert_eq!(status, 415);
    assert_eq!(error["message"], "the body is sent as `text/plain`, expected `application/json`");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_unknown_variant_lists_the_known_ones() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let body = json!({"language": "german", "name": "Dora"});
    let response = http.post("/greet").header("x-request-id", "dora").json(body).await?;
    assert_eq!(
        response.json::<Value>().await?,
        json!({"error": {
            "status": 422,
            "code": "invalid_input",
            "field": "language",
            "in": "body",
            "request_id": "dora",
            "message": "unknown variant `german`, expected `spanish` or `french`",
        }})
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn wrong_fields_are_422_with_what_was_expected() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let rows = [
        (
            json!({"name": "Dora"}),
            "language",
            "missing field `language`, expected `spanish` or `french`",
        ),
        (json!({"language": "french"}), "name", "missing field `name`, expected a string"),
        (
            json!({"language": "french", "name": 7}),
            "name",
            "invalid type: integer `7`, expected a string",
        ),
        (
            json!({"language": "french", "nam": "Dora"}),
            "nam",
            "unknown field `nam`, expected `language` or `name`",
        ),
    ];
    for (body, field, message) in rows {
        let (status, error) = error(http.post("/greet").json(&body).await?).await?;
        assert_eq!(status, 422, "{body}");
        assert_eq!(error["field"], field, "{body}");
        assert_eq!(error["in"], "body");
        assert_eq!(error["message"], message, "{body}");
    }
    let (status, error) = error(http.post("/greet").json(json!(["french", "Dora"])).await?).await?;
    assert_eq!(status, 422);
    assert_eq!(
        error["message"],
        "invalid type: sequence, expected an object, with `language` or `name`"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn nested_fields_are_named_by_path() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let ok = json!({"name": "a", "tags": []});
    let rows = [
        (json!([ok, {"name": "b", "tags": [1, 300]}]), "items[1].tags[1]"),
        (json!([ok, {"tags": []}]), "items[1].name"),
        (json!([ok, 7]), "items[1]"),
        (json!("x"), "items"),
    ];
    for (items, field) in rows {
        let (status, error) =
            error(http.post("/nested").json(json!({"items": items})).await?).await?;
        assert_eq!((status, error["field"].as_str()), (422, Some(field)), "{error}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn malformed_json_is_400() -> Result<()> {
    let (_runtime, http) = desk().await?;
    for body in ["nothing", "{", "{\"language\": \"german\", ", "[1,", "{} {}", "\u{0}"] {
        let (status, error) = error(http.post("/greet").body(body).await?).await?;
        assert_eq!(status, 400, "{body:?}");
        assert_eq!(error["in"], "body");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("the body is not JSON: "), "{message}");
    }
    for path in ["/greet", "/sum"] {
        let latin_1 = &b"{\"name\": \"J\xfcrgen\"}"[..];
        let (status, error) = error(http.post(path).body(latin_1).await?).await?;
        let message = error["message"].as_str().unwrap();
        assert_eq!((status, message), (400, "the body is not JSON: byte 11 is not UTF-8"));
    }
    let (status, _) = error(http.post("/sum").body("[1, 2").await?).await?;
    assert_eq!(status, 400);
    // However deep it goes, and though it is no object either.
    let (status, error_of_depth) =
        error(http.post("/greet").body("[".repeat(100_000)).await?).await?;
    assert_eq!(status, 400);
    let message = error_of_depth["message"].as_str().unwrap();
    assert!(message.contains("EOF while parsing"), "{message}");
    let declared = http.post("/greet").header("content-type", "application/json").await?;
    let (status, error) = error(declared).await?;
    assert_eq!(
        (status, error["message"].as_str()),
        (400, Some("the body is empty, expected JSON"))
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_missing_body_has_no_fields() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let (status, error) = error(http.post("/greet").await?).await?;
    assert_eq!((status, error["field"].as_str()), (422, Some("language")));
    assert_eq!(http.post("/maybe").await?.json::<Value>().await?, Value::Null);
    assert_eq!(http.post("/maybe").json(json!({})).await?.status(), 200);
    assert_eq!(http.post("/maybe").json(json!({"note": "x"})).await?.text().await?, "\"x\"");
    assert_eq!(http.post("/nothing").await?.text().await?, "true");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn query_values_follow_the_parameter_types() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let rows = [
        // A bare key is true; a repeated one a list; an unknown one is ignored.
        ("/papers/7?verbose&tag=a&tag=b&other=1", json!([7, true, ["a", "b"], null])),
        ("/papers/7?verbose=false&tag=a%20b&limit=3", json!([7, false, ["a b"], 3])),
        ("/papers/7?verbose=1&tag=1+2", json!([7, true, ["1 2"], null])),
    ];
    for (path, expected) in rows {
        assert_eq!(http.get(path).await?.json::<Value>().await?, expected, "{path}");
    }
    let built = http.get("/papers/7").query(&[("verbose", "true"), ("tag", "ä&b")]);
    assert_eq!(built.await?.json::<Value>().await?, json!([7, true, ["ä&b"], null]));
    let removed = http.delete("/papers/9?force").await?;
    assert_eq!(removed.json::<Value>().await?, json!([9, true]));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn wrong_path_and_query_values_are_422() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let rows = [
        (
            "/papers/x?verbose&tag=a",
            "id",
            "path",
            "invalid value `x`, expected a 32-bit integer that is not negative",
        ),
        (
            "/papers/7?verbose=maybe&tag=a",
            "verbose",
            "query",
            "invalid value `maybe`, expected true or false",
        ),
        ("/papers/7?tag=a", "verbose", "query", "missing field `verbose`, expected true or false"),
        (
            "/papers/7?verbose&tag=a&limit=300",
            "limit",
            "query",
            "invalid value `300`, expected an integer from 0 to 255",
        ),
    ];
    for (path, field, place, message) in rows {
        let (status, error) = error(http.get(path).await?).await?;
        assert_eq!(status, 422, "{path}");
        assert_eq!(error["field"], field, "{path}");
        assert_eq!(error["in"], place, "{path}");
        assert_eq!(error["message"], message, "{path}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn path_and_body_parameters_mix() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let response = http.put("/papers/7").json(json!({"title": "On slots"})).await?;
    assert_eq!(response.json::<Value>().await?, json!([7, "On slots", null]));
    // What is in the path is not in the body too.
    let (status, error) =
        error(http.put("/papers/7").json(json!({"title": "x", "id": 8})).await?).await?;
    assert_eq!((status, error["field"].as_str()), (422, Some("id")));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn paths_are_decoded_and_may_have_a_tail() -> Result<()> {
    let (_runtime, http) = desk().await?;
    assert_eq!(http.get("/files/a/b%20c/%C3%A4").await?.text().await?, "a/b c/ä");
    assert_eq!(http.get("/files/%ff").await?.status(), 422);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_whole_body_is_one_parameter() -> Result<()> {
    let (_runtime, http) = desk().await?;
    let item = json!({"name": "a", "tags": [1]});
    let response = http.post("/item?dry").json(&item).await?;
    assert_eq!(response.json::<Value>().await?, json!([item, true]));
    assert_eq!(http.post("/sum").json([1, 2, 3]).await?.text().await?, "6");
    let (status, error) =
        error(http.post("/item").json(json!({"name": 1, "tags": []})).await?).await?;
    assert_eq!((status, error["field"].as_str()), (422, Some("item.name")));
    let (status, _) =
        self::error(http.post("/item").header("content-type", "text/csv").body("a").await?).await?;
    assert_eq!(status, 415);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn raw_bytes_have_any_type_and_a_limit() -> Result<()> {
    let (_runtime, http) = desk().await?;
    for content_type in ["image/png", "application/json"] {
        let request = http.post("/size?unit=B").header("content-type", content_type);
        assert_eq!(request.body(vec![0xff; 8]).await?.text().await?, "8 B", "{content_type}");
    }
    let (status, error) = error(http.post("/size").body(vec![0; 9]).await?).await?;
    assert_eq!((status, error["message"].as_str()), (413, Some("the body is larger than 8 bytes")));
    let two_mib = 2 << 20;
    let name = "x".repeat(two_mib);
    let response = http.post("/greet").json(json!({"language": "french", "name": name})).await?;
    assert_eq!(response.status(), 413);
    Ok(())
}
