//! Each path that `#[get]` accepts is reached by the request that a client sends for it. (What it
//! refuses is in `tests/ui/paths.rs`.)
#![cfg(feature = "http")]

use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
struct Library;

#[handle]
impl Library {
    #[get("/caf%C3%A9/a%20b")]
    pub async fn encoded(&self) -> String {
        "encoded".to_owned()
    }

    #[get("/v1/models:list/~me,you;a=b/(c)!$&'*+@")]
    pub async fn punctuation(&self) -> String {
        "punctuation".to_owned()
    }

    #[get("/shelves/")]
    pub async fn with_a_slash(&self) -> String {
        "with a slash".to_owned()
    }

    #[get("/shelves")]
    pub async fn without_a_slash(&self) -> String {
        "without a slash".to_owned()
    }

    #[get("/-")]
    pub async fn dash(&self) -> String {
        "dash".to_owned()
    }

    #[get("/books/{id}/pages")]
    pub async fn pages(&self, id: String) -> String {
        format!("pages of {id}")
    }

    #[get("/books/latest")]
    pub async fn latest(&self) -> String {
        "latest".to_owned()
    }

    #[get("/files/{*path}")]
    pub async fn file(&self, path: String) -> String {
        format!("file {path}")
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_accepted_is_reached() -> Result<()> {
    let runtime = MockRuntime::builder().start();
    runtime.run(Library::bind()).await?;
    for (path, answer) in [
        ("/caf%C3%A9/a%20b", "encoded"),
        ("/v1/models:list/~me,you;a=b/(c)!$&'*+@", "punctuation"),
        ("/shelves/", "with a slash"),
        ("/shelves", "without a slash"),
        ("/-", "dash"),
        ("/books/%C3%BC/pages", "pages of ü"),
        ("/books/latest", "latest"),
        ("/files/a/b.txt", "file a/b.txt"),
    ] {
        let response = runtime.http().get(path).send().await?;
        assert_eq!((response.status().as_u16(), response.text().await?), (200, answer.to_owned()));
    }
    Ok(())
}
