//! Forms, with and without files, as the bodies of endpoints.
#![cfg(feature = "http")]

use serde_json::{Value, json};
use serve_core::http::FilePart;
use serve_core::prelude::*;
use serve_core::testing::{HttpClient, HttpResponse};

#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
struct Point {
    x: i32,
}

#[deployment]
#[derive(Default)]
struct Desk;

#[handle]
impl Desk {
    #[post("/upload/{folder}", multipart, max_body = "4KiB", header = tag)]
    #[expect(clippy::too_many_arguments, reason = "one of each kind")]
    pub async fn upload(
        &self,
        folder: String,
        tag: Option<String>,
        title: String,
        count: Option<u8>,
        file: FilePart,
        more: Option<Vec<FilePart>>,
        raw: Option<Bytes>,
        words: Option<Vec<String>>,
        at: Option<Point>,
    ) -> Value {
        let more = more.unwrap_or_default();
        json!({
            "folder": folder,
            "tag": tag,
            "title": title,
            "count": count,
            "file": [file.file_name, file.content_type, file.data.len()],
            "more": more.iter().map(|file| file.data.len()).collect::<Vec<_>>(),
            "raw": raw.map(|raw| raw.len()),
            "words": words,
            "at": at,
        })
    }

    #[post("/form", form)]
    pub async fn form(&self, name: String, age: Option<u8>, tags: Option<Vec<String>>) -> Value {
        json!([name, age, tags])
    }
}

async fn served(mode: Mode) -> Result<(MockRuntime, HttpClient)> {
    let runtime = MockRuntime::builder().mode(mode).start();
    runtime.run(Desk::bind()).await?;
    let http = runtime.http();
    Ok((runtime, http))
}

const BOUNDARY: &str = "multipart/form-data; boundary=XX";

/// A body of these parts: the parameters of each one's `Content-Disposition`, its other headers, and its
/// content.
fn body(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (disposition, headers, content) in parts {
        let head =
            format!("--XX\r\nContent-Disposition: form-data; {disposition}\r\n{headers}\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XX--\r\n");
    body
}

async fn upload(http: &HttpClient, body: Vec<u8>) -> Result<HttpResponse> {
    http.post("/upload/a").header("content-type", BOUNDARY).body(body).await
}

async fn refused(response: HttpResponse) -> Result<(u16, String)> {
    let status = response.status().as_u16();
    let body: Value = response.json().await?;
    let error = &body["error"];
    Ok((status, format!("{}: {}", error["field"].as_str().unwrap_or("-"), error["message"])))
}

const TITLE: (&str, &str, &[u8]) = ("name=\"title\"", "", b"T");
const FILE: (&str, &str, &[u8]) =
    ("name=\"file\"; filename=\"a b.png\"", "Content-Type: image/png\r\n", b"\x00\xff\r\n--X");

#[tokio::test(start_paused = true)]
async fn parts_are_parameters() -> Result<()> {
    for mode in [Mode::Local, Mode::Wire] {
        let (_runtime, http) = served(mode).await?;
        let all = body(&[
            ("name=\"title\"", "", "Größe".as_bytes()),
            ("name=\"count\"", "", b"7"),
            FILE,
            ("name=\"more\"; filename=\"1\"", "", b"1"),
            ("name=\"more\"; filename=\"2\"", "", b"22"),
            ("name=\"raw\"", "", b"\xff\xfe"),
            ("name=\"words\"", "", b"[1"),
            ("name=\"words\"", "", b"two"),
            ("name=\"at\"", "Content-Type: application/json\r\n", b"{\"x\": 3}"),
        ]);
        let request = http.post("/upload/a").header("content-type", BOUNDARY).header("tag", "t");
        assert_eq!(
            request.body(all).await?.json::<Value>().await?,
            json!({
                "folder": "a",
                "tag": "t",
                "title": "Größe",
                "count": 7,
                "file": ["a b.png", "image/png", 7],
                "more": [1, 2],
                "raw": 2,
                "words": ["[1", "two"],
                "at": {"x": 3},
            })
        );
        let least: Value = upload(&http, body(&[TITLE, FILE])).await?.json().await?;
        assert_eq!((&least["count"], &least["more"]), (&Value::Null, &json!([])));
        // What a browser sends of fields that were left empty.
        let empty = body(&[
            TITLE,
            FILE,
            ("name=\"count\"", "", b""),
            ("name=\"more\"; filename=\"\"", "Content-Type: application/octet-stream\r\n", b""),
        ]);
        assert_eq!(upload(&http, empty).await?.json::<Value>().await?, least);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn parts_that_do_not_fit_are_named() -> Result<()> {
    let (_runtime, http) = served(Mode::Local).await?;
    type Parts<'a> = &'a [(&'a str, &'a str, &'a [u8])];
    let rows: [(Parts<'_>, u16, &str); 7] = [
        (&[TITLE], 422, "file: \"missing field `file`, expected a file\""),
        (&[FILE], 422, "title: \"missing field `title`, expected a string\""),
        (&[TITLE, TITLE, FILE], 422, "title: \"given 2 times, expected once\""),
        (&[TITLE, FILE, ("name=\"count\"", "", b"x")], 422, "count: \"invalid value `x`"),
        (&[("name=\"title\"", "", b"\xff"), FILE], 422, "title: \"invalid value, expected UTF-8"),
        (
            &[TITLE, FILE, ("name=\"fole\"", "", b"")],
            422,
            "fole: \"unknown field `fole`, expected `title`",
        ),
        (&[TITLE, FILE, ("x=\"count\"", "", b"x")], 400, "-: \"a part of the body has no name"),
    ];
    for (parts, status, message) in rows {
        let (found, text) = refused(upload(&http, body(parts)).await?).await?;
        assert!(found == status && text.starts_with(message), "{found} {text} {message}");
    }
    let cut = body(&[TITLE, FILE]);
    let cut = refused(upload(&http, cut[..cut.len() - 9].to_vec()).await?).await?;
    assert_eq!(cut.0, 400);
    let large = body(&[TITLE, ("name=\"file\"; filename=\"a\"", "", &[0; 5000])]);
    assert_eq!(upload(&http, large).await?.status(), 413);
    for (content_type, status) in [
        ("", 415),
        ("application/json", 415),
        ("multipart/mixed; boundary=XX", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=YY", 400),
    ] {
        let request = http.post("/upload/a").header("content-type", content_type);
        let response = request.body(body(&[TITLE, FILE])).await?;
        assert_eq!(response.status(), status, "{content_type}");
    }
    assert_eq!(http.post("/upload/a").await?.status(), 422);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn fields_of_a_form_are_parameters() -> Result<()> {
    let (_runtime, http) = served(Mode::Local).await?;
    let send = |body: &str| {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        http.post("/form").header("content-type", form).body(body.to_owned())
    };
    let sent = send("name=Dora+%C3%A4&age=7&tags=a&tags=b").await?;
    assert_eq!(sent.json::<Value>().await?, json!(["Dora ä", 7, ["a", "b"]]));
    assert_eq!(send("name=&age=").await?.json::<Value>().await?, json!(["", null, null]));
    let rows = [
        ("age=7", 422, "name: \"missing field `name`"),
        ("name=a&nom=b", 422, "nom: \"unknown field `nom`, expected `name`, `age` or `tags`"),
        ("name=%FF", 422, "name: \"invalid value, expected UTF-8"),
        ("name=a&name=b", 422, "name: \"given 2 times"),
        ("name=a&age=300", 422, "age: \"invalid value `300`"),
    ];
    for (body, status, message) in rows {
        let (found, text) = refused(send(body).await?).await?;
        assert!(found == status && text.starts_with(message), "{found} {text}");
    }
    assert_eq!(http.post("/form").json(json!({"name": "a"})).await?.status(), 415);
    assert_eq!(http.post("/form").body("name=a").await?.status(), 415);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn forms_are_described() -> Result<()> {
    let (runtime, _) = served(Mode::Local).await?;
    let document: Value = runtime.http().get("/openapi.json").await?.json().await?;
    let body = &document["paths"]["/upload/{folder}"]["post"]["requestBody"]["content"];
    let schema = &body["multipart/form-data"]["schema"];
    let file = json!({"type": "string", "format": "binary"});
    assert_eq!(schema["properties"]["file"], file);
    assert_eq!(schema["properties"]["raw"], file);
    assert_eq!(schema["required"], json!(["title", "file"]));
    assert!(document["components"]["schemas"].get("FilePart").is_none());
    let body = &document["paths"]["/form"]["post"]["requestBody"]["content"];
    assert_eq!(body["application/x-www-form-urlencoded"]["schema"]["required"], json!(["name"]));
    Ok(())
}
