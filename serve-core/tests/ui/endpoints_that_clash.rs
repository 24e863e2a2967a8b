use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Library;

#[handle]
impl Library {
    #[get("/books/{id}")]
    pub async fn book(&self, id: u64) -> u64 {
        id
    }

    #[get("/books/{number}")]
    pub async fn numbered(&self, number: u64) -> u64 {
        number
    }

    #[delete("/books/{*path}")]
    pub async fn below(&self, path: String) -> String {
        path
    }

    // What is not compiled is no endpoint.
    #[cfg(any())]
    #[get("/shelves")]
    pub async fn absent(&self) {}

    #[get("/shelves")]
    pub async fn shelves(&self) {}

    #[cfg(all())]
    #[get("/shelves")]
    pub async fn shelves_again(&self) {}

    // Another HTTP method, and a literal segment, are told apart.
    #[get("/books/latest")]
    pub async fn latest(&self) {}

    #[put("/books/latest")]
    pub async fn replace_latest(&self) {}
}

fn main() {}
