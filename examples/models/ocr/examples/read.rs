//! temporary
use serve_core::prelude::*;
#[tokio::main]
async fn main() -> Result<()> {
    let runtime = Runtime::builder().start().await?;
    let reader = runtime.run(ocr::ocr(Default::default())).await?;
    for path in std::env::args().skip(1) {
        let png = std::fs::read(&path)?;
        let began = tokio::time::Instant::now();
        let lines: Result<Vec<ocr::Line>, _> = reader.read(Bytes::from(png)).try_collect().await;
        let seconds = began.elapsed().as_secs_f32();
        let error = lines.as_ref().err().map(|error| error.to_string());
        let value = serde_json::json!({"path": path, "seconds": seconds, "lines": lines.unwrap_or_default(), "error": error});
        println!("{value}");
    }
    Ok(())
}
