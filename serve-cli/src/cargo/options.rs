//! The options of `cargo build` that the commands take, too, and the flags that they become.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{ArgAction, Args, ColorChoice};

use super::error::Error;

/// The options that are passed on to cargo.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Build options")]
pub(crate) struct CargoOptions {
    /// The package, instead of the package in this directory
    #[arg(id = "cargo-package", long = "package", short = 'p', value_name = "NAME")]
    pub(crate) package: Option<String>,

    #[command(flatten)]
    pub(crate) features: clap_cargo::Features,

    /// Build with optimizations
    #[arg(long, short, conflicts_with = "profile")]
    pub(crate) release: bool,

    /// Build with this profile
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    /// Build for this platform, such as aarch64-unknown-linux-gnu
    #[arg(long, value_name = "TRIPLE")]
    pub(crate) target: Option<String>,

    /// The directory for everything that cargo generates
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) target_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) manifest: clap_cargo::Manifest,

    /// Fail if Cargo.lock would have to change
    #[arg(long)]
    pub(crate) locked: bool,

    /// Do not access the network
    #[arg(long)]
    pub(crate) offline: bool,

    /// The same as --locked and --offline
    #[arg(long)]
    pub(crate) frozen: bool,

    /// The number of parallel jobs
    #[arg(long, short, value_name = "COUNT", allow_hyphen_values = true)]
    pub(crate) jobs: Option<String>,

    /// Do not stop at the first crate that does not compile
    #[arg(long)]
    pub(crate) keep_going: bool,

    /// Ignore the `rust-version` of packages
    #[arg(long)]
    pub(crate) ignore_rust_version: bool,

    /// Write a report of how long each crate took to compile
    #[arg(long, value_name = "FORMATS", num_args = 0..=1, require_equals = true)]
    pub(crate) timings: Option<Option<String>>,

    /// Override a setting of cargo's configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE|PATH")]
    pub(crate) config: Vec<String>,

    /// Enable an unstable feature of a nightly cargo; may be repeated
    #[arg(short = 'Z', value_name = "FLAG")]
    pub(crate) unstable: Vec<String>,

    /// Print the commands that cargo runs; -vv also prints the output of build scripts
    #[arg(long, short, action = ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,

    /// Do not print cargo's progress
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// When to use colors
    #[arg(long, value_name = "WHEN", value_enum)]
    pub(crate) color: Option<ColorChoice>,

    /// True if the program is to have TLS.
    #[arg(skip)]
    pub(crate) tls: bool,
}

/// The package that cargo builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Building {
    /// The user's package.
    Package,
    /// A generated package, with features and a lock file of its own.
    Launcher,
}

impl CargoOptions {
    /// Returns the features to activate one by one. Cargo allows commas and spaces between them.
    pub(crate) fn feature_names(&self) -> Vec<&str> {
        let given = self.features.features.iter();
        given.flat_map(|names| names.split([',', ' '])).filter(|name| !name.is_empty()).collect()
    }

    /// Returns the package to select: the package that is named after the command, or the value
    /// of `--package`.
    pub(crate) fn package<'a>(&'a self, named: Option<&'a str>) -> Result<Option<&'a str>, Error> {
        match (named, self.package.as_deref()) {
            (Some(named), Some(option)) if named != option => {
                Err(Error::TwoPackages { named: named.to_owned(), option: option.to_owned() })
            }
            (named, option) => Ok(named.or(option)),
        }
    }

    /// Returns the flags for `cargo metadata`.
    pub(crate) fn metadata_flags(&self) -> Vec<String> {
        let mut flags = self.configuration();
        if self.locked || self.frozen {
            flags.push("--locked".to_owned());
        }
        flags
    }

    /// Returns the flags for `cargo build`, except for the manifest and the target directory.
    pub(crate) fn build_flags(&self, building: Building) -> Vec<String> {
        let mut flags = self.configuration();
        let mut add = |given: bool, flag: &str| {
            if given {
                flags.push(flag.to_owned());
            }
        };
        // A launcher's features are part of its manifest.
        if building == Building::Package {
            add(self.features.all_features, "--all-features");
            add(self.features.no_default_features, "--no-default-features");
            let names = self.feature_names().join(",");
            add(!names.is_empty(), &format!("--features={names}"));
            // For a launcher, `cargo metadata` has already checked the user's lock file. The
            // launcher's own lock file has to change.
            add(self.locked || self.frozen, "--locked");
        }
        add(self.release, "--release");
        add(self.keep_going, "--keep-going");
        add(self.ignore_rust_version, "--ignore-rust-version");
        let valued = [
            ("profile", &self.profile),
            ("target", &self.target),
            ("jobs", &self.jobs),
            ("timings", &self.timings.clone().flatten()),
        ];
        for (name, value) in valued {
            if let Some(value) = value {
                flags.push(format!("--{name}={value}"));
            }
        }
        if self.timings == Some(None) {
            flags.push("--timings".to_owned());
        }
        if let Some(color) = self.color {
            flags.push(format!("--color={color}"));
        }
        flags
    }

    /// Removes and returns the file of Serve's own `--config FILE`: cargo's option of the same name
    /// takes a key with a value, or a `.toml` file.
    pub(crate) fn take_config_file(&mut self) -> Option<String> {
        let is_ours = |value: &String| {
            !value.contains('=') && [".yaml", ".yml"].iter().any(|ending| value.ends_with(ending))
        };
        let place = self.config.iter().position(is_ours)?;
        Some(self.config.remove(place))
    }

    /// Returns the flags that every command of cargo takes.
    fn configuration(&self) -> Vec<String> {
        let mut flags = Vec::new();
        flags.extend(self.config.iter().map(|value| format!("--config={value}")));
        flags.extend(self.unstable.iter().map(|flag| format!("-Z{flag}")));
        if self.offline || self.frozen {
            flags.push("--offline".to_owned());
        }
        flags.extend((0..self.verbose).map(|_| "--verbose".to_owned()));
        if self.quiet {
            flags.push("--quiet".to_owned());
        }
        flags
    }

    /// Sets the colors of this process.
    pub(crate) fn set_color(&self) {
        match self.color {
            Some(ColorChoice::Always) => anstream::ColorChoice::Always.write_global(),
            Some(ColorChoice::Never) => anstream::ColorChoice::Never.write_global(),
            Some(ColorChoice::Auto) | None => {}
        }
    }

    /// Sets the colors of a program that is about to be started.
    pub(crate) fn color_the_program(&self, program: &mut Command) {
        let (set, remove) = match self.color {
            Some(ColorChoice::Always) => ("CLICOLOR_FORCE", "NO_COLOR"),
            Some(ColorChoice::Never) => ("NO_COLOR", "CLICOLOR_FORCE"),
            Some(ColorChoice::Auto) | None => return,
        };
        program.env(set, "1").env_remove(remove);
    }

    /// Returns `--target-dir` as an absolute path.
    pub(crate) fn target_dir(&self) -> Result<Option<PathBuf>, Error> {
        let absolute = |directory: &Path| {
            std::path::absolute(directory).map_err(Error::file("find", directory))
        };
        self.target_dir.as_deref().map(absolute).transpose()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        cargo: CargoOptions,
    }

    fn options(flags: &[&str]) -> CargoOptions {
        Line::parse_from(["serve"].iter().chain(flags)).cargo
    }

    /// Each option, and the flag that cargo gets for it.
    const PASSED_ON: [(&[&str], &str); 20] = [
        (&["--all-features"], "--all-features"),
        (&["--no-default-features"], "--no-default-features"),
        (&["-F", "a,b", "--features", "c"], "--features=a,b,c"),
        (&["-r"], "--release"),
        (&["--release"], "--release"),
        (&["--profile", "fast"], "--profile=fast"),
        (&["--target", "wasm32-wasip1"], "--target=wasm32-wasip1"),
        (&["--locked"], "--locked"),
        (&["--offline"], "--offline"),
        (&["-j", "2"], "--jobs=2"),
        (&["-j-1"], "--jobs=-1"),
        (&["--keep-going"], "--keep-going"),
        (&["--ignore-rust-version"], "--ignore-rust-version"),
        (&["--timings"], "--timings"),
        (&["--timings=html"], "--timings=html"),
        (&["--config", "net.retry=1"], "--config=net.retry=1"),
        (&["-Z", "build-std"], "-Zbuild-std"),
        (&["-v"], "--verbose"),
        (&["-q"], "--quiet"),
        (&["--color", "never"], "--color=never"),
    ];

    #[test]
    fn options_for_cargo_are_passed_on() {
        for (given, flag) in PASSED_ON {
            assert_eq!(options(given).build_flags(Building::Package), [flag], "{given:?}");
        }
        let flags = |given: &[&str]| options(given).build_flags(Building::Package);
        assert_eq!(flags(&["--frozen"]), ["--offline", "--locked"]);
        assert_eq!(flags(&["-vv"]), ["--verbose", "--verbose"]);
        // These are passed on in other ways, or choose the package.
        let rest = ["-p", "a", "--target-dir", "t", "--manifest-path", "Cargo.toml"];
        assert!(flags(&rest).is_empty());
    }

    #[test]
    fn every_option_is_known_to_the_test_above() {
        use clap::CommandFactory;
        let covered: Vec<&str> =
            PASSED_ON.iter().flat_map(|(given, _)| given.iter().copied()).collect();
        let elsewhere = ["--package", "--target-dir", "--manifest-path", "--frozen", "--help"];
        for option in Line::command().get_arguments() {
            let long = option.get_long().map(|long| format!("--{long}"));
            let short = option.get_short().map(|short| format!("-{short}"));
            let is_covered = |name: &String| {
                elsewhere.contains(&name.as_str())
                    || covered
                        .iter()
                        .any(|word| word == name || word.starts_with(&format!("{name}=")))
            };
            assert!([long, short].iter().flatten().any(is_covered), "{option:?}");
        }
    }

    #[test]
    fn a_launcher_has_its_own_features_and_lock_file() {
        let given = ["--all-features", "--locked", "-F", "a", "--offline"];
        assert_eq!(options(&given).build_flags(Building::Launcher), ["--offline"]);
        assert_eq!(options(&["--frozen"]).metadata_flags(), ["--offline", "--locked"]);
    }

    #[test]
    fn a_package_is_named_once() {
        let both = options(&["-p", "hello"]);
        assert_eq!(both.package(None).expect("one"), Some("hello"));
        assert_eq!(both.package(Some("hello")).expect("the same"), Some("hello"));
        let error = both.package(Some("words")).expect_err("two");
        assert_eq!(
            error.to_string(),
            "two packages are named: `words`, and `hello` with `--package`"
        );
    }
}
