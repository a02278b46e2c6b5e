//! The WGSL files themselves: listed, valid as they lie, translatable for every interface, and varied only by constants
//! that they have. Nothing here but one test needs an adapter.

use melgrad::gpu::{
    Constant, Element, Gpu, GpuError, GpuOptions, Precision, Shader, Storage, shader_names, specialise, specialise_for,
};
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use std::path::Path;

/// What a file may use: immediates, and what the variants that its name tells of are for.
fn capabilities(name: &str) -> Capabilities {
    let words: Vec<&str> = name.trim_end_matches(".wgsl").split('_').collect();
    // What is stored as halves is unpacked by a function that every Vulkan, Metal and DX12 has.
    let mut capabilities = Capabilities::IMMEDIATES | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    if words.contains(&"subgroup") || words.contains(&"wide") || words.contains(&"matrix") {
        capabilities |= Capabilities::SUBGROUP;
    }
    if words.contains(&"wide") {
        capabilities |= Capabilities::SUBGROUP | Capabilities::SHADER_INT64;
    }
    if words.contains(&"matrix") {
        capabilities |= Capabilities::SHADER_FLOAT16 | Capabilities::COOPERATIVE_MATRIX;
    }
    capabilities
}

/// naga has no HLSL for cooperative matrices.
fn has_hlsl(name: &str) -> bool {
    !capabilities(name).contains(Capabilities::COOPERATIVE_MATRIX)
}

fn texts() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut texts: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap()))
        .collect();
    texts.sort();
    texts
}

/// Also with operands rounded, and maps stored otherwise.
fn stored_texts() -> Vec<(String, String)> {
    let stored = |name: &str| {
        let stem = name.trim_end_matches(".wgsl");
        let texts = [Storage::Floats, Storage::Rounded, Storage::Halves];
        let texts = texts.map(|storage| specialise_for(stem, &[], Precision::Mixed, storage).ok());
        texts.into_iter().flatten().map(|text| (name.to_owned(), text)).collect::<Vec<_>>()
    };
    let texts = texts();
    let others: Vec<_> = texts.iter().flat_map(|(name, _)| stored(name)).collect();
    [texts, others].concat()
}

fn parse(name: &str, text: &str) -> (naga::Module, ModuleInfo) {
    let module = naga::front::wgsl::parse_str(text).unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(text)));
    let info = Validator::new(ValidationFlags::all(), capabilities(name)).validate(&module);
    let info = info.unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(text)));
    (module, info)
}

#[test]
fn every_file_of_the_folder_is_known_by_its_name() {
    let files: Vec<String> = texts().into_iter().map(|(file, _)| file).collect();
    let known: Vec<String> = shader_names().map(|name| format!("{name}.wgsl")).collect();
    assert_eq!(files, known, "the list in src/gpu/source.rs and the folder shaders/ differ");
}

#[test]
fn every_shader_is_valid_as_it_lies() {
    for (name, text) in texts() {
        let (module, _) = parse(&name, &text);
        assert!(!module.entry_points.is_empty(), "{name} has no entry point");
        let stem = name.trim_end_matches(".wgsl");
        assert_eq!(specialise(stem, &[]).unwrap(), text, "{name}: without constants nothing changes");
    }
}

#[test]
fn every_entry_point_translates_to_spir_v() {
    for (name, text) in stored_texts() {
        let (module, info) = parse(&name, &text);
        for entry in &module.entry_points {
            let shared = spv::Options { lang_version: (1, 3), ..Default::default() };
            let options = spv::PipelineOptions { shader_stage: entry.stage, entry_point: entry.name.clone() };
            let words = spv::write_vec(&module, &info, &shared, Some(&options));
            let words = words.unwrap_or_else(|error| panic!("{name} {}: {error}", entry.name));
            assert_eq!(words[0], 0x0723_0203, "the magic number of SPIR-V");
        }
    }
}

#[test]
fn every_entry_point_translates_to_metal() {
    for (name, text) in stored_texts() {
        let (module, info) = parse(&name, &text);
        for entry in &module.entry_points {
            let resources = msl::EntryPointResources { immediates_buffer: Some(0), sizes_buffer: Some(1), ..Default::default() };
            let options = msl::Options {
                lang_version: (2, 4),
                per_entry_point_map: [(entry.name.clone(), resources)].into(),
                fake_missing_bindings: true,
                ..Default::default()
            };
            let pipeline = msl::PipelineOptions { entry_point: Some((entry.stage, entry.name.clone())), ..Default::default() };
            let (source, translated) = msl::write_string(&module, &info, &options, &pipeline)
                .unwrap_or_else(|error| panic!("{name} {}: {error}", entry.name));
            let failed: Vec<_> = translated.entry_point_names.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
            assert!(failed.is_empty(), "{name} {}: {failed:?}", entry.name);
            assert!(source.contains("kernel void"), "{name} {}: no kernel", entry.name);
        }
    }
}

#[test]
fn every_entry_point_translates_to_hlsl() {
    for (name, text) in stored_texts().into_iter().filter(|(name, _)| has_hlsl(name)) {
        let (module, info) = parse(&name, &text);
        for entry in &module.entry_points {
            let target = |register| Some(hlsl::BindTarget { space: 100, register, ..Default::default() });
            let options = hlsl::Options {
                shader_model: hlsl::ShaderModel::V6_0,
                immediates_target: target(0),
                special_constants_binding: target(1),
                ..Default::default()
            };
            let pipeline = hlsl::PipelineOptions { entry_point: Some((entry.stage, entry.name.clone())) };
            let mut source = String::new();
            let translated = hlsl::Writer::new(&mut source, &options, &pipeline).write(&module, &info, None);
            let translated = translated.unwrap_or_else(|error| panic!("{name} {}: {error}", entry.name));
            let failed: Vec<_> = translated.entry_point_names.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
            assert!(failed.is_empty(), "{name} {}: {failed:?}", entry.name);
            assert!(source.contains("numthreads"), "{name} {}: no kernel", entry.name);
        }
    }
}

#[test]
fn constants_replace_whole_lines_and_wrong_ones_are_errors() {
    let varied = specialise("convolution", &[("KERNEL_TIME", 5u32.into()), ("FOLD", true.into())]).unwrap();
    assert!(varied.contains("\nconst KERNEL_TIME: u32 = 5u;\n") && varied.contains("\nconst FOLD: bool = true;\n"));
    assert!(varied.contains("\nconst KERNEL_MEL: u32 = 3u;\n"), "the others stay");
    parse("convolution", &varied);
    let third = specialise("batch_norm", &[("EPSILON", Constant::F32(1.0 / 3.0))]).unwrap();
    assert!(third.contains("\nconst EPSILON: f32 = 0.33333334f;\n"));
    parse("batch_norm", &third);

    let message = |name, constants: &[(&str, Constant)]| specialise(name, constants).unwrap_err();
    let unknown = message("convolution", &[("KERNEL_WIDTH", 5u32.into())]);
    assert!(
        matches!(unknown, GpuError::Constant { .. })
            && unknown.to_string().contains("KERNEL_WIDTH")
            && unknown.to_string().contains("KERNEL_TIME"),
        "{unknown}"
    );
    let mistyped = message("convolution", &[("KERNEL_TIME", true.into())]);
    assert!(matches!(mistyped, GpuError::Constant { .. }) && mistyped.to_string().contains("u32, not bool"), "{mistyped}");
    // One that is computed from others has no type of its own to hold on to.
    let derived = message("convolution", &[("TAPS", 1.5f32.into())]);
    assert!(matches!(derived, GpuError::Constant { .. }), "{derived}");
    assert!(matches!(message("convolutions", &[]), GpuError::UnknownShader { name } if name == "convolutions"));
}

/// A line that nobody replaces would leave a map stored as it is where others are not.
#[test]
fn shaders_say_how_they_store_maps_in_lines_that_are_replaced() {
    let takes =
        |storage| shader_names().filter(|name| specialise_for(name, &[], Precision::F32, storage).is_ok()).collect::<Vec<_>>();
    assert_eq!(takes(Storage::Floats).len(), shader_names().count());
    let halves = takes(Storage::Halves);
    for (name, text) in texts() {
        let stem = name.trim_end_matches(".wgsl");
        let reads = text.contains(": array<Stored>;") || text.contains(": array<Word>;");
        assert_eq!(reads, halves.contains(&stem), "{name}");
        for line in text.lines() {
            let says = ["alias Stored", "alias Word", "const PER_WORD", "fn unpacked(", "fn packed(", "fn number("]
                .into_iter()
                .chain(["fn word(", "fn kept(", "fn picked("])
                .any(|start| line.starts_with(start));
            if says {
                let stays = |storage| {
                    specialise_for(stem, &[], Precision::F32, storage).is_ok_and(|text| text.lines().any(|other| other == line))
                };
                assert!(!stays(Storage::Halves), "{name}: {line}");
            }
            if line.starts_with("fn operand") {
                let mixed = specialise_for(stem, &[], Precision::Mixed, Storage::Floats).unwrap();
                assert!(mixed.lines().all(|other| other != line), "{name}: {line}");
            }
        }
    }
    assert!(halves.contains(&"bottleneck_tiled") && !halves.contains(&"convolution") && !halves.contains(&"relu"));
    assert!(takes(Storage::Rounded).contains(&"convolution") && !takes(Storage::Rounded).contains(&"relu"));
}

#[test]
fn halves_are_bound_only_where_they_are_read_as_halves() {
    let gpu = Gpu::open(&GpuOptions { choice: crate::chosen(), ..GpuOptions::default() })
        .expect("these tests need an adapter, a software one will do");
    let tensor = |element| gpu.tensor("map", element, &[64]).unwrap();
    let [x, y, taps] = [Element::F16, Element::F32, Element::U32].map(tensor);
    let problem = |shader: &'static str, tensors: &[(&str, &melgrad::gpu::Tensor)]| {
        Shader(shader).dispatch(&gpu, "forward", &[], tensors).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(problem("relu", &[("x", &x), ("y", &y)]).contains("`x` is stored as halves"));
    assert!(problem("max_pool_vectors", &[("x", &x), ("y", &y), ("taps_out", &taps)]).contains("`y` is not stored as halves"));
    assert!(problem("relu", &[("x", &y), ("y", &tensor(Element::Rounded))]).contains("does not store Rounded"));
    assert_eq!(problem("max_pool_vectors", &[("x", &x), ("y", &tensor(Element::F16)), ("taps_out", &taps)]), "");
    assert!(problem("lstm_matrix", &[("weight", &y)]).contains("`weight` is not stored as halves"));
    // Of x, only the average is stored as it is.
    assert_eq!(problem("average_pool", &[("x", &x), ("y", &y)]), "");
    gpu.health().unwrap();
}

#[test]
fn a_wrong_name_in_a_dispatch_says_which() {
    let gpu = Gpu::open(&GpuOptions { choice: crate::chosen(), ..GpuOptions::default() })
        .expect("these tests need an adapter, a software one will do");
    let [x, y] = ["x", "y"].map(|name| gpu.tensor(name, Element::F32, &[4]).unwrap());
    let failure = |shader: &'static str, entry, tensors: &[(&str, &melgrad::gpu::Tensor)]| match Shader(shader).dispatch(
        &gpu,
        entry,
        &[],
        tensors,
    ) {
        Ok(_) => panic!("{shader}.{entry} took {:?}", tensors.iter().map(|(name, _)| *name).collect::<Vec<_>>()),
        Err(error) => error,
    };
    assert!(Shader("relu").dispatch(&gpu, "forward", &[], &[("x", &x), ("y", &y)]).is_ok());
    let missing = failure("relu", "forward", &[("x", &x)]);
    assert!(matches!(&missing, GpuError::Binding { problem, .. } if problem.contains("`y` is not bound")), "{missing}");
    let unknown = failure("relu", "forward", &[("x", &x), ("y", &y), ("z", &y)]);
    assert!(
        matches!(&unknown, GpuError::Binding { problem, .. } if problem.contains("`z`") && problem.contains("x, y")),
        "{unknown}"
    );
    let unused = failure("relu", "forward", &[("x", &x), ("y", &y), ("dy", &y)]);
    assert!(matches!(unused, GpuError::Binding { .. }), "a binding of another entry point is not one of this: {unused}");
    let entry = failure("relu", "backward", &[]);
    assert!(matches!(&entry, GpuError::UnknownEntry { known, .. } if known == "forward, backward_input"), "{entry}");
    assert!(matches!(failure("rely", "forward", &[]), GpuError::UnknownShader { .. }));
    gpu.health().unwrap();
}

/// Files that share a decomposition, and the functions that are the same in them.
const SHARED: [(&[&str], &[&str]); 25] = [
    (&["convolution_tiled", "convolution_tiled_back"], &["places", "neighbour", "multiply", "add_rows"]),
    (
        &["convolution_wide", "convolution_wide_back"],
        &["first_row", "row_of", "first_of", "slide", "add", "known", "rows_of", "total", "rows_there"],
    ),
    (
        &[
            "convolution_wide",
            "convolution_wide_back",
            "indrnn_wide",
            "batch_norm_wide",
            "max_pool_wide",
            "rnn_wide",
            "lstm_wide",
            "gru_wide",
        ],
        &["even", "odd", "together"],
    ),
    (&["convolution_wide", "convolution_wide_weight"], &["even", "odd"]),
    (&["rnn_wide", "lstm_wide", "gru_wide"], &["split", "join", "hyperbolic_tangent", "begin", "of_row", "keep", "unit_at"]),
    // Of three gates a lane keeps three numbers of four.
    (&["rnn_wide", "lstm_wide"], &["multiply_row", "add", "multiply", "multiply_half"]),
    (&["lstm_wide", "gru_wide"], &["logistic", "pack_units", "backward"]),
    (&["convolution_tiled", "bottleneck_tiled", "bottleneck_tiled_back"], &["multiply", "add_rows"]),
    (&["convolution_tiled_weight", "bottleneck_tiled_weight"], &["multiply"]),
    (
        &[
            "bottleneck_tiled",
            "bottleneck_tiled_back",
            "bottleneck_tiled_weight",
            "bottleneck_matrix",
            "bottleneck_matrix_back",
            "bottleneck_matrix_weight",
        ],
        &["winners", "read_x"],
    ),
    (&["bottleneck_tiled", "bottleneck_matrix"], &["channels", "write_y"]),
    (&["bottleneck_tiled_weight", "bottleneck_matrix_weight"], &["channels", "read_dy"]),
    (&["bottleneck_tiled_back", "bottleneck_matrix_back"], &["channels", "read_dx", "write_dx", "read_dy"]),
    (&["convolution_matrix", "bottleneck_matrix", "bottleneck_matrix_back"], &["lay_out", "add_rows"]),
    (&["bottleneck_matrix", "wavefront_matrix"], &["multiply", "lay_out"]),
    (&["wavefront", "wavefront_matrix"], &["cell_of", "factor"]),
    (&["batch_norm", "bottleneck"], &["add_parts"]),
    (&["batch_norm", "bottleneck", "indrnn_fold"], &["is_finite"]),
    (&["stem", "pooled"], &["add_lanes"]),
    (&["convolution_tiled", "wavefront"], &["keep_left", "keep_weights", "multiply"]),
    (&["indrnn", "indrnn_scan"], &["with_value", "through_norm"]),
    (&["convolution_matrix", "convolution_matrix_back"], &["places", "neighbour", "lay_out", "add_rows"]),
    (
        &["rnn_matrix", "lstm_matrix", "gru_matrix"],
        &["cell_of", "place_of", "keep", "keep_turned", "clear_state", "multiply", "total", "hyperbolic_tangent"],
    ),
    (&["lstm_matrix", "gru_matrix"], &["logistic", "open_gates"]),
    (
        &["rnn_register", "lstm_register", "gru_register"],
        &[
            "multiply",
            "multiply_four",
            "keep",
            "keep_all",
            "block_at",
            "ask",
            "part",
            "total",
            "set_state",
            "cell_of",
            "hyperbolic_tangent",
        ],
    ),
];

/// WGSL has no way to share text: what stands in several files must not drift apart.
#[test]
fn what_shaders_share_is_the_same_in_each() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let function = |file: &str, name: &str| {
        let text = std::fs::read_to_string(folder.join(format!("{file}.wgsl"))).unwrap();
        let start = text.find(&format!("\nfn {name}(")).unwrap_or_else(|| panic!("{file} has no function {name}"));
        let length = text[start..].find("\n}\n").unwrap();
        text[start..start + length].to_owned()
    };
    for (files, names) in SHARED {
        for (file, name) in files[1..].iter().flat_map(|file| names.iter().map(move |name| (file, name))) {
            assert_eq!(function(files[0], name), function(file, name), "{name} of {} and {file}", files[0]);
        }
    }
}
