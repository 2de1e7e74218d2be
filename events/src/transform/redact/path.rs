//! Field paths of the operator's rules, such as `spec.users[].password`, and how they match step by step.

/// One step of a path.
#[derive(Clone, Debug, Eq, PartialEq)]
enum PathStep {
    Key(String),
    /// `*`: any key.
    Any,
    /// `[]`: each element.
    Element,
}

/// A field path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Path(Vec<PathStep>);

/// The result of one step of a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PathMatch {
    No,
    /// The step matches, and the path goes on below.
    On,
    /// The step matches, and the path ends here.
    End,
}

impl Path {
    /// Parses a path: keys between dots, `*` for any key, `[]` after a key for the elements of an array. A dot in a
    /// key is written `\.`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut steps = Vec::new();
        for part in text.replace("\\.", "\0").split('.') {
            let key = part.trim_end_matches("[]");
            match key {
                "" if steps.is_empty() && part.len() > key.len() => {}
                "" => return Err("a key is empty; write it like `spec.users[].password`"),
                "*" => steps.push(PathStep::Any),
                _ if key.contains(['[', ']']) => {
                    return Err("brackets are empty and behind a key: `users[]`");
                }
                _ => steps.push(PathStep::Key(key.replace('\0', "."))),
            }
            steps.extend((0..(part.len() - key.len()) / 2).map(|_| PathStep::Element));
        }
        Ok(Self(steps))
    }

    /// The result of step `done` at a key; `None` stands for an array element.
    pub(super) fn next(&self, done: usize, key: Option<&str>) -> PathMatch {
        let fits = match (self.0.get(done), key) {
            (Some(PathStep::Key(wanted)), Some(key)) => wanted == key,
            (Some(PathStep::Any), Some(_)) | (Some(PathStep::Element), None) => true,
            _ => false,
        };
        match fits {
            false => PathMatch::No,
            true if done + 1 == self.0.len() => PathMatch::End,
            true => PathMatch::On,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_followed_step_by_step() {
        let path = Path::parse("spec.*[].a\\.b").unwrap();
        assert_eq!(path.next(0, Some("spec")), PathMatch::On);
        assert_eq!(path.next(0, Some("status")), PathMatch::No);
        assert_eq!(path.next(1, Some("users")), PathMatch::On);
        assert_eq!(path.next(2, None), PathMatch::On);
        assert_eq!(path.next(2, Some("x")), PathMatch::No);
        assert_eq!(path.next(3, Some("a.b")), PathMatch::End);
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        assert!(Path::parse("").is_err() && Path::parse("a..b").is_err());
        assert!(Path::parse("a[0]").is_err() && Path::parse("[].a").is_ok());
    }
}
