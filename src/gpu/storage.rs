//! What numbers products are made of and maps stored as, and the lines of shaders that say so.
//!
//! A shader that rounds operands in mixed precision has a function `operand` of one line, which returns what it is given and is
//! replaced there: precision is that of the handle of the device.
//!
//! A shader that reads or writes maps binds them as `array<Stored>`, four channels at a time, or as `array<Word>`, and has lines
//! that say what these are: numbers as they are. They are replaced as a whole where maps are stored otherwise. Which it is follows
//! from the tensors that are bound, so that no kernel reads halves as floats.

use super::{Element, Precision, Tensor};
use std::fmt::Write;

/// What the maps that a kernel is given are stored as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Storage {
    /// As they are.
    #[default]
    Floats,
    /// As floats, rounded to the nearest number of f16.
    Rounded,
    /// As f16, two to a word.
    Halves,
}

/// A line that says how numbers are stored, and what it becomes where they are rounded, and where they are halves.
pub(super) const LINES: [[&str; 3]; 11] = [
    ["alias Stored = vec4<f32>;", "alias Stored = vec4<f32>;", "alias Stored = vec2<u32>;"],
    [
        "fn unpacked(four: Stored) -> vec4<f32> { return four; }",
        "fn unpacked(four: Stored) -> vec4<f32> { return four; }",
        "fn unpacked(four: Stored) -> vec4<f32> { return vec4<f32>(unpack2x16float(four.x), unpack2x16float(four.y)); }",
    ],
    [
        "fn packed(four: vec4<f32>) -> Stored { return four; }",
        "fn packed(four: vec4<f32>) -> Stored { return nearest_halves(four); }",
        "fn packed(four: vec4<f32>) -> Stored { let h = half_bits(four); return h.xz | h.yw << vec2<u32>(16u); }",
    ],
    [
        "fn held_operand(four: Stored) -> vec4<f32> { return operand(unpacked(four)); }",
        "fn held_operand(four: Stored) -> vec4<f32> { return operand(unpacked(four)); }",
        // Rounded when it was stored.
        "fn held_operand(four: Stored) -> vec4<f32> { return unpacked(four); }",
    ],
    ["alias Word = f32;", "alias Word = f32;", "alias Word = u32;"],
    ["const PER_WORD: u32 = 1u;", "const PER_WORD: u32 = 1u;", "const PER_WORD: u32 = 2u;"],
    [
        "fn number(word: Word, place: u32) -> f32 { return word; }",
        "fn number(word: Word, place: u32) -> f32 { return word; }",
        "fn number(word: Word, place: u32) -> f32 { let pair = unpack2x16float(word); return select(pair.x, pair.y, place % 2u == 1u); }",
    ],
    [
        "fn picked(x: Word, y: Word, z: Word, w: Word) -> Stored { return Stored(x, y, z, w); }",
        "fn picked(x: Word, y: Word, z: Word, w: Word) -> Stored { return Stored(x, y, z, w); }",
        "fn picked(x: Word, y: Word, z: Word, w: Word) -> Stored { return vec2<u32>(x & 0xffffu | y & 0xffff0000u, z & 0xffffu | w & 0xffff0000u); }",
    ],
    [
        "fn word(low: f32, high: f32) -> Word { return low; }",
        "fn word(low: f32, high: f32) -> Word { return low; }",
        "fn word(low: f32, high: f32) -> Word { let h = half_bits(vec4<f32>(low, high, 0.0, 0.0)); return h.x | h.y << 16u; }",
    ],
    [
        "fn kept(four: vec4<f32>) -> vec4<f32> { return four; }",
        "fn kept(four: vec4<f32>) -> vec4<f32> { return nearest_halves(four); }",
        "fn kept(four: vec4<f32>) -> vec4<f32> { return nearest_halves(four); }",
    ],
    [
        "fn kept(value: f32) -> f32 { return value; }",
        "fn kept(value: f32) -> f32 { return nearest_half(value); }",
        "fn kept(value: f32) -> f32 { return nearest_half(value); }",
    ],
];

/// A line that says what operands of products are, and what it becomes in mixed precision.
const OPERANDS: [[&str; 2]; 3] = [
    [
        "fn operand(value: vec4<f32>) -> vec4<f32> { return value; }",
        "fn operand(value: vec4<f32>) -> vec4<f32> { return nearest_halves(value); }",
    ],
    [
        "fn operands(value: vec4<f32>) -> vec4<f32> { return value; }",
        "fn operands(value: vec4<f32>) -> vec4<f32> { return nearest_halves(value); }",
    ],
    ["fn operand(value: f32) -> f32 { return value; }", "fn operand(value: f32) -> f32 { return nearest_half(value); }"],
];

/// What the lines may ask for, at the end of the text. By integers: what pack2x16float makes of ties, of numbers beyond the largest
/// half and of what is no number is up to the driver, and a conversion there and back drivers take for nothing.
pub(super) const HELPERS: &str = "
// The bits of the nearest halves, ties to even.
fn half_bits(four: vec4<f32>) -> vec4<u32> {
    let bits = bitcast<vec4<u32>>(four);
    let magnitude = bits & vec4<u32>(0x7fffffffu);
    let odd = magnitude >> vec4<u32>(13u) & vec4<u32>(1u);
    let normal = (magnitude + vec4<u32>(0xfffu) + odd - vec4<u32>(0x38000000u)) >> vec4<u32>(13u);
    let small = vec4<u32>(round(min(abs(four), vec4<f32>(1.0)) * 16777216.0));
    var half = min(select(normal, small, magnitude < vec4<u32>(0x38800000u)), vec4<u32>(0x7c00u));
    // What is no number stays none.
    half = select(half, vec4<u32>(0x7e00u), magnitude > vec4<u32>(0x7f800000u));
    return half | bits >> vec4<u32>(16u) & vec4<u32>(0x8000u);
}

// The nearest numbers of f16, ties to even.
fn nearest_halves(value: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(value);
    let magnitude = bits & vec4<u32>(0x7fffffffu);
    let normal = (magnitude + vec4<u32>(0xfffu) + (magnitude >> vec4<u32>(13u) & vec4<u32>(1u))) & vec4<u32>(0xffffe000u);
    let small = bitcast<vec4<u32>>(round(abs(value) * 16777216.0) / 16777216.0);
    var rounded = select(normal, small, magnitude < vec4<u32>(0x38800000u));
    rounded = select(rounded, vec4<u32>(0x7f800000u), rounded >= vec4<u32>(0x47800000u));
    // What is no number stays none.
    rounded = select(rounded, magnitude, magnitude > vec4<u32>(0x7f800000u));
    return bitcast<vec4<f32>>(rounded | bits & vec4<u32>(0x80000000u));
}

fn nearest_half(value: f32) -> f32 {
    return nearest_halves(vec4<f32>(value)).x;
}
";

/// All of the text that this brings into shaders.
pub(super) fn texts() -> impl Iterator<Item = &'static str> {
    LINES.iter().flatten().chain(OPERANDS.iter().flatten()).copied().chain([HELPERS])
}

/// `text` with products of operands in that precision and maps stored like that; nothing where it does not say how it stores them.
pub(super) fn varied(text: String, precision: Precision, storage: Storage) -> Option<String> {
    let column = match storage {
        Storage::Floats => 0,
        Storage::Rounded => 1,
        Storage::Halves => 2,
    };
    let mut output = String::with_capacity(text.len() + 2048);
    // Whether a line asks for helpers, and whether the text says how it stores maps.
    let (mut asks, mut says) = (false, storage == Storage::Floats);
    for line in text.lines() {
        let maps = LINES.iter().find(|lines| lines[0] == line).map(|lines| lines[column]);
        // Halves are bound as words or fours of their own.
        says |= maps.is_some_and(|maps| maps != line && (storage == Storage::Rounded || line.starts_with("alias ")));
        let operands = OPERANDS.iter().find(|lines| lines[0] == line && precision == Precision::Mixed).map(|lines| lines[1]);
        let becomes = maps.or(operands).unwrap_or(line);
        asks |= becomes != line;
        let _ = writeln!(output, "{becomes}");
    }
    if asks {
        output.push_str(HELPERS);
    }
    says.then_some(output)
}

/// A storage variable as its line declares it.
struct Declared<'t> {
    name: &'t str,
    writes: bool,
    is_map: bool,
    /// Of halves, however maps are stored.
    is_halves: bool,
}

/// `@group(0) @binding(5) var<storage, read_write> y: array<Stored>;`
fn declared(line: &str) -> Option<Declared<'_>> {
    let (_, rest) = line.strip_prefix("@group(0) @binding(")?.split_once("var<storage, ")?;
    let (access, rest) = rest.split_once("> ")?;
    let (name, rest) = rest.split_once(": ")?;
    let is_map = ["array<Stored>", "array<Word>"].iter().any(|kind| rest.starts_with(kind));
    let is_halves = rest.starts_with("array<vec4<f16>>");
    Some(Declared { name, writes: access == "read_write", is_map, is_halves })
}

/// What the maps among `tensors` are stored as, where the shader takes them all like that; or what is wrong.
pub(super) fn of(text: &str, tensors: &[(&str, &Tensor)]) -> Result<Storage, String> {
    let mut storage = Storage::Floats;
    let bound =
        || text.lines().filter_map(declared).filter_map(|d| Some((tensors.iter().find(|(name, _)| *name == d.name)?.1, d)));
    for (tensor, declared) in bound() {
        match tensor.element() {
            Element::F16 if declared.is_halves => {}
            _ if declared.is_halves => return Err(format!("`{}` is not stored as halves, which it takes", declared.name)),
            Element::F16 if !declared.is_map => {
                return Err(format!("`{}` is stored as halves, which it does not take", declared.name));
            }
            Element::F16 => storage = Storage::Halves,
            Element::Rounded if declared.writes && storage == Storage::Floats => storage = Storage::Rounded,
            _ => {}
        }
    }
    let other = bound().find(|(tensor, declared)| declared.is_map && tensor.element() != Element::F16);
    match other {
        Some((_, declared)) if storage == Storage::Halves => {
            Err(format!("`{}` is not stored as halves, as others are", declared.name))
        }
        _ => Ok(storage),
    }
}
