use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Library;

#[handle]
impl Library {
    #[get("books")]
    pub async fn without_a_slash(&self) {}

    #[get("/bücher")]
    pub async fn not_encoded(&self) {}

    #[get("/b%c3%bccher")]
    pub async fn encoded_in_lower_case(&self) {}

    #[get("/books/:id")]
    pub async fn parameter_of_rails(&self, id: u64) -> u64 {
        id
    }

    #[get("/books/<id>")]
    pub async fn parameter_of_flask(&self, id: u64) -> u64 {
        id
    }

    #[get("/books/{id:int}")]
    pub async fn parameter_with_a_type(&self, id: u64) -> u64 {
        id
    }

    #[get("/books/{id}/pages/{id}")]
    pub async fn parameter_twice(&self, id: u64) -> u64 {
        id
    }

    #[get("/files/{*path}/size")]
    pub async fn rest_in_the_middle(&self, path: String) -> String {
        path
    }

    #[get("/search?text={text}")]
    pub async fn query(&self, text: String) -> String {
        text
    }

    #[get("/books//new")]
    pub async fn empty_segment(&self) {}

    #[get("/-/books")]
    pub async fn reserved(&self) {}

    #[get("/books/../new")]
    pub async fn up(&self) {}
}

fn main() {}
