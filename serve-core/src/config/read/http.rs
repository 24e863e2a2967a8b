//! The section `http`, of a configuration and of an application.

use super::super::data::HttpConfig;
use super::super::given::{Given, Reader, names};
use super::super::keys::LISTENER;
use super::super::node::{Entry, Place, below};
use super::super::ray;
use super::super::secrets::{HTTP_KEY, application_http_key, secret_options};
use crate::application::{GROUPS, HTTP_OPTIONS, HttpOptions, LIMITS};
use crate::deployment::OptionFault;
use crate::deployment::table::{self, Spelling, spellings};

impl Reader<'_> {
    pub(super) fn http(&mut self, section: &Given<'_>) -> HttpConfig {
        let path = &section.path;
        let entries = self.section(section.node, path, "a map of options");
        let known: Vec<Spelling> =
            spellings(&LISTENER).into_iter().chain(spellings(HTTP_OPTIONS)).collect();
        let mut given = Vec::new();
        self.sift_http(entries, path, &known, None, &mut given);
        let is_listener = |one: &Given<'_>| LISTENER.iter().any(|key| key.name == one.name);
        let (listener, options): (Vec<_>, Vec<_>) = given.into_iter().partition(is_listener);
        let at = section.node.at;
        let (mut http, _) =
            self.options(&listener, at, path, |map| table::read::<HttpConfig>(&LISTENER, map));
        http.options = self.http_options(&options, at, path, HTTP_KEY);
        http
    }

    /// Sorts the entries of a section of HTTP by the options that they give, in groups or not.
    fn sift_http<'n>(
        &mut self,
        entries: &'n [Entry],
        path: &str,
        known: &[Spelling],
        group: Option<&str>,
        given: &mut Vec<Given<'n>>,
    ) {
        for entry in entries {
            let path = below(path, &entry.key);
            if group.is_none() && (GROUPS.contains(&&*entry.key) || entry.key == LIMITS) {
                let entries = self.section(&entry.node, &path, "a map of options");
                self.sift_http(entries, &path, known, Some(&entry.key), given);
                continue;
            }
            if group.is_none() && ray::http_key(self, entry, &path) {
                continue;
            }
            let prefix = match group {
                None | Some(LIMITS) => String::new(),
                Some(group) => format!("{group}_"),
            };
            let full = format!("{prefix}{}", entry.key);
            match known.iter().find(|known| known.spelled == full) {
                Some(spelling) => {
                    self.add(given, spelling, entry, &path);
                }
                None => {
                    let names = names(known).filter_map(|name| name.strip_prefix(&*prefix));
                    let groups = GROUPS.into_iter().chain([LIMITS]).filter(|_| group.is_none());
                    self.unknown(entry, &path, names.chain(groups));
                }
            }
        }
    }

    /// Reads options of HTTP. The variables of secrets are remembered below `key`.
    fn http_options(
        &mut self,
        given: &[Given<'_>],
        at: Place,
        path: &str,
        key: &str,
    ) -> HttpOptions {
        for one in given.iter().filter(|one| secret_options().any(|o| o.name == one.name)) {
            self.remember(one.node, &below(key, one.name));
        }
        let (options, broken) = self.options(given, at, path, HttpOptions::read_unchecked);
        // Options that seem to be missing because they have faults of their own.
        let spurious = |fault: &OptionFault| {
            broken.iter().any(|name| fault.message.contains(&format!("`{name}`")))
        };
        for fault in options.faults().into_iter().filter(|fault| !spurious(fault)) {
            self.option_fault(given, at, path, fault);
        }
        options
    }

    pub(super) fn application_http(
        &mut self,
        section: &Given<'_>,
        application: &str,
    ) -> HttpOptions {
        let path = &section.path;
        let entries = self.section(section.node, path, "a map of options");
        let known: Vec<Spelling> =
            spellings(&LISTENER).into_iter().chain(spellings(HTTP_OPTIONS)).collect();
        let mut given = Vec::new();
        self.sift_http(entries, path, &known, None, &mut given);
        given.retain(|one| {
            let is_of_the_port = LISTENER.iter().any(|key| key.name == one.name)
                || HttpOptions::is_of_the_port(one.name);
            if is_of_the_port {
                let message = "an option of the port, which all applications share: put it into the \
                               section `http` of the file";
                self.fault(one.at, &one.path, message);
            }
            !is_of_the_port
        });
        self.http_options(&given, section.node.at, path, &application_http_key(application))
    }
}
