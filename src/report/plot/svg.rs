//! A scene as SVG: text stays text, so it can be searched and read aloud. Nothing in it refers to anything outside.

use super::scene::{Anchor, Colour, Image, Item, Scene, Stroke, Style};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::fmt::Write;

/// Verdana is about as wide as the font that the layout was measured with; all others are narrower.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// The document. Within HTML, too: it has no ids.
pub(super) fn write(scene: &Scene) -> String {
    let [width, height] = [scene.width, scene.height].map(number);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" font-family=\"{FAMILY}\">\n<title>{}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n",
        escaped(&scene.title)
    );
    scene.items.iter().for_each(|item| {
        svg += &shape(item);
        svg.push('\n');
    });
    svg + "</svg>\n"
}

fn shape(item: &Item) -> String {
    match item {
        Item::Area { points, fill, opacity } => {
            format!("<path d=\"{}Z\" fill=\"{}\"{}/>", path(points), hex(*fill), share("fill-opacity", *opacity))
        }
        Item::Line { points, stroke } => format!("<path d=\"{}\" fill=\"none\"{}/>", path(points), line(stroke)),
        Item::Text { at, text, style } => format!("<text{}>{}</text>", placed(*at, style), escaped(text)),
        Item::Image { at: [x, y], size: [width, height], image } => {
            let [x, y, width, height] = [*x, *y, *width, *height].map(number);
            let data = encoded(image);
            format!(
                "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" href=\"{data}\"/>"
            )
        }
    }
}

fn path(points: &[[f64; 2]]) -> String {
    let mut path = String::new();
    for (i, [x, y]) in points.iter().enumerate() {
        let _ = write!(path, "{}{} {}", if i == 0 { "M" } else { "L" }, number(*x), number(*y));
    }
    path
}

fn line(stroke: &Stroke) -> String {
    let dash = stroke.dash.map(|[on, off]| format!(" stroke-dasharray=\"{} {}\"", number(on), number(off))).unwrap_or_default();
    format!(
        " stroke=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\"{}{dash}",
        hex(stroke.colour),
        number(stroke.width),
        share("stroke-opacity", stroke.opacity)
    )
}

fn placed([x, y]: [f64; 2], style: &Style) -> String {
    let [x, y, size] = [x, y, style.size].map(number);
    let anchor = match style.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let turn = if style.turn == 0.0 { String::new() } else { format!(" transform=\"rotate({} {x} {y})\"", number(style.turn)) };
    format!(" x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{}\"{anchor}{turn}", hex(style.colour))
}

fn share(name: &str, value: f64) -> String {
    if value == 1.0 { String::new() } else { format!(" {name}=\"{}\"", number(value)) }
}

fn encoded(image: &Image) -> String {
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(super::png::encode(image)))
}

fn hex(Colour(r, g, b): Colour) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// At most two decimals, no more than needed.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// Text between tags or quotes, in XML and HTML; characters that XML forbids become U+FFFD.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\0'..' ' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}
