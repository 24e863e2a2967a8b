//! The steps of `docs/tutorial.md`, in which a page of text is read: each is an application.
//!
//! | module | step |
//! |---|---|
//! | `one` | one deployment that does everything |
//! | `two` | a deployment for each stage |
//! | `three` | all lines at a time |
//! | `four` | each line as soon as it is read |
//!
//! The fifth is the package `ocr`.

mod four;
mod one;
mod three;
mod two;

pub use four::four;
pub use one::one;
pub use three::three;
pub use two::two;
