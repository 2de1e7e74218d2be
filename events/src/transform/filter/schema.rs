//! The schema of an event, as far as it holds for every event, so that a misspelt name is found when the filter is
//! loaded.

/// The type of a value, as far as it is known without an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    Bool,
    String,
    Number,
    Time,
    Length,
    List,
    /// A list of strings.
    Strings,
    /// A map with any keys.
    Map,
    /// A map from any key to a string.
    Texts,
    Object(&'static [(&'static str, Type)]),
    /// A value that this file knows nothing about except that it is not boolean.
    Other,
    Unknown,
}

impl Type {
    /// A word for the type; `None` if the value may have any type.
    pub(super) fn word(self) -> Option<&'static str> {
        Some(match self {
            Self::Bool => "true or false",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Time => "a time",
            Self::Length => "a length of time",
            Self::List | Self::Strings => "a list",
            Self::Map | Self::Texts | Self::Object(_) => "an object",
            Self::Other => "no truth value",
            Self::Unknown => return None,
        })
    }

    /// Whether two values may have the same type.
    pub(super) fn fits(self, other: Self) -> bool {
        match (self.word(), other.word()) {
            (Some(word), Some(other_word)) => {
                word == other_word || matches!((self, other), (Self::Other, _) | (_, Self::Other))
            }
            _ => true,
        }
    }
}

const USER: Type = Type::Object(&[
    ("username", Type::String),
    ("uid", Type::String),
    ("groups", Type::Strings),
    ("extra", Type::Map),
]);

/// The type `audit.k8s.io/v1`; the fields that only v1beta1 and v1alpha1 have are at the end.
pub(super) const EVENT: Type = Type::Object(&[
    ("kind", Type::String),
    ("apiVersion", Type::String),
    ("level", Type::String),
    ("auditID", Type::String),
    ("stage", Type::String),
    ("requestURI", Type::String),
    ("verb", Type::String),
    ("user", USER),
    ("impersonatedUser", USER),
    // Since Kubernetes 1.35: the verb that allowed the impersonation, such as `impersonate:user-info`.
    ("authenticationMetadata", Type::Object(&[("impersonationConstraint", Type::String)])),
    ("sourceIPs", Type::Strings),
    ("userAgent", Type::String),
    (
        "objectRef",
        Type::Object(&[
            ("resource", Type::String),
            ("namespace", Type::String),
            ("name", Type::String),
            ("uid", Type::String),
            ("apiGroup", Type::String),
            ("apiVersion", Type::String),
            ("resourceVersion", Type::String),
            ("subresource", Type::String),
        ]),
    ),
    (
        "responseStatus",
        Type::Object(&[
            ("metadata", Type::Map),
            ("status", Type::String),
            ("message", Type::String),
            ("reason", Type::String),
            ("details", Type::Map),
            ("code", Type::Number),
        ]),
    ),
    ("requestObject", Type::Unknown),
    ("responseObject", Type::Unknown),
    ("requestReceivedTimestamp", Type::String),
    ("stageTimestamp", Type::String),
    ("annotations", Type::Texts),
    ("metadata", Type::Map),
    ("timestamp", Type::String),
]);

/// All functions, with the types that they return.
pub(super) const FUNCTIONS: [(&str, Type); 33] = [
    ("_<_", Type::Bool),
    ("_<=_", Type::Bool),
    ("_>_", Type::Bool),
    ("_>=_", Type::Bool),
    ("@not_strictly_false", Type::Bool),
    ("_+_", Type::Unknown),
    ("_-_", Type::Unknown),
    ("_*_", Type::Number),
    ("_/_", Type::Number),
    ("_%_", Type::Number),
    ("-_", Type::Unknown),
    ("_[?_]", Type::Unknown),
    ("startsWith", Type::Bool),
    ("endsWith", Type::Bool),
    ("contains", Type::Bool),
    ("matches", Type::Bool),
    ("hasValue", Type::Bool),
    ("bool", Type::Bool),
    ("size", Type::Number),
    ("int", Type::Number),
    ("uint", Type::Number),
    ("double", Type::Number),
    ("getHours", Type::Number),
    ("getMinutes", Type::Number),
    ("getDayOfWeek", Type::Number),
    ("string", Type::String),
    ("bytes", Type::Other),
    ("type", Type::Other),
    ("timestamp", Type::Time),
    ("duration", Type::Length),
    ("orValue", Type::Unknown),
    ("or", Type::Unknown),
    ("value", Type::Unknown),
];

/// Names of types, as in `type(x) == string`.
pub(super) const TYPE_NAMES: [&str; 9] =
    ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type"];

/// The name that was probably meant, as the end of a message.
pub(super) fn hint<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> String {
    let lower = typed.to_lowercase();
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let part = if lower.len() > 2 && name.contains(&lower) { 0.9 } else { 0.0 };
        strsim::jaro_winkler(&lower, &name).max(part)
    };
    match names.max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(name) if likeness(name) > 0.8 => format!(": did you mean `{name}`?"),
        _ => String::new(),
    }
}
