//! What a `config.toml` may leave out, and what it may not say.

use crate::cli::Sandbox;
use melgrad::config::{Config, ConfigError, DataConfig, ModelName, Stack};
use melgrad::train::run_directory::RunDirectory;

fn read(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    Config::read(&path)
}

#[test]
fn a_file_that_names_the_network_alone_has_that_networks_defaults() {
    for model in ModelName::ALL {
        let config = read(&format!("[model]\nname = \"{model}\"\n")).unwrap();
        assert_eq!(config, Config::new(model));
        assert_eq!(read(&config.to_toml()).unwrap(), config, "{model}: what is written is what was read");
    }
    // Recipes differ, so that defaults of the wrong network would be seen.
    assert_eq!(read("[model]\nname = \"lstm\"").unwrap().train.clip_norm, 1.0);
    assert_eq!(read("[model]\nname = \"indrnn\"").unwrap().train.clip_value, 10.0);
    assert_eq!(read("[model]\nname = \"bbnn\"").unwrap().train.batch_size, 8);
}

#[test]
fn a_file_written_by_hand_beside_weights_from_elsewhere_says_only_what_differs() {
    let text = "schema = 1\n[data]\nclasses = [\"blues\", \"jazz\"]\n[model]\nname = \"gru\"\nhidden = 64\n";
    let mut expected = Config::new(ModelName::Gru);
    expected.data = DataConfig { classes: vec!["blues".into(), "jazz".into()], ..DataConfig::default() };
    expected.model.hidden = 64;
    assert_eq!(read(text).unwrap(), expected);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    assert_eq!(RunDirectory::open(folder.path()).unwrap().1, expected, "as evaluation and prediction find it");
}

#[test]
fn what_a_file_says_stands_beside_the_defaults_of_its_network() {
    let config =
        read("train.epochs = 3\naugment.time_masks = 2\n[model]\nname = \"indrnn\"\nstack = \"residual\"\nlayers = 6\n").unwrap();
    let mut expected = Config::new(ModelName::Indrnn);
    (expected.train.epochs, expected.augment.time_masks) = (3, 2);
    (expected.model.stack, expected.model.layers) = (Stack::Residual, 6);
    assert_eq!(config, expected);
    // The edges of what is allowed.
    for text in [
        "[model]\nname = \"rnn\"\ndropout = 0\nnonlinearity = \"relu\"\n",
        "[model]\nname = \"bbnn\"\nkernels = [15, 3]\nwidth = 1\nblocks = 1\n",
        "[model]\nname = \"gru\"\nlayers = 64\nhidden = 1\n[train]\nlearning_rate = 1\nmin_learning_rate = 1\n",
        "[model]\nname = \"indrnn\"\nstack = \"dense\"\ngrowth = 8\ndense_blocks = [2, 2]\n",
    ] {
        read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

/// A file that is refused, the setting that the refusal names, and words of its remedy.
const REFUSED: [(&str, &str, &str); 31] = [
    // What no network can be told from.
    ("[model]\nname = \"transformer\"", "transformer", "`lstm`"),
    ("[model]\nname = \"lstm\"\nhiden = 3", "hiden", "`hidden`"),
    ("epochs = 3\n[model]\nname = \"lstm\"", "epochs", "`train`"),
    ("[model]\nname = \"lstm\"\n[augment]\nmasks = 3", "masks", "`time_masks`"),
    ("schema = 2\n[model]\nname = \"lstm\"", "schema = 2", "schema 1"),
    // What the network does not have.
    ("[model]\nname = \"bbnn\"\nhidden = 64", "model.hidden = 64", "bbnn has no such setting: leave it out"),
    ("[model]\nname = \"bbnn\"\nlayers = 3", "model.layers = 3", "leave it out"),
    ("[model]\nname = \"bbnn\"\ndropout = 0.5", "model.dropout = 0.5", "leave it out"),
    ("[model]\nname = \"lstm\"\ngamma = 1.5", "model.gamma = 1.5", "lstm has no such setting: leave it out"),
    ("[model]\nname = \"rnn\"\nstack = \"residual\"\nlayers = 4", "model.stack = \"residual\"", "rnn has no such setting"),
    ("[model]\nname = \"gru\"\nnonlinearity = \"relu\"", "model.nonlinearity = \"relu\"", "leave it out"),
    ("[model]\nname = \"indrnn\"\nwidth = 16", "model.width = 16", "leave it out"),
    ("[model]\nname = \"indrnn\"\ngrowth = 16", "model.growth = 16", "leave it out"),
    ("[model]\nname = \"indrnn\"\nstack = \"dense\"\nlayers = 3", "model.layers = 3", "a dense indrnn has no such setting"),
    // Values that no run can use.
    ("[model]\nname = \"indrnn\"\nstack = \"residual\"\nlayers = 5", "model.layers = 5", "say 6"),
    ("[model]\nname = \"indrnn\"\nstack = \"dense\"\nbatch_norm = \"none\"", "model.batch_norm = none", "leave it out"),
    ("[model]\nname = \"bbnn\"\nkernels = [3, 4]", "model.kernels = [3, 4]", "odd numbers from 3 to 15"),
    ("[model]\nname = \"bbnn\"\nkernels = [2, 3]", "model.kernels = [2, 3]", "odd numbers from 3 to 15"),
    ("[model]\nname = \"bbnn\"\nkernels = [5, 5]", "model.kernels = [5, 5]", "two different"),
    ("[model]\nname = \"bbnn\"\nwidth = 0", "model.width = 0", "use 1 to 1024"),
    ("[model]\nname = \"bbnn\"\npool = [0, 1]", "model.pool = [0, 1]", "1 to 64"),
    ("[model]\nname = \"lstm\"\nlayers = 0", "model.layers = 0", "use 1 to 64"),
    ("[model]\nname = \"lstm\"\nhidden = 0", "model.hidden = 0", "use 1 to 4096"),
    ("[model]\nname = \"lstm\"\ndropout = 1.0", "model.dropout = 1", "up to, not including, 1"),
    ("[model]\nname = \"lstm\"\n[train]\nlr_factor = 1.5", "train.lr_factor = 1.5", "between 0 and 1"),
    ("[model]\nname = \"lstm\"\n[train]\nmin_learning_rate = 0.01", "train.min_learning_rate = 0.01", "learning rate (0.001)"),
    ("[model]\nname = \"lstm\"\n[train]\nlearning_rate = nan", "train.learning_rate = NaN", "above 0"),
    ("[model]\nname = \"lstm\"\n[augment]\ngain_db = -1", "augment.gain_db = -1", "0 to 60"),
    ("[model]\nname = \"lstm\"\n[augment]\ntime_masks = 17", "augment.time_masks = 17", "0 to 16"),
    ("[model]\nname = \"lstm\"\n[augment]\nmel_mask_bands = 0", "augment.mel_mask_bands = 0", "set their number to 0"),
    ("[model]\nname = \"lstm\"\n[augment]\ntime_shift = 999999999", "augment.time_shift = 999999999", "frames"),
];

#[test]
fn what_no_run_can_use_is_refused_with_its_name_and_a_remedy_and_the_program_ends_with_two() {
    let sandbox = Sandbox::new();
    for (text, setting, remedy) in REFUSED {
        let error = read(text).map(|config| config.to_toml()).expect_err(text).to_string();
        assert!(error.contains(setting) && error.contains(remedy), "{text}: should say {setting} and {remedy}: {error}");
        std::fs::write(sandbox.path("settings.toml"), text).unwrap();
        let said = sandbox.bad(&["train", "music", "--config", "settings.toml"], 2);
        assert!(said.contains(setting) && said.contains(remedy), "{text}: should say {setting} and {remedy}: {said}");
    }
}

#[test]
fn a_file_that_names_no_network_is_refused_unless_a_flag_names_one() {
    for text in ["", "schema = 1\n", "[model]\nhidden = 32\n", "[train]\nepochs = 3\n"] {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains("model.name") && error.contains("under [model]"), "{text}: {error}");
        let sandbox = Sandbox::new();
        std::fs::write(sandbox.path("config.toml"), text).unwrap();
        let said = sandbox.bad(&["train", "music", "--config", "config.toml"], 2);
        assert!(said.contains("--model") && said.contains("under [model]"), "{text}: {said}");
        let said = sandbox.bad(&["predict", ".", "music"], 2);
        assert!(said.contains("model.name") && said.contains("under [model]"), "{text}: {said}");
        // With the network named, it is the data that is not there.
        sandbox.bad(&["train", "music", "--config", "config.toml", "--model", "indrnn"], 3);
    }
}
