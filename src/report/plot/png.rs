//! A scene as PNG, drawn by tiny-skia with the font in the program: the same bytes on every machine.
//!
//! plotters would draw shapes and axes as well, but its lines are jagged, its bitmaps need an `image` of 2023, and of the
//! layout (matrix, bars, mel axis) little would be left to it; resvg renders any SVG, for six times the build time.

use super::font;
use super::scene::{Anchor, Colour, Image, Item, Scene, Stroke, Style};
use tiny_skia::{
    FillRule, FilterQuality, IntSize, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, PixmapPaint, StrokeDash, Transform,
};

/// Pixels per unit: 1,440 across.
const SCALE: f64 = 3.0;
/// Most pixels; a picture that would have more gets fewer per unit.
const MOST_PIXELS: f64 = 4e7;

pub(super) fn write(scene: &Scene) -> Vec<u8> {
    let area = (scene.width * scene.height).max(1.0);
    let scale = SCALE.min((MOST_PIXELS / area).sqrt());
    let [width, height] = [scene.width, scene.height].map(|length| (length * scale).ceil().max(1.0) as u32);
    let mut canvas = Pixmap::new(width, height).expect("its pixels are limited");
    canvas.fill(tiny_skia::Color::WHITE);
    let view = Transform::from_scale(scale as f32, scale as f32);
    scene.items.iter().for_each(|item| draw(&mut canvas, item, view));
    canvas.encode_png().expect("a picture in memory")
}

/// `image` alone.
pub(super) fn encode(image: &Image) -> Vec<u8> {
    pixmap(image).encode_png().expect("a picture in memory")
}

fn pixmap(image: &Image) -> Pixmap {
    let rgba = image.rgb.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect();
    let size = IntSize::from_wh(image.width as u32, image.height as u32).expect("an image has pixels");
    Pixmap::from_vec(rgba, size).expect("three numbers for each pixel")
}

fn draw(canvas: &mut Pixmap, item: &Item, view: Transform) {
    match item {
        Item::Area { points, fill, opacity } => {
            if let Some(path) = polygon(points, true) {
                canvas.fill_path(&path, &paint(*fill, *opacity), FillRule::Winding, view, None);
            }
        }
        Item::Line { points, stroke } => {
            if let Some(path) = polygon(points, false) {
                canvas.stroke_path(&path, &paint(stroke.colour, stroke.opacity), &pen(stroke), view, None);
            }
        }
        Item::Text { at, text, style } => {
            if let Some(path) = letters(text) {
                let [x, y] = at.map(|value| value as f32);
                let size = style.size as f32;
                let place = view.pre_concat(Transform::from_translate(x, y)).pre_rotate(style.turn as f32);
                let place = place.pre_translate(-(before(text, style) as f32), 0.0).pre_scale(size, -size);
                canvas.fill_path(&path, &paint(style.colour, 1.0), FillRule::Winding, place, None);
            }
        }
        Item::Image { at: [x, y], size: [width, height], image } => {
            let [sx, sy] = [width / image.width as f64, height / image.height as f64].map(|scale| scale as f32);
            let place = view.pre_translate(*x as f32, *y as f32).pre_scale(sx, sy);
            let paint = PixmapPaint { quality: FilterQuality::Nearest, ..PixmapPaint::default() };
            canvas.draw_pixmap(0, 0, pixmap(image).as_ref(), &paint, place, None);
        }
    }
}

/// How much of the text stands before its point.
fn before(text: &str, style: &Style) -> f64 {
    let width = font::width(text, style.size);
    match style.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => 0.5 * width,
        Anchor::End => width,
    }
}

fn polygon(points: &[[f64; 2]], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, [x, y]) in points.iter().enumerate() {
        let [x, y] = [*x as f32, *y as f32];
        if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    if closed {
        path.close();
    }
    path.finish()
}

fn pen(stroke: &Stroke) -> tiny_skia::Stroke {
    tiny_skia::Stroke {
        width: stroke.width as f32,
        line_cap: LineCap::Butt,
        line_join: LineJoin::Round,
        dash: stroke.dash.and_then(|dash| StrokeDash::new(dash.map(|length| length as f32).to_vec(), 0.0)),
        ..tiny_skia::Stroke::default()
    }
}

fn paint(Colour(r, g, b): Colour, opacity: f64) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(r, g, b, (opacity * 255.0).round() as u8);
    paint
}

/// The outline of a text of size 1, y upwards.
fn letters(text: &str) -> Option<Path> {
    let mut path = PathBuilder::new();
    let em = font::units_per_em();
    font::outline(
        text,
        |x| Pen { path: PathBuilder::new(), x: x as f32, em },
        |pen| {
            if let Some(letter) = pen.path.finish() {
                path.push_path(&letter);
            }
        },
    );
    path.finish()
}

/// Turns a glyph's outline in the font's units into a path that begins at `x`.
struct Pen {
    path: PathBuilder,
    x: f32,
    em: f32,
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> [f32; 2] {
        [self.x + x / self.em, y / self.em]
    }
}

impl ttf_parser::OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let [x, y] = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let [x, y] = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ([x1, y1], [x, y]) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ([x1, y1], [x2, y2], [x, y]) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
