//! `--open`: shows a running application in the browser.

use crate::output;

/// Opens `url`. Where there is no browser, as on a server, one is told so.
pub(super) fn open(url: &str) {
    if let Err(error) = open::that_detached(url) {
        output::warning(format_args!("cannot open {url} in a browser: {error}"));
    }
}
