use serve_core::prelude::*;

#[deployment]
#[derive(Default)]
pub struct Upload;

#[handle]
impl Upload {
    #[get("/a", multipart)]
    pub async fn a(&self, text: String) -> String {
        text
    }

    #[post("/b", form, multipart)]
    pub async fn b(&self, text: String) -> String {
        text
    }

    #[post("/c", form, body = text)]
    pub async fn c(&self, text: String) -> String {
        text
    }

    #[post("/d", header = agent, cookie = text, header("x y") = tag)]
    pub async fn d(&self, text: String, tag: String) -> String {
        text + &tag
    }

    #[post("/e/{id}", header = id, body = text, cookie = text)]
    pub async fn e(&self, id: u32, text: String) -> String {
        format!("{id}{text}")
    }

    #[post("/f", status = 404)]
    pub async fn f(&self) {}

    #[post("/g", status = 201, status = 202)]
    pub async fn g(&self) {}
}

fn main() {}
