//! Reading documents from files: those that come with the example, or your own.
//!
//! A line `# Title` begins a document. A text before the first one is a document that is called by
//! its file. A document's id is its title in small letters: `the-fox-and-the-grapes`.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::api::{Document, MAX_NAME};

/// Public-domain texts; `NOTICE` has their sources.
const TEXTS: [(&str, &str); 4] = [
    ("aesop", include_str!("../corpus/aesop.md")),
    ("alice", include_str!("../corpus/alice.md")),
    ("constitution", include_str!("../corpus/constitution.md")),
    ("sonnets", include_str!("../corpus/sonnets.md")),
];

/// Why a corpus cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A file or directory cannot be read.
    #[error("`corpus`: cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is nothing to index.
    #[error("`corpus`: there is no text in {}; it may be a text file, or a directory with files \
             that end in .md or .txt", path.display())]
    Empty {
        /// Where.
        path: PathBuf,
    },
    /// A document is refused.
    #[error("`corpus`: {}: the document {title:?}: {reason}", path.display())]
    Refused {
        /// Of which file.
        path: PathBuf,
        /// Its title.
        title: String,
        /// Why.
        reason: String,
    },
}

/// The texts that come with the example.
///
/// # Errors
/// None: a test reads them.
pub fn own() -> Result<Vec<Document>, CorpusError> {
    let texts = TEXTS.iter().map(|(name, text)| (PathBuf::from(name), (*text).to_owned()));
    documents(texts.collect())
}

/// The documents of a text file, or of the `.md` and `.txt` files of a directory, in the order of
/// their names.
///
/// # Errors
/// If something cannot be read or is no text, and if there is nothing in it.
pub fn read(path: &Path) -> Result<Vec<Document>, CorpusError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| CorpusError::Unreadable { path, source }
    };
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(unreadable(path))?;
        let entries = entries.map(|entry| entry.map(|entry| entry.path()));
        let entries: io::Result<Vec<PathBuf>> = entries.collect();
        files = entries.map_err(unreadable(path))?;
        let is_text = |file: &PathBuf| {
            let end = file.extension().unwrap_or_default();
            file.is_file() && (end == "md" || end == "txt")
        };
        files.retain(is_text);
        files.sort();
    }
    let read = files.into_iter().map(|file| match fs::read_to_string(&file) {
        Ok(text) => Ok((file, text)),
        Err(source) => Err(unreadable(&file)(source)),
    });
    let documents = documents(read.collect::<Result<_, _>>()?)?;
    if documents.is_empty() {
        return Err(CorpusError::Empty { path: path.to_owned() });
    }
    Ok(documents)
}

fn documents(files: Vec<(PathBuf, String)>) -> Result<Vec<Document>, CorpusError> {
    let mut documents = Vec::new();
    let mut named: HashMap<String, usize> = HashMap::new();
    for (path, text) in files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for (title, text) in sections(&text) {
            let title = if title.is_empty() { &name } else { title };
            let mut id = slug(title);
            let namesakes = named.entry(id.clone()).or_default();
            *namesakes += 1;
            if *namesakes > 1 {
                id = format!("{id}.{namesakes}");
            }
            documents.push(document(id, title, text).map_err(|reason| {
                let (path, title) = (path.clone(), title.to_owned());
                CorpusError::Refused { path, title, reason }
            })?);
        }
    }
    Ok(documents)
}

fn document(id: String, title: &str, text: &str) -> Result<Document, String> {
    Ok(Document {
        id: Some(id.try_into()?),
        title: title.to_owned().try_into()?,
        text: text.to_owned().try_into()?,
    })
}

/// Titles and texts. What has no text is left out.
fn sections(text: &str) -> Vec<(&str, &str)> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut sections = Vec::new();
    let (mut title, mut start, mut at) = ("", 0, 0);
    for line in text.split_inclusive('\n') {
        if let Some(next) = line.strip_prefix("# ") {
            sections.push((title, &text[start..at]));
            (title, start) = (next.trim(), at + line.len());
        }
        at += line.len();
    }
    sections.push((title, &text[start..]));
    sections.retain(|(_, text)| !text.trim().is_empty());
    sections
}

fn slug(title: &str) -> String {
    let title = title.replace(['\'', '’'], "").to_lowercase();
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-");
    // Room for the number of a namesake.
    let slug: String = slug.chars().take(MAX_NAME - 10).collect();
    if slug.is_empty() { "text".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_the_example_are_documents_of_their_own() {
        let documents = own().expect("they fit");
        let ids: std::collections::HashSet<_> = documents.iter().map(Document::id).collect();
        assert_eq!((documents.len(), ids.len()), (124, 124));
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        for id in ["the-fox-and-the-grapes", "sonnet-18", "the-shepherds-boy-and-the-wolf"] {
            assert!(ids.iter().any(|one| one == id), "{id}");
        }
    }

    #[test]
    fn a_line_with_a_title_begins_a_document() {
        let text =
            "\u{FEFF}before\n# One\n\nfirst\n## not a title\n#nor this\n# Empty\n\n# One\nlast";
        let sections = sections(text);
        let last = ("One", "\nfirst\n## not a title\n#nor this\n");
        assert_eq!(sections, [("", "before\n"), last, ("One", "last")]);
        let files = vec![(PathBuf::from("dir/My notes.md"), text.to_owned())];
        let documents = documents(files).expect("they fit");
        let ids: Vec<_> = documents.iter().map(|document| document.id().to_string()).collect();
        assert_eq!(ids, ["my-notes", "one", "one.2"]);
    }

    #[test]
    fn of_a_directory_the_texts_are_read_in_order() {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in [("b.txt", "second"), ("a.md", "# A\nfirst"), ("c.png", "no text")] {
            fs::write(directory.path().join(name), text).expect("written");
        }
        let documents = read(directory.path()).expect("read");
        let ids: Vec<_> = documents.iter().map(|document| document.id().to_string()).collect();
        assert_eq!(ids, ["a", "b"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let error = read(directory.path()).expect_err("it is empty").to_string();
        assert!(error.contains("there is no text in"), "{error}");
        let missing = directory.path().join("none.txt");
        let error = read(&missing).expect_err("there is none").to_string();
        assert!(
            error.starts_with("`corpus`: cannot read ") && error.contains("none.txt"),
            "{error}"
        );
        let bytes = directory.path().join("bytes.txt");
        fs::write(&bytes, [0xFF, 0xFE]).expect("written");
        assert!(read(&bytes).expect_err("no text").to_string().contains("valid UTF-8"));
        fs::write(&bytes, format!("# Long\n{}", "x".repeat(300_000))).expect("written");
        let error = read(&bytes).expect_err("too long").to_string();
        assert!(error.contains("\"Long\"") && error.contains("300000 bytes"), "{error}");
    }
}
