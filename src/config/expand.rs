//! Substitutes environment variables in values of the configuration.
//!
//! The substitution comes after the TOML was parsed. Whatever a variable contains, it stays one value; comments and
//! keys are left alone.

use super::shown::is_variable_name;

/// Replaces `${NAME}`, `${NAME:-default}` (the default if the variable is unset or empty) and `$$` (one dollar sign).
///
/// # Errors
/// Says what is wrong and how to fix it. The error contains names of variables but none of their values.
pub(super) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let Some(inside) = rest.strip_prefix('{') else {
            return Err("a single `$` has no meaning: write `$$` for a dollar sign, `${NAME}` for a variable".into());
        };
        let Some((reference, after)) = inside.split_once('}') else {
            return Err(
                "`${` is never closed: write `${NAME}`, or `$${` for the characters themselves"
                    .into(),
            );
        };
        out.push_str(&value(reference, env)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The value of the reference between the braces.
fn value(reference: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(fits)
    {
        // The text in the braces may be part of a secret, so the error does not show it.
        return Err(
            "a variable is named with letters, digits and `_`, as in `${NODE_NAME}`: write `$${` for the characters themselves".to_owned(),
        );
    }
    // A secret made by `echo secret | base64` ends with a newline, which no value here needs.
    let set = env(name).map(|set| {
        let bare = set.strip_prefix('\u{feff}').unwrap_or(&set);
        bare.trim_end_matches(['\r', '\n']).to_owned()
    });
    match (set, default) {
        (Some(set), None) => Ok(set),
        (Some(set), Some(_)) if !set.is_empty() => Ok(set),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) if is_variable_name(name) => {
            Err(format!("the variable {name} is not set: set it, or write `${{{name}:-default}}`"))
        }
        (None, None) => Err(
            "the variable that it names is not set: set it, write `${NAME:-default}`, or `$${` for the characters themselves"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn a_variable_loses_the_line_end_and_the_byte_order_mark_that_its_maker_left() {
        assert_eq!(filled("${ECHOED}|").unwrap(), "s3cret |");
        assert_eq!(filled("${MARKED}").unwrap(), "s3cret");
    }

    /// Expands a text with fixed variables; `Err` if it is refused.
    fn filled(text: &str) -> Result<String, String> {
        expand(text, &|name| match name {
            "NODE" => Some("cp-1".into()),
            "EMPTY" => Some(String::new()),
            "ECHOED" => Some("s3cret \r\n".into()),
            "MARKED" => Some("\u{feff}s3cret".into()),
            "NESTED" => Some("${NODE} \" \n [x]".into()),
            _ => None,
        })
    }

    #[test]
    fn variables_and_defaults_are_filled_in_once() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("${NODE}", "cp-1"),
            ("a${NODE}b${NODE}", "acp-1bcp-1"),
            ("${NONE:-x}", "x"),
            ("${NONE:-}", ""),
            ("${NONE:-a:-b}", "a:-b"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${NODE:-x}", "cp-1"),
            ("$$", "$"),
            ("$${NODE}", "${NODE}"),
            ("é$$é", "é$é"),
            ("${NESTED}", "${NODE} \" \n [x]"),
        ] {
            assert_eq!(filled(text), Ok(expected.into()), "{text}");
        }
    }

    #[test]
    fn what_is_half_a_variable_is_refused() {
        for text in ["$", "a$b", "${NODE", "${}", "${A B}", "${1A}", "${:-x}", "${NONE}", "$$$"] {
            assert!(filled(text).is_err(), "{text}");
        }
    }
}
