//! What the folders promise about each other (see the crate documentation): dependencies run one way, only `src/gpu`
//! names wgpu, and no file outgrows one idea.

use std::path::{Path, PathBuf};

/// Longest file of our own text.
const MOST_LINES: usize = 400;

/// A folder, and the modules of this crate that nothing in it names.
const FORBIDDEN: [(&str, &[&str]); 12] = [
    ("src/audio", &["gpu", "layers", "models", "optim", "train", "report", "compare", "cli", "features", "dataset"]),
    ("src/features", &["gpu", "layers", "models", "optim", "train", "report", "compare", "cli", "dataset"]),
    ("src/dataset", &["gpu", "layers", "models", "optim", "train", "report", "compare", "cli"]),
    (
        "src/gpu",
        &[
            "audio",
            "features",
            "dataset",
            "layers",
            "models",
            "optim",
            "train",
            "report",
            "compare",
            "cli",
            "reference",
            "config",
        ],
    ),
    (
        "src/layers",
        &["audio", "features", "dataset", "models", "optim", "train", "report", "compare", "cli", "reference", "config"],
    ),
    ("src/models", &["audio", "features", "dataset", "optim", "train", "report", "compare", "cli", "reference"]),
    ("src/optim", &["audio", "features", "dataset", "models", "train", "report", "compare", "cli", "reference"]),
    (
        "src/reference",
        &["audio", "features", "dataset", "gpu", "layers", "models", "optim", "train", "report", "compare", "cli", "config"],
    ),
    ("src/selftest", &["audio", "features", "dataset", "models", "train", "report", "compare", "cli", "config"]),
    ("src/train", &["report", "compare", "cli"]),
    ("src/report", &["compare", "cli"]),
    // Pure functions of predictions.
    ("src/compare/statistics", &["audio", "features", "dataset", "gpu", "layers", "models", "optim", "config", "cli"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below `folder` with that extension.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Code without its comments, and without what only tests see.
fn code(text: &str) -> String {
    let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    shipped.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Whether `code` names `module` of this crate: by `crate::module`, or within `crate::{.., module, ..}`.
fn names(code: &str, module: &str) -> bool {
    code.match_indices("crate::").any(|(at, _)| {
        let rest = &code[at + "crate::".len()..];
        let first =
            |path: &str| path.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default() == module;
        match rest.strip_prefix('{') {
            Some(list) => top_level(list).into_iter().any(first),
            None => first(rest),
        }
    })
}

fn names_wgpu(text: &str) -> bool {
    ["wgpu::", "use wgpu", "extern crate wgpu"].iter().any(|name| code(text).contains(name))
}

/// The parts of `a, b::{c, d}, e}..` up to the closing brace.
fn top_level(list: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

#[test]
fn dependencies_run_one_way() {
    let mut wrong = Vec::new();
    for (folder, forbidden) in FORBIDDEN {
        for file in files(&root().join(folder), "rs") {
            let code = code(&std::fs::read_to_string(&file).unwrap());
            let named = forbidden.iter().filter(|module| names(&code, module));
            wrong.extend(named.map(|module| format!("{} names crate::{module}", file.strip_prefix(root()).unwrap().display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_src_gpu_names_wgpu() {
    let named: Vec<_> = files(&root().join("src"), "rs")
        .into_iter()
        .filter(|file| !file.starts_with(root().join("src/gpu")))
        .filter(|file| names_wgpu(&std::fs::read_to_string(file).unwrap()))
        .collect();
    assert!(named.is_empty(), "{named:#?}");
    let within = files(&root().join("src/gpu"), "rs").into_iter().any(|file| names_wgpu(&std::fs::read_to_string(file).unwrap()));
    assert!(within, "this test looks in the wrong place");
}

#[test]
fn no_file_outgrows_one_idea() {
    let folders = [("src", "rs"), ("shaders", "wgsl"), ("tests", "rs")];
    let long: Vec<_> = folders
        .into_iter()
        .flat_map(|(folder, extension)| files(&root().join(folder), extension))
        .map(|file| (std::fs::read_to_string(&file).unwrap().lines().count(), file))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .collect();
    assert!(long.is_empty(), "something wants to move out of: {long:#?}");
}

#[test]
fn a_name_is_found_wherever_it_can_stand() {
    for code in [
        "use crate::gpu::Gpu;",
        "use crate::{config::Config, gpu::{Gpu, Pass}};",
        "let x: crate::gpu::Pass;",
        "use crate::{\n    gpu,\n    layers,\n};",
    ] {
        assert!(names(code, "gpu"), "{code}");
    }
    for code in [
        "use crate::layers::gpu;",
        "use crate::gpus::Gpu;",
        "use crate::{layers::{gpu}, models};",
        "use crate::layers; let gpu = 1;",
    ] {
        assert!(!names(code, "gpu"), "{code}");
    }
    assert_eq!(code("use a; // crate::gpu\n#[cfg(test)]\nmod tests { use crate::gpu; }"), "use a; ");
}
