//! The description of an application: `/openapi.json` and `/docs`.
#![cfg(feature = "http")]

use serde_json::{Value, json};
use serve_core::Bytes;
use serve_core::prelude::*;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Language {
    Spanish,
    French,
}

/// A paper and what it is about.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Paper {
    /// Its title.
    title: String,
    #[serde(default)]
    tags: Vec<String>,
}

#[deployment]
struct Library;

#[handle]
impl Library {
    fn new() -> Self {
        Self
    }

    /// Greets someone. In one of the languages that we know.
    ///
    /// This is not shown.
    #[post("/greet")]
    pub async fn greet(&self, language: Language, name: String, loud: Option<bool>) -> String {
        format!("{language:?} {name} {loud:?}")
    }

    #[get("/papers/{id}")]
    pub async fn paper(&self, id: u32, tag: Vec<String>, limit: Option<u8>) -> Result<Paper> {
        Err(Error::msg(format!("{id} {tag:?} {limit:?}")).with_status(404))
    }

    #[put("/papers/{number}", body = paper)]
    pub async fn put_paper(&self, number: u32, paper: Paper) -> Paper {
        Paper { tags: vec![number.to_string()], ..paper }
    }

    #[post("/image", body = image, max_body = "100B")]
    pub async fn image(&self, image: Bytes) -> Bytes {
        image
    }

    #[get("/words")]
    pub fn words(&self) -> impl Stream<Item = String> {
        futures::stream::empty()
    }

    #[get("/all")]
    pub fn all(&self) -> impl Stream<Item = Paper> {
        futures::stream::empty()
    }

    #[delete("/all")]
    pub async fn clear(&self) {}
}

async fn described() -> Result<(MockRuntime, Value)> {
    let runtime = MockRuntime::builder().start();
    let application = Application::new(Library::bind()).name("books").route_prefix("/books");
    runtime.run(application).await?;
    let response = runtime.http().get("/books/openapi.json").await?;
    assert_eq!(response.header("content-type"), Some("application/json"));
    let document = response.json().await?;
    Ok((runtime, document))
}

#[tokio::test(start_paused = true)]
async fn document_names_application_and_endpoints() -> Result<()> {
    let (_runtime, document) = described().await?;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "books");
    assert_eq!(document["servers"], json!([{"url": "/books"}]));
    assert_eq!(document["tags"], json!([{"name": "Library"}]));
    let mut endpoints: Vec<String> = Vec::new();
    for (path, verbs) in document["paths"].as_object().unwrap() {
        endpoints.extend(verbs.as_object().unwrap().keys().map(|verb| format!("{verb} {path}")));
    }
    endpoints.sort();
    assert_eq!(
        endpoints,
        [
            "delete /all",
            "get /all",
            "get /papers/{id}",
            "get /words",
            "post /greet",
            "post /image",
            "put /papers/{id}",
        ]
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn fields_are_properties_of_the_body() -> Result<()> {
    let (_runtime, document) = described().await?;
    let greet = &document["paths"]["/greet"]["post"];
    assert_eq!(greet["operationId"], "greet");
    assert_eq!(greet["tags"], json!(["Library"]));
    assert_eq!(greet["summary"], "Greets someone");
    assert_eq!(greet["description"], "In one of the languages that we know.");
    assert_eq!(
        greet["requestBody"],
        json!({
            "required": true,
            "content": {"application/json": {"schema": {
                "type": "object",
                "properties": {
                    "language": {"$ref": "#/components/schemas/Language"},
                    "name": {"type": "string"},
                    "loud": {"type": ["boolean", "null"]},
                },
                "required": ["language", "name"],
                "additionalProperties": false,
            }}},
        })
    );
    assert_eq!(document["components"]["schemas"]["Language"]["enum"], json!(["spanish", "french"]));
    assert_eq!(
        greet["responses"]["200"]["content"],
        json!({"text/plain; charset=utf-8": {"schema": {"type": "string"}}})
    );
    let rejected = json!({"$ref": "#/components/schemas/Serve.Error"});
    for status in ["400", "413", "415", "422"] {
        let content = &greet["responses"][status]["content"];
        assert_eq!(content["application/json"]["schema"], rejected, "{status}");
    }
    assert!(document["components"]["schemas"]["Serve.Error"].is_object());
    for status in ["408", "500", "503"] {
        assert!(greet["responses"][status]["content"]["text/plain"].is_object(), "{status}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn paths_queries_and_whole_bodies_are_described() -> Result<()> {
    let (_runtime, document) = described().await?;
    let paper = &document["paths"]["/papers/{id}"]["get"];
    let parameters = paper["parameters"].as_array().unwrap();
    let known: Vec<_> = parameters
        .iter()
        .map(|one| {
            (one["name"].as_str().unwrap(), one["in"].as_str().unwrap(), one["required"] == true)
        })
        .collect();
    assert_eq!(known, [("id", "path", true), ("tag", "query", true), ("limit", "query", false)]);
    assert_eq!(parameters[0]["schema"]["type"], "integer");
    assert!(paper.get("requestBody").is_none());
    assert!(paper["responses"].get("400").is_none());
    assert!(paper["responses"]["422"].is_object());

    let put = &document["paths"]["/papers/{id}"]["put"];
    let taken = &put["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(taken, &json!({"$ref": "#/components/schemas/Paper"}));
    // What is taken may lack `tags`; what is returned never does.
    let given = &put["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(given, &json!({"$ref": "#/components/schemas/Paper-Output"}));
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Paper"]["required"], json!(["title"]));
    assert!(schemas.get("Bytes").is_none(), "raw bytes are not described by a schema");
    assert_eq!(parameters[0]["schema"]["maximum"], u32::MAX);
    // It may fail with a status of its own.
    assert!(paper["responses"]["default"].is_object() && put["responses"].get("default").is_none());
    assert_eq!(schemas["Paper-Output"]["required"], json!(["title", "tags"]));

    let image = &document["paths"]["/image"]["post"];
    assert_eq!(
        image["requestBody"],
        json!({"required": false, "content": {"application/octet-stream": {}}})
    );
    assert_eq!(image["responses"]["200"]["content"], json!({"application/octet-stream": {}}));
    assert_eq!(image["responses"]["413"]["description"], "The body is larger than 100 bytes.");
    let clear = &document["paths"]["/all"]["delete"]["responses"];
    assert_eq!(clear["200"]["content"], json!({"text/plain": {}}));
    assert!(clear.get("422").is_none());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn streams_list_all_their_media_types() -> Result<()> {
    let (_runtime, document) = described().await?;
    let types = |path: &str| {
        let content = &document["paths"][path]["get"]["responses"]["200"]["content"];
        content.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(types("/words"), "application/json, text/event-stream, text/plain; charset=utf-8");
    assert_eq!(types("/all"), "application/json, application/x-ndjson, text/event-stream");
    let content = &document["paths"]["/all"]["get"]["responses"]["200"]["content"];
    assert_eq!(content["application/json"]["schema"]["type"], "array");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn docs_page_is_self_contained() -> Result<()> {
    let (runtime, _) = described().await?;
    let response = runtime.http().get("/books/docs").await?;
    assert_eq!(response.status(), 200);
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    let page = response.text().await?;
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "the page refers to {outside}");
    }
    Ok(())
}

/// A typed error that says its statuses, one of which requests may have for other reasons, too.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Misplaced;

impl std::fmt::Display for Misplaced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("misplaced")
    }
}

impl serve_core::http::HttpStatus for Misplaced {
    fn status(&self) -> u16 {
        409
    }

    fn statuses() -> &'static [(u16, &'static str)] {
        &[(409, "It stands elsewhere."), (422, "It stands nowhere.")]
    }
}

#[deployment]
struct Shelf;

#[handle]
impl Shelf {
    fn new() -> Self {
        Self
    }

    /// Takes `one` off.
    #[get("/{one}")]
    pub async fn take(&self, one: u32) -> Result<u32, Misplaced> {
        Ok(one)
    }

    #[routes]
    pub fn routes(self: std::sync::Arc<Self>) -> serve_core::axum::Router {
        serve_core::axum::Router::new()
    }
}

#[tokio::test(start_paused = true)]
async fn own_errors_routes_and_an_unnamed_application_are_told() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Shelf::bind()).await?;
    let document: Value = runtime.http().get("/openapi.json").await?.json().await?;
    assert_eq!(document["info"]["title"], "Shelf");
    assert!(document["info"]["description"].as_str().unwrap().contains("`#[routes]`"));
    let take = &document["paths"]["/{one}"]["get"];
    assert_eq!((&take["summary"], take.get("description")), (&json!("Takes `one` off"), None));
    let own: Vec<&String> = take["responses"]
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(status, response)| (response["x-own"] == true).then_some(status))
        .collect();
    assert_eq!(own, ["409", "422"]);
    let both = "A parameter is missing, unknown or ill-typed. Or: It stands nowhere.";
    assert_eq!(take["responses"]["422"]["description"], both);
    Ok(())
}

#[deployment]
struct Renaming;

#[handle]
impl Renaming {
    fn new() -> Self {
        Self
    }

    #[get("/{id}/pages/{page}")]
    pub async fn page(&self, id: u32, page: u32) -> u32 {
        id + page
    }

    #[delete("/{paper}/pages/{number}")]
    pub async fn tear_out(&self, number: u32, paper: u32, page: Option<u32>) -> u32 {
        number + paper + page.unwrap_or_default()
    }
}

#[tokio::test(start_paused = true)]
async fn differently_named_segments_are_one_path() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Renaming::bind()).await?;
    let document: Value = runtime.http().get("/openapi.json").await?.json().await?;
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.keys().collect::<Vec<_>>(), ["/{id}/pages/{page}"]);
    let parameters = paths["/{id}/pages/{page}"]["delete"]["parameters"].as_array().unwrap();
    let known: Vec<_> = parameters
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["in"].as_str().unwrap()))
        .collect();
    assert_eq!(known, [("page", "path"), ("id", "path"), ("page", "query")]);
    assert_eq!(runtime.http().delete("/1/pages/2?page=4").await?.text().await?, "7");
    Ok(())
}

#[deployment]
struct Own;

#[handle]
impl Own {
    fn new() -> Self {
        Self
    }

    #[get("/docs")]
    pub async fn docs(&self) -> String {
        "my own".to_owned()
    }

    #[get("/{any}")]
    pub async fn any(&self, any: String) -> String {
        any
    }
}

#[tokio::test(start_paused = true)]
async fn user_endpoints_win_over_docs() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Own::bind()).await?;
    let http = runtime.http();
    assert_eq!(http.get("/docs").await?.text().await?, "my own");
    assert_eq!(http.get("/x").await?.text().await?, "x");
    assert_eq!(http.get("/openapi.json").await?.json::<Value>().await?["openapi"], "3.1.0");
    Ok(())
}
