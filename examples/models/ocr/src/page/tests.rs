use std::io::Write as _;

use png::{BitDepth, Encoder};

use super::*;

/// A PNG of 2 x 2 pixels.
fn encoded(color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
    let mut png = Vec::new();
    let mut encoder = Encoder::new(&mut png, 2, 2);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        encoder.set_palette(vec![255, 0, 0, 0, 0, 255]);
        encoder.set_trns(vec![255, 0]);
    }
    let mut writer = encoder.write_header().expect("the header fits");
    writer.write_image_data(data).expect("the data fit");
    drop(writer);
    png
}

fn pixels(color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
    let page = Page::from_png(&encoded(color, depth, data)).expect("a page");
    assert_eq!((page.width, page.height), (2, 2));
    page.pixels.to_vec()
}

#[test]
fn a_page_of_any_kind_of_png_is_red_green_and_blue() {
    use BitDepth::{Eight, One, Sixteen};
    use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
    let gray = [[10; 3], [20; 3], [30; 3], [40; 3]].concat();
    assert_eq!(pixels(Grayscale, Eight, &[10, 20, 30, 40]), gray);
    assert_eq!(pixels(Grayscale, Sixteen, &[10, 0, 20, 0, 30, 0, 40, 0]), gray);
    assert_eq!(pixels(Rgb, Eight, &gray), gray);
    let black_and_white = [[0; 3], [255; 3], [255; 3], [0; 3]].concat();
    assert_eq!(pixels(Grayscale, One, &[0b0100_0000, 0b1000_0000]), black_and_white);
    // What is transparent lies on white paper.
    let on_white = [[10; 3], [255; 3], [143; 3], [0; 3]].concat();
    assert_eq!(pixels(GrayscaleAlpha, Eight, &[10, 255, 10, 0, 30, 127, 0, 255]), on_white);
    let rgba = [[1, 2, 3, 255], [9, 9, 9, 0], [0, 0, 255, 51], [255; 4]].concat();
    let expected = [[1, 2, 3], [255; 3], [204, 204, 255], [255; 3]].concat();
    assert_eq!(pixels(Rgba, Eight, &rgba), expected);
    let red_or_nothing = [[255, 0, 0], [255; 3], [255; 3], [255, 0, 0]].concat();
    assert_eq!(pixels(Indexed, One, &[0b0100_0000, 0b1000_0000]), red_or_nothing);
}

#[test]
fn what_is_no_png_is_named() {
    let refused = |body: &[u8]| Page::from_png(body).expect_err("no page");
    let not_png = |name: &str| PageError::NotPng(name.to_owned());
    assert_eq!(refused(b""), PageError::Empty);
    assert_eq!(refused(b"\xFF\xD8\xFF\xE0...."), not_png("a JPEG"));
    assert_eq!(refused(b"%PDF-1.7"), not_png("a PDF"));
    for garbage in [&b"garbage"[..], b"BMW is a car", b"RIFF....WAVE", b"-- a note"] {
        assert_eq!(refused(garbage), not_png("no PNG"));
    }
    assert_eq!(refused(b"RIFF....WEBPVP8 "), not_png("a WebP"));
    let said = |body: &[u8]| refused(body).to_string();
    let form = b"--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n\x89PNG\r\n\x1A\n";
    assert!(said(form).contains("--data-binary"), "{}", said(form));
    assert!(said(b"\x89PNG\x1A").contains("line ends"), "{}", said(b"\x89PNG\x1A"));
    assert!(said(b"iVBORw0KGgo=").contains("base64"));
    assert_eq!(refused(b"\x89PNG\r"), PageError::Truncated);
}

#[test]
fn a_png_that_ends_early_or_is_damaged_is_refused_wherever_it_does() {
    let whole = encoded(ColorType::Grayscale, BitDepth::Eight, &[1, 2, 3, 4]);
    // Without its last chunk, which says that nothing follows, the picture is there.
    for length in 1..whole.len() - 12 {
        let error = Page::from_png(&whole[..length]).expect_err("the rest is missing");
        assert!(matches!(error, PageError::Truncated | PageError::Damaged(_)), "{length}: {error}");
    }
    for at in 8..whole.len() - 12 {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        // Its check sum is wrong; no byte of it makes a panic.
        Page::from_png(&damaged).expect_err("it is damaged");
    }
}

/// The chunks of a PNG that says it has so many pixels, and has none.
fn header_of(width: u32, height: u32) -> Vec<u8> {
    let mut png = Vec::new();
    let mut encoder = Encoder::new(&mut png, width, height);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::One);
    let mut writer = encoder.write_header().expect("the header fits");
    let data = writer.stream_writer().and_then(|mut data| Ok(data.write_all(&[0])?));
    drop(data);
    drop(writer);
    png
}

#[test]
fn the_size_is_looked_at_before_anything_is_allocated() {
    for (width, height) in [(20_000, 20_000), (10_001, 1), (1, 10_001), (10_000, 4_001)] {
        let error = Page::from_png(&header_of(width, height)).expect_err("too large");
        assert_eq!(error, PageError::TooLarge { width, height });
        assert!(error.to_string().contains("40 million"), "{error}");
    }
    let error = Page::from_png(&header_of(100, 100)).expect_err("there is no picture");
    assert!(!matches!(error, PageError::TooLarge { .. }), "{error}");
}

#[test]
fn an_animation_is_refused() {
    let mut png = Vec::new();
    let mut encoder = Encoder::new(&mut png, 2, 2);
    encoder.set_animated(2, 0).expect("two frames");
    let mut writer = encoder.write_header().expect("the header fits");
    for _ in 0..2 {
        writer.write_image_data(&[0; 4]).expect("a frame");
    }
    drop(writer);
    assert_eq!(Page::from_png(&png), Err(PageError::Animated));
}
