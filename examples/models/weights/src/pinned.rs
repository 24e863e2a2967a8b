//! `models.txt`: the wheels, a line each, with version and hash.

const MODELS: &str = include_str!("../../models.txt");

/// The line of `wheel`, as pip reads it.
pub(crate) fn line(wheel: &str) -> Option<&'static str> {
    line_in(MODELS, wheel)
}

fn line_in<'m>(models: &'m str, wheel: &str) -> Option<&'m str> {
    let mut lines = models.lines().map(str::trim);
    lines.find(|line| line.split_once("==").is_some_and(|(name, _)| name.trim() == wheel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_is_found_by_its_whole_name() {
        let models = "# models\nocr==1.0 --hash=sha256:aa\r\nocr-small==2.0 --hash=sha256:bb\n";
        assert_eq!(line_in(models, "ocr"), Some("ocr==1.0 --hash=sha256:aa"));
        assert_eq!(line_in(models, "ocr-small"), Some("ocr-small==2.0 --hash=sha256:bb"));
        assert_eq!(line_in(models, "small"), None);
    }

    #[test]
    fn every_line_has_a_hash() {
        for line in MODELS.lines() {
            assert!(line.contains("==") && line.contains(" --hash=sha256:"), "{line}");
        }
    }
}
