//! Every step reads the page, and the page of the guide shows the steps as they are.

use ocr::Line;
use serve_core::dynamic::AnyApplication;
use serve_core::prelude::*;

const PAGE: &[u8] = include_bytes!("../../page.png");

/// What the lines say that an application answers with over HTTP.
async fn read(application: impl Into<AnyApplication>) -> Result<Vec<String>> {
    let runtime = MockRuntime::builder().start();
    runtime.run_any(application.into()).await?;
    let request = runtime.http().post("/read").header("accept", "application/json");
    let response = request.body(PAGE).await?;
    assert_eq!(response.status(), 200);
    let lines: Vec<Line> = response.json().await?;
    Ok(lines.into_iter().map(|line| line.text).collect())
}

#[tokio::test]
async fn every_step_reads_the_same() -> Result<()> {
    let first = read(tutorial::one()).await?;
    assert_eq!(first.len(), 9, "{first:?}");
    assert_eq!(first[0], "ACME Hardware Store");
    assert_eq!(first[8], "Upside down line");
    assert_eq!(read(tutorial::two()).await?, first);
    assert_eq!(read(tutorial::three()).await?, first);
    assert_eq!(read(tutorial::four()).await?, first);
    assert_eq!(read(ocr::ocr(ocr::Options::default())).await?, first);
    Ok(())
}

/// The code of the guide's page is that of these files, but for what documents it.
#[test]
fn the_guide_shows_this_very_code() {
    let shown = |line: &&str| {
        let left_out = ["//!", "///", "#[derive(Debug)]", "#[expect"];
        !left_out.iter().any(|start| line.trim_start().starts_with(start))
    };
    let bare = |code: &str| code.lines().filter(shown).collect::<Vec<_>>().join("\n");
    let sources = [
        include_str!("../src/one.rs"),
        include_str!("../src/two.rs"),
        include_str!("../src/three.rs"),
        include_str!("../src/four.rs"),
        include_str!("../../ocr/src/lib.rs"),
        include_str!("../../ocr/src/reader.rs"),
        include_str!("../../ocr/src/recognise/mod.rs"),
        include_str!("../../ocr/src/orient/mod.rs"),
        include_str!("../../ocr/src/tests.rs"),
    ];
    let sources = sources.map(bare);
    let page = include_str!("../../../../docs/tutorial.md");
    let blocks: Vec<_> = page.split("```rust\n").skip(1).collect();
    assert!(blocks.len() >= 8, "the page has code");
    for block in blocks {
        let (code, _) = block.split_once("```").expect("a block ends");
        // What stands between two `// ...` is in one piece.
        for piece in code.split("// ...\n") {
            let piece = bare(piece);
            assert!(
                sources.iter().any(|source| source.contains(piece.trim())),
                "no file has\n{piece}"
            );
        }
    }
}
