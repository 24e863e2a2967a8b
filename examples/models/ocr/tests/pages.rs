//! Whole pages, read by the models themselves.

use futures::future::join_all;
use ocr::{Line, Options, Reader};
use serve_core::prelude::*;

/// A runtime with the application on it.
async fn running() -> Result<(Runtime, ocr::ReaderHandle)> {
    let runtime = Runtime::builder().start().await?;
    let reader = runtime.run(ocr::ocr(Options::default())).await?;
    Ok((runtime, reader))
}

async fn read(reader: &ocr::ReaderHandle, png: &'static [u8]) -> Result<Vec<Line>> {
    Ok(reader.read(Bytes::from_static(png)).try_collect().await?)
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[tokio::test]
async fn the_models_read_pages_of_all_kinds() -> Result<()> {
    let (_runtime, reader) = running().await?;

    let receipt = read(&reader, include_bytes!("../../page.png")).await?;
    assert_eq!(
        texts(&receipt),
        [
            "ACME Hardware Store",
            "42 Harbour Road, Bristol",
            "Invoice No. 2026-00317",
            "2 x Copper pipe 15mm 18.40",
            "1 x Pipe wrench",
            "24.99",
            "Total due: 43.39 GBP",
            "Thank you for your custom!",
            "Upside down line",
        ]
    );
    for line in &receipt {
        assert!((0.9..=1.0).contains(&line.confidence), "{line:?}");
    }
    // The last one is at the bottom right of 640 x 480 pixels.
    let [x, y] = receipt[8].corners.centre();
    assert!((470.0..520.0).contains(&x) && (430.0..460.0).contains(&y), "{:?}", receipt[8]);

    // Gray, and turned by 6 degrees: its rows are read along themselves.
    let askew = read(&reader, include_bytes!("pages/askew.png")).await?;
    assert_eq!(
        texts(&askew),
        [
            "Dear Mrs Whitlock,",
            "3 May 1926",
            "thank you for the seventeen jars of plum jam,",
            "which arrived on Tuesday, all of them whole.",
            "The cat sends her regards.",
            "Yours, E. Pemberton",
        ]
    );

    // Light on dark, accents, Chinese.
    let menu = read(&reader, include_bytes!("pages/menu.png")).await?;
    assert_eq!(
        texts(&menu),
        [
            "Crème brûlée",
            "7.50",
            "Käsespätzle mit Röstzwiebeln",
            "12.80",
            "Jalapeños en escabeche",
            "4.20",
            "北京烤鸭",
            "28.00",
            "今天不营业",
        ]
    );

    // Two columns under a headline, one bit a pixel: one column after the other.
    let columns = read(&reader, include_bytes!("pages/columns.png")).await?;
    let columns = texts(&columns);
    assert_eq!(columns.len(), 25, "{columns:?}");
    assert_eq!(columns[0], "The Two Cities");
    let is_left = |text: &&str| ["It ", "it ", "we "].iter().any(|start| text.starts_with(start));
    assert!(columns[1..13].iter().all(is_left), "{columns:?}");
    assert!(!columns[13..].iter().any(is_left), "{columns:?}");

    // On transparent ground: upright, upside down, and sideways both ways.
    let labels = read(&reader, include_bytes!("pages/labels.png")).await?;
    assert_eq!(
        texts(&labels),
        ["This side up", "Keep to the left", "Mind the gap", "Handle with care"]
    );
    Ok(())
}

#[tokio::test]
async fn pages_at_the_same_time_do_not_mix() -> Result<()> {
    let (runtime, reader) = running().await?;
    let pages = [&include_bytes!("pages/labels.png")[..], include_bytes!("pages/menu.png")];
    let alone = [read(&reader, pages[0]).await?, read(&reader, pages[1]).await?];
    let together = join_all([0, 1, 1, 0].map(|page| read(&reader, pages[page]))).await;
    for (lines, page) in together.into_iter().zip([0, 1, 1, 0]) {
        assert_eq!(texts(&lines?), texts(&alone[page]));
    }
    let reader_status = &runtime.status().applications["default"].deployments[Reader::NAME];
    assert_eq!(reader_status.replicas.len(), 1);
    Ok(())
}

#[tokio::test]
async fn pages_without_text_have_no_lines() -> Result<()> {
    let (_runtime, reader) = running().await?;
    for (width, height) in [(1, 1), (1, 700), (2_000, 3), (800, 600)] {
        for gray in [0, 255] {
            let lines: Vec<Line> =
                reader.read(Bytes::from(plain(width, height, gray))).try_collect().await?;
            assert_eq!(lines, [], "{width} x {height} of {gray}");
        }
    }
    Ok(())
}

fn plain(width: u32, height: u32, gray: u8) -> Vec<u8> {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().expect("the header fits");
    let data = vec![gray; width as usize * height as usize];
    writer.write_image_data(&data).expect("the data fit");
    drop(writer);
    png
}
