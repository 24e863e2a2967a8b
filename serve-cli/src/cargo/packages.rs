//! [`Packages`]: the packages that a program links, as a command line or a configuration names them.

use std::path::Path;

use super::error::Error;
use super::options::CargoOptions;
use super::target::Selection;
use crate::arguments::{RunArguments, TlsArguments};
use crate::remote;

/// The packages that a program links.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packages {
    /// The first package; `None` for the package of the directory.
    package: Option<String>,
    /// The application to run, if there is one.
    application: Option<String>,
    /// Further packages.
    others: Vec<String>,
    /// True if the program serves TLS.
    pub(crate) tls: bool,
}

impl Packages {
    /// Returns the packages of `run`.
    pub(crate) fn of(run: &RunArguments, options: &CargoOptions) -> Result<Self, Error> {
        if let Some(file) = run.application.file() {
            return Self::of_file(file);
        }
        let Selection { package, application, .. } =
            Selection::of(run.application.path(), options)?;
        let (package, application) = (package.map(str::to_owned), application.map(str::to_owned));
        Ok(Self { package, application, ..Self::default() })
    }

    /// Returns the packages of the applications of a configuration.
    pub(crate) fn of_file(file: &Path) -> Result<Self, Error> {
        let config = remote::read(file)?;
        let mut packages: Vec<String> = Vec::new();
        for application in &config.applications {
            let package = application.import_path.split(':').next().unwrap_or_default();
            if !packages.iter().any(|known| known == package) {
                packages.push(package.to_owned());
            }
        }
        let tls = TlsArguments::default().or_configured(&config.http.options).files().is_some();
        let others = packages.split_off(packages.len().min(1));
        Ok(Self { package: packages.pop(), application: None, others, tls })
    }

    pub(crate) fn selection(&self) -> Selection<'_> {
        Selection {
            package: self.package.as_deref(),
            application: self.application.as_deref(),
            others: &self.others,
        }
    }
}
