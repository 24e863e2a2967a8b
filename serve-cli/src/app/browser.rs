//! `--open`: shows a running application in the browser.

use crate::output;

/// Opens `url` in the browser. Prints a warning if there is no browser, as on a server.
pub(super) fn open(url: &str) {
    if let Err(error) = open::that_detached(url) {
        output::warning(format_args!("cannot open {url} in a browser: {error}"));
    }
}
