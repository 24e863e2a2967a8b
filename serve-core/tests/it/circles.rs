//! No files of a folder use each other in a circle, but for those that are listed with a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The circles that stay, each with its reason.
const ALLOWED: [(&str, &[&str], &str); 6] = [
    (
        "call::wire",
        &["attachment", "payload"],
        "a payload has attachments, and an attached stream has payloads",
    ),
    (
        "deployment",
        &["autoscaling", "setting", "table"],
        "the options of autoscaling are one option of a deployment, and have a table themselves",
    ),
    (
        "deployment",
        &["options", "options_table"],
        "the table reads and writes the fields of the options, which are read by the table",
    ),
    (
        "replica",
        &["replica", "slot", "target"],
        "a replica has a target, which serves calls that have a slot, which belongs to a replica",
    ),
    (
        "router",
        &["queued", "router"],
        "a queued call leaves the queue of its router when it is dropped",
    ),
    (
        "transport",
        &["attachments", "caller", "host", "peer"],
        "a peer is made of its two ends and its loans, and each of them sends through the peer",
    ),
];

/// A module's path below the crate.
type Module = Vec<String>;

/// A path in the source, with the name under which a `use` makes it known.
type Used = (Vec<String>, Option<String>);

/// The parts of a module's source that matter here.
#[derive(Default)]
struct Source {
    used: Vec<Used>,
    /// The paths that `pub use` makes known under a name of this module.
    exported: BTreeMap<String, Vec<String>>,
}

/// A token, without the tokens' spans.
#[derive(Clone, PartialEq)]
enum Token {
    Word(String),
    /// Two colons.
    Colons,
    Group(Delimiter, Vec<Token>),
    Other,
}

fn flat(tokens: TokenStream) -> Vec<Token> {
    let mut flat_tokens = Vec::new();
    let mut colon = false;
    for tree in tokens {
        let is_colon = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == ':');
        match tree {
            TokenTree::Ident(ident) => flat_tokens.push(Token::Word(ident.to_string())),
            TokenTree::Group(group) => {
                flat_tokens.push(Token::Group(group.delimiter(), flat(group.stream())));
            }
            TokenTree::Punct(_) if is_colon && colon => {
                flat_tokens.pop();
                flat_tokens.push(Token::Colons);
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => flat_tokens.push(Token::Other),
        }
        // After two colons, the next colon begins anew.
        colon = is_colon && !colon;
    }
    flat_tokens
}

/// Reads the path, or the tree of paths, that begins at `tokens[at]`. Returns the place behind it.
fn paths(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<Used>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at) {
            Some(Token::Word(word)) => path.push(word.clone()),
            Some(Token::Group(Delimiter::Brace, inner)) => {
                let mut inside = 0;
                while inside < inner.len() {
                    inside = match inner[inside] {
                        Token::Word(_) => paths(inner, inside, &path, found),
                        _ => inside + 1,
                    };
                }
                return at + 1;
            }
            _ => return at + 1,
        }
        at += 1;
        let goes_on =
            matches!(tokens.get(at + 1), Some(Token::Word(_) | Token::Group(Delimiter::Brace, _)));
        if tokens.get(at) == Some(&Token::Colons) && goes_on {
            at += 1;
            continue;
        }
        let alias = match (tokens.get(at), tokens.get(at + 1)) {
            (Some(Token::Word(word)), Some(Token::Word(alias))) if word == "as" => {
                at += 2;
                Some(alias.clone())
            }
            _ => None,
        };
        found.push((path, alias));
        return at;
    }
}

fn read(tokens: &[Token], module: &Module, modules: &BTreeMap<Module, PathBuf>, to: &mut Source) {
    let mut at = 0;
    while at < tokens.len() {
        let in_a_path = at > 0 && tokens[at - 1] == Token::Colons;
        match &tokens[at] {
            Token::Word(word) if word == "use" => {
                let mut found = Vec::new();
                let is_exported = at > 0
                    && match &tokens[at - 1] {
                        Token::Word(word) => word == "pub",
                        Token::Group(Delimiter::Parenthesis, _) => true,
                        _ => false,
                    };
                at = paths(tokens, at + 1, &[], &mut found);
                if is_exported {
                    for (path, alias) in found {
                        let name = alias.or_else(|| path.last().cloned()).expect("a name");
                        to.exported.insert(name, path);
                    }
                } else {
                    to.used.extend(found);
                }
            }
            Token::Word(word) if !in_a_path && tokens.get(at + 1) == Some(&Token::Colons) => {
                let mut child = module.clone();
                child.push(word.clone());
                if ["crate", "super", "self"].contains(&&**word) || modules.contains_key(&child) {
                    at = paths(tokens, at, &[], &mut to.used);
                } else {
                    at += 1;
                }
            }
            Token::Group(_, inner) => {
                read(inner, module, modules, to);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// The module of a path, and the names behind it; none for a path into another crate.
fn absolute(
    module: &Module,
    path: &[String],
    modules: &BTreeMap<Module, PathBuf>,
) -> Option<(Module, Vec<String>)> {
    let mut module = module.clone();
    let mut rest = path;
    match &*path[0] {
        "crate" => return Some((Vec::new(), path[1..].to_vec())),
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|first| first == "super") {
                module.pop();
                rest = &rest[1..];
            }
        }
        first => {
            let mut child = module.clone();
            child.push(first.to_owned());
            modules.get(&child)?;
        }
    }
    Some((module, rest.to_vec()))
}

/// The module that defines what a path names.
fn definer(
    mut module: Module,
    mut rest: Vec<String>,
    modules: &BTreeMap<Module, PathBuf>,
    sources: &BTreeMap<Module, Source>,
) -> Module {
    loop {
        let Some(first) = rest.first() else { return module };
        let mut child = module.clone();
        child.push(first.clone());
        if modules.contains_key(&child) {
            module = child;
            rest.remove(0);
            continue;
        }
        let exported = sources.get(&module).and_then(|source| source.exported.get(first));
        let target = exported.and_then(|path| absolute(&module, path, modules));
        let Some((target, path)) = target else { return module };
        rest.splice(..1, path);
        module = target;
    }
}

/// The source without the tests in it.
fn code(file: &Path) -> Vec<Token> {
    let source = fs::read_to_string(file).expect("a source file");
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    flat(code.parse().expect("the source is Rust"))
}

fn modules() -> BTreeMap<Module, PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a source directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let below = path.strip_prefix(&src).expect("below src").with_extension("");
            let mut module: Module =
                below.iter().map(|name| name.to_string_lossy().into_owned()).collect();
            // Tests may use everything.
            let last = module.last().expect("a name");
            let is_test = ["tests", "simulation", "wire_simulation"].contains(&&**last);
            if path.extension().is_none_or(|extension| extension != "rs") || is_test {
                continue;
            }
            if ["mod", "lib"].contains(&&**last) {
                module.pop();
            }
            found.insert(module, path);
        }
    }
    found
}

/// For each folder: who uses whom among its files and folders. What `mod.rs` itself defines is `mod`.
fn uses() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let modules = modules();
    let sources: BTreeMap<Module, Source> = modules
        .iter()
        .map(|(module, file)| {
            let mut source = Source::default();
            read(&code(file), module, &modules, &mut source);
            (module.clone(), source)
        })
        .collect();
    let mut uses: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (module, source) in &sources {
        for (path, _) in &source.used {
            let Some((start, rest)) = absolute(module, path, &modules) else { continue };
            let used = definer(start, rest, &modules, &sources);
            let shared = module.iter().zip(&used).take_while(|(a, b)| a == b).count();
            // The order of the crate's modules has a test of its own.
            if used == *module || shared == 0 {
                continue;
            }
            let in_folder =
                |module: &Module| module.get(shared).map_or_else(|| "mod".to_owned(), Clone::clone);
            let of_folder = uses.entry(module[..shared].join("::")).or_default();
            of_folder.entry(in_folder(module)).or_default().insert(in_folder(&used));
        }
    }
    uses
}

/// The sets of names that all lead to each other.
fn circles(uses: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<BTreeSet<String>> {
    let reached = |from: &String| {
        let mut reached = BTreeSet::new();
        let mut next = vec![from];
        while let Some(one) = next.pop() {
            let used = uses.get(one).into_iter().flatten();
            next.extend(used.filter(|used| reached.insert((*used).clone())));
        }
        reached
    };
    let reached: BTreeMap<&String, BTreeSet<String>> =
        uses.keys().map(|name| (name, reached(name))).collect();
    let circle = |name: &String| -> BTreeSet<String> {
        let back = |other: &&String| reached.get(other).is_some_and(|from| from.contains(name));
        reached[name].iter().filter(back).cloned().collect()
    };
    uses.keys().map(circle).filter(|circle| circle.len() > 1).collect()
}

#[test]
fn files_do_not_use_each_other_in_circles() {
    let uses = uses();
    assert!(uses.len() > 15, "the imports were not read: {:?}", uses.keys());
    let mut found: BTreeSet<(String, BTreeSet<String>)> = BTreeSet::new();
    for (folder, uses) in &uses {
        found.extend(circles(uses).into_iter().map(|circle| (folder.clone(), circle)));
    }
    let allowed: BTreeSet<(String, BTreeSet<String>)> = ALLOWED
        .iter()
        .map(|(folder, circle, _)| {
            ((*folder).to_owned(), circle.iter().map(|name| (*name).to_owned()).collect())
        })
        .collect();
    let new: Vec<_> = found.difference(&allowed).collect();
    assert!(new.is_empty(), "move what both need into a file of its own: {new:#?}");
    let gone: Vec<_> = allowed.difference(&found).collect();
    assert!(gone.is_empty(), "these are circles no more; take them off the list: {gone:#?}");
}

#[test]
fn circles_are_found() {
    let uses = |pairs: &[(&str, &str)]| {
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (user, used) in pairs {
            uses.entry((*user).to_owned()).or_default().insert((*used).to_owned());
        }
        uses
    };
    let none = circles(&uses(&[("a", "b"), ("b", "c"), ("a", "c")]));
    assert!(none.is_empty());
    let one = circles(&uses(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]));
    assert_eq!(one, [["a", "b", "c"].map(str::to_owned).into()].into());
}
