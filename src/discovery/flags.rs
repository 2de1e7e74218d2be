//! The flags of kube-apiserver that decide where it logs.

/// Some of the flags of an API server.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct ApiServerFlags {
    /// `--audit-log-path`; `-` is standard output.
    pub(super) log: Option<String>,
    /// `--audit-policy-file`.
    pub(super) policy: Option<String>,
}

impl ApiServerFlags {
    /// Reads arguments such as `--audit-log-path=/a` or `--audit-log-path` `/a`. Of a flag that is given twice, the last
    /// one counts, as for the API server.
    pub(super) fn of<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut flags = Self::default();
        let mut arguments = arguments.into_iter().peekable();
        while let Some(argument) = arguments.next() {
            let argument = argument.trim_start_matches('-');
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (argument, arguments.next_if(|next| !next.starts_with("--"))),
            };
            let value = value.map(str::to_owned).filter(|value| !value.is_empty());
            match name {
                "audit-log-path" => flags.log = value,
                "audit-policy-file" => flags.policy = value,
                _ => {}
            }
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_has_its_value_behind_a_sign_or_in_the_next_argument_and_the_last_one_counts() {
        let log = |arguments: &str| ApiServerFlags::of(arguments.split(' ')).log;
        assert_eq!(log("kube-apiserver --audit-log-path=/a --v=2"), Some("/a".into()));
        assert_eq!(log("--audit-log-path /a --audit-log-path=/b"), Some("/b".into()));
        assert_eq!(log("audit-log-path=/c"), Some("/c".into()));
        assert_eq!(log("--audit-log-path=-"), Some("-".into()));
        assert_eq!(log("--audit-log-path= --v=2"), None);
        assert_eq!(log("--audit-log-path --v=2"), None);
    }
}
