//! `${NAME}` and `${NAME:-default}` in the texts of a YAML file.
//!
//! Variables are put in after the file has been parsed, so that the value of a variable is never
//! read as YAML: it cannot add keys. A text that is nothing but one variable, without quotes, is
//! read again as a number, a boolean or null.

use serde_json::Number;

use super::node::Content;

/// Looks up variables.
pub(super) type Variables<'v> = &'v dyn Fn(&str) -> Option<String>;

/// A text with its variables put in.
#[derive(Debug)]
pub(super) struct Substituted {
    pub(super) text: String,
    /// The variable that the whole text was taken from.
    pub(super) variable: Option<String>,
}

/// Puts in the variables. Returns `None` if the text has none.
///
/// # Errors
/// Returns every fault: a description for each missing variable and each malformed reference.
pub(super) fn substitute(
    text: &str,
    variables: Variables<'_>,
) -> Result<Option<Substituted>, Vec<String>> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut faults = Vec::new();
    let mut result = String::with_capacity(text.len());
    let mut only = None;
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        // `$${` is `${`.
        if before.ends_with('$') {
            result.push_str(before);
            result.push('{');
            rest = after;
            continue;
        }
        result.push_str(before);
        let Some(end) = after.find('}') else {
            faults.push(
                "`${` without a `}`: write `${NAME}`, or `$${` for the characters".to_owned(),
            );
            rest = "";
            break;
        };
        let (reference, behind) = (&after[..end], &after[end + 1..]);
        rest = behind;
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if !is_name(name) {
            faults.push(format!(
                "`${{{reference}}}` does not name a variable: write `${{NAME}}` or \
                 `${{NAME:-default}}`, or `$${{` for the characters `${{`"
            ));
            continue;
        }
        // As in a shell, an empty variable has the default of `:-`.
        let value = variables(name);
        let value = match default {
            Some(default) => {
                value.filter(|value| !value.is_empty()).or_else(|| Some(default.to_owned()))
            }
            None => value,
        };
        match value {
            Some(value) => result.push_str(&value),
            None => faults.push(format!(
                "the environment variable `{name}` is not set: set it, or write a default, \
                 `${{{name}:-default}}`"
            )),
        }
        if before.is_empty()
            && behind.is_empty()
            && text.starts_with("${")
            && text.len() == reference.len() + 3
        {
            only = Some(name.to_owned());
        }
    }
    result.push_str(rest);
    if faults.is_empty() {
        Ok(Some(Substituted { text: result, variable: only }))
    } else {
        Err(faults)
    }
}

fn is_name(name: &str) -> bool {
    let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Reads a plain scalar as YAML's core schema does.
pub(super) fn plain(text: &str) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Content::Null,
        "true" | "True" | "TRUE" => return Content::Bool(true),
        "false" | "False" | "FALSE" => return Content::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    // A number with leading zeros, such as `007`, is rather an identifier.
    let is_padded = digits.len() > 1
        && digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && !is_padded {
        let signed = text.strip_prefix('+').unwrap_or(text);
        let number = signed.parse::<u64>().map(Number::from).ok();
        let number = number.or_else(|| signed.parse::<i64>().map(Number::from).ok());
        let number = number.or_else(|| Number::from_f64(signed.parse().ok()?));
        if let Some(number) = number {
            return Content::Number(number);
        }
    }
    Content::Text(text.to_owned())
}

/// Writes a text so that no variable is put into it when it is read.
pub(super) fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_in(text: &str) -> Result<String, String> {
        let variables = |name: &str| match name {
            "HOST" => Some("10.0.0.1".to_owned()),
            "EMPTY" => Some(String::new()),
            "MEAN" => Some("a: b\nc: ${HOST}".to_owned()),
            _ => None,
        };
        match substitute(text, &variables) {
            Ok(done) => Ok(done.map_or_else(|| text.to_owned(), |done| done.text)),
            Err(faults) => Err(faults.join("; ")),
        }
    }

    #[test]
    fn variables_are_put_in_once() {
        for (text, expected) in [
            ("no variable, $HOME, {x}", "no variable, $HOME, {x}"),
            ("${HOST}", "10.0.0.1"),
            ("http://${HOST}:${PORT:-80}/", "http://10.0.0.1:80/"),
            ("${EMPTY}|${EMPTY:-full}|${MISSING:-}", "|full|"),
            ("$${HOST} $$${HOST}", "${HOST} $${HOST}"),
            ("${MEAN}", "a: b\nc: ${HOST}"),
        ] {
            assert_eq!(put_in(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn each_fault_has_its_remedy() {
        for (text, expected) in [
            (
                "${MISSING}",
                "`MISSING` is not set: set it, or write a default, `${MISSING:-default}`",
            ),
            ("${HOST", "without a `}`"),
            ("${}", "`${}` does not name a variable"),
            ("${1ST}", "does not name a variable"),
            ("${HO ST}", "does not name a variable"),
        ] {
            let faults = put_in(text).expect_err(text);
            assert!(faults.contains(expected), "{text}: {faults}");
        }
    }

    #[test]
    fn escaped_texts_come_back() {
        for text in ["${HOST}", "$${HOST}", "a $ b", "$$", "${"] {
            assert_eq!(put_in(&escaped(text)).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_plain_variable_has_the_type_that_yaml_gives_it() {
        for (text, expected) in [
            ("8080", "Number(8080)"),
            ("-1", "Number(-1)"),
            ("0.5", "Number(0.5)"),
            ("1e3", "Number(1000.0)"),
            ("true", "Bool(true)"),
            ("", "Null"),
            ("007", "Text(\"007\")"),
            ("yes", "Text(\"yes\")"),
            ("1.2.3.4", "Text(\"1.2.3.4\")"),
            ("[1, 2]", "Text(\"[1, 2]\")"),
        ] {
            let read = format!("{:?}", plain(text))
                .replace("Number(Number(", "Number(")
                .replace("))", ")");
            assert_eq!(read, expected, "{text}");
        }
    }
}
