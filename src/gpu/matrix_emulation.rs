//! Matrix units for adapters that have none, so that kernels which ask for them run anywhere: in tests, since this is slow.
//!
//! Subgroups are 32 invocations in a row. A matrix that is multiplied is not copied: where it lies stands for it, and is read when it
//! is used. That is the same as long as nothing is written there in between. A shader has one array for each operand and one for
//! results. Of a matrix of sums an invocation has every 32nd number. Halves lie two to a word.

use super::storage;

/// What is replaced wherever it stands, in this order: matrices, then halves and what becomes of them.
const WORDS: [(&str, &str); 7] = [
    ("coop_mat16x16<f32, C>", "array<f32, 8>"),
    ("coop_mat16x16<f16, A>", "vec3<u32>"),
    ("coop_mat16x16<f16, B>", "vec3<u32>"),
    ("coopMultiplyAdd(", "emulated_multiply_add("),
    ("vec4<f32>(halves)", "emulated_numbers(halves)"),
    ("vec4<f16>(", "emulated_halves("),
    ("vec4<f16>", "vec2<u32>"),
];

/// The lane, halves and what they are, the product, and its way to workgroup memory.
const HELPERS: &str = "
var<private> emulated_lane: u32;

fn emulated_halves(four: vec4<f32>) -> vec2<u32> {
    let h = half_bits(four);
    return h.xz | h.yw << vec2<u32>(16u);
}

fn emulated_numbers(halves: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(halves.x), unpack2x16float(halves.y));
}

fn emulated_place(matrix: vec3<u32>, row: u32, column: u32) -> vec2<u32> {
    let at = select(vec2<u32>(column, row), vec2<u32>(row, column), matrix.z == 1u);
    return vec2<u32>(matrix.x + at.x * matrix.y + at.y / 4u, at.y % 4u);
}

fn emulated_multiply_add(a: vec3<u32>, b: vec3<u32>, c: array<f32, 8>) -> array<f32, 8> {
    var result = c;
    let row = emulated_lane % 32u / 16u;
    for (var k = 0u; k < 16u; k += 1u) {
        let of_b = emulated_place(b, k, emulated_lane % 16u);
        let right_number = unpack2x16float(OPERAND_B[of_b.x][of_b.y / 2u])[of_b.y % 2u];
        for (var i = 0u; i < 8u; i += 1u) {
            let of_a = emulated_place(a, 2u * i + row, k);
            result[i] = fma(unpack2x16float(OPERAND_A[of_a.x][of_a.y / 2u])[of_a.y % 2u], right_number, result[i]);
        }
    }
    return result;
}

fn emulated_store(c: array<f32, 8>, first: u32, pitch: u32) {
    var sums = c;
    for (var i = 0u; i < 8u; i += 1u) {
        let place = i * 32u + emulated_lane % 32u;
        RESULTS[first + place / 16u * pitch + place % 16u / 4u][place % 4u] = sums[i];
    }
}
";

/// `text` without matrix units and 16-bit numbers, if it asks for any.
pub(super) fn emulated(text: String) -> String {
    if !text.contains("enable wgpu_cooperative_matrix;") {
        return text;
    }
    let [a, b] = ['A', 'B'].map(|operand| only_array(&text, &format!("<coop_mat16x16<f16, {operand}>>(&")));
    let helpers = HELPERS.replace("OPERAND_A", a).replace("OPERAND_B", b).replace("RESULTS", only_array(&text, "], &"));
    let mut output = String::with_capacity(text.len() + helpers.len());
    let mut subgroups = false;
    for line in text.lines().filter(|line| !line.starts_with("enable ")) {
        let line = match line {
            "    @builtin(subgroup_id) subgroup: u32," | "    @builtin(subgroup_invocation_id) member: u32," => {
                subgroups = true;
                continue;
            }
            ") {" if subgroups => {
                subgroups = false;
                ") {\n    emulated_lane = lane;\n    let subgroup = lane / 32u;\n    let member = lane % 32u;".to_owned()
            }
            line => WORDS.iter().fold(stored(&loaded(line)), |line, (from, to)| line.replace(from, to)),
        };
        output.push_str(&line);
        output.push('\n');
    }
    if !output.contains("fn half_bits(") {
        output.push_str(storage::HELPERS);
    }
    output.push_str(&helpers);
    output
}

/// The array that is named behind `before`, everywhere the same.
fn only_array<'t>(text: &'t str, before: &str) -> &'t str {
    let mut names = text.split(before).skip(1).filter_map(|rest| rest.split('[').next());
    let first = names.next().unwrap_or_else(|| panic!("nothing stands behind {before}"));
    assert!(names.all(|name| name == first), "{before} stands before {first} and others");
    first
}

/// `coopLoadT<..>(&left[place], pitch)` becomes where it lies, and whether rows follow one another.
fn loaded(line: &str) -> String {
    let Some((before, call)) = line.split_once("coopLoad") else { return line.to_owned() };
    let by_rows = u32::from(call.starts_with('T'));
    let whole = call.split_once(">>(&").and_then(|(_, rest)| rest.split_once('[')?.1.rsplit_once(')'));
    let Some((place, pitch)) = whole.and_then(|(arguments, _)| arguments.rsplit_once("], ")) else {
        panic!("a load that is not emulated: {line}");
    };
    format!("{before}vec3<u32>({place}, {pitch}, {by_rows}u);")
}

/// `coopStoreT(sums, &results[place], pitch)`
fn stored(line: &str) -> String {
    let Some((before, call)) = line.split_once("coopStoreT(") else { return line.to_owned() };
    let parts = call.rsplit_once(", &").and_then(|(sums, rest)| Some((sums, rest.split_once('[')?.1.rsplit_once("], ")?)));
    let Some((sums, (place, pitch))) = parts else { panic!("a store that is not emulated: {line}") };
    format!("{before}emulated_store({sums}, {place}, {pitch}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Precision, Storage, shader_names, specialise_for};

    #[test]
    fn every_kernel_for_matrix_units_is_valid_without_them() {
        let texts = shader_names().flat_map(|name| {
            let text = |storage| specialise_for(name, &[], Precision::Mixed, storage).ok();
            [Storage::Floats, Storage::Halves].map(text).into_iter().flatten()
        });
        let mut seen = 0;
        for text in texts.filter(|text| text.contains("enable wgpu_cooperative_matrix;")) {
            let text = emulated(text);
            let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| panic!("{}", error.emit_to_string(&text)));
            let needs = naga::valid::Capabilities::IMMEDIATES | naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32;
            naga::valid::Validator::new(naga::valid::ValidationFlags::all(), needs)
                .validate(&module)
                .unwrap_or_else(|error| panic!("{}", error.emit_to_string(&text)));
            seen += 1;
        }
        assert!(seen >= 10, "{seen}");
    }
}
