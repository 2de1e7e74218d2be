//! Redacts a user's `extra`: the facts that an authenticator adds to a user's name. It keeps identifiers that link
//! events. It redacts keys that are on no list, because they may hold an assertion or a session.

use super::Redaction;

/// The form that a value of `extra` must have to be kept.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// Names and uids of nodes and pods.
    Name,
    /// `JTI=` with a UUID, or `X509SHA256=` with a digest.
    CredentialId,
    /// `arn:aws:…`.
    Arn,
    /// The name that a client gave its session; AWS allows letters, digits and some signs.
    Session,
    Uuid,
    /// `user:full`, `role:edit:shop`.
    Scope,
    /// `local://user-abcde`, `azuread_user://…`.
    Principal,
}

/// Keys that are kept, and the form of their values. A value of another form is redacted.
const KEPT: &[(&str, Form)] = &[
    // `k8s.io/apiserver/pkg/authentication/serviceaccount/util.go` and `.../request/x509/x509.go`
    ("authentication.kubernetes.io/node-name", Form::Name),
    ("authentication.kubernetes.io/node-uid", Form::Name),
    ("authentication.kubernetes.io/pod-name", Form::Name),
    ("authentication.kubernetes.io/pod-uid", Form::Name),
    ("authentication.kubernetes.io/credential-id", Form::CredentialId),
    // aws-iam-authenticator, `pkg/server/server.go`
    ("arn", Form::Arn),
    ("canonicalArn", Form::Arn),
    ("sessionName", Form::Session),
    ("principalId", Form::Session),
    ("accessKeyId", Form::Session),
    ("sigs.k8s.io/aws-iam-authenticator/principalId", Form::Session),
    // OpenShift, `github.com/openshift/api/authorization`
    ("scopes.authorization.openshift.io", Form::Scope),
    // Azure
    ("oid", Form::Uuid),
    ("upn", Form::Principal),
    // Rancher, `pkg/auth/providers/common`
    ("principalid", Form::Principal),
    ("username", Form::Principal),
    ("requesttokenid", Form::Name),
    ("requesthost", Form::Name),
    // OpenStack, `pkg/identity/keystone`
    ("alpha.kubernetes.io/identity/project/id", Form::Name),
    ("alpha.kubernetes.io/identity/project/name", Form::Name),
    ("alpha.kubernetes.io/identity/user/domain/id", Form::Name),
    ("alpha.kubernetes.io/identity/user/domain/name", Form::Name),
    ("alpha.kubernetes.io/identity/roles", Form::Name),
];

impl Form {
    fn fits(self, value: &str) -> bool {
        let all = |also: &[u8]| {
            value.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
        };
        match self {
            Self::Name => value.len() < 254 && all(b"-._"),
            Self::CredentialId => {
                value.strip_prefix("JTI=").is_some_and(is_uuid)
                    || value
                        .strip_prefix("X509SHA256=")
                        .is_some_and(|hash| hash.len() == 64 && is_hex(hash))
            }
            Self::Arn => {
                value.starts_with("arn:")
                    && value.matches(':').count() >= 5
                    && value.len() < 2049
                    && all(b":/_+=,.@-*")
            }
            Self::Session => value.len() < 200 && all(b"_+=,.@-:/"),
            Self::Uuid => is_uuid(value),
            Self::Scope => {
                let known = ["user:", "role:"].iter().any(|scope| value.starts_with(scope));
                known && value.len() < 254 && all(b":-_.*!")
            }
            Self::Principal => value.len() < 512 && all(b"_+=,.@-:/|\\ "),
        }
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && text.split('-').all(is_hex)
}

impl Redaction {
    /// Whether a value of a user's `extra` is kept.
    pub(super) fn extra_stays(&self, key: &str, value: &str) -> bool {
        let kept = KEPT.iter().find(|(kept, _)| key.eq_ignore_ascii_case(kept));
        kept.is_some_and(|(_, form)| form.fits(value))
            || self.user_extra.iter().any(|kept| kept == key)
    }
}
