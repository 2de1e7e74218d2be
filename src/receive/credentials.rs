//! Credentials of a sender: a bearer token, or a user with a password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::{Auth, SecretSource};
use crate::tls::UnusableFile;

/// What a sender has to know. Secrets are kept as hashes, which have one length: so a comparison takes the same time
/// whatever was sent.
pub(super) enum Credentials {
    None,
    Basic([u8; 32]),
    Bearer([u8; 32]),
}

/// Why a sender is not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NotAllowed {
    /// There is no `Authorization` header of the kind that is asked for.
    Missing,
    Wrong,
}

impl Credentials {
    /// Reads the secret of a configuration.
    ///
    /// # Errors
    /// The file of the secret cannot be used.
    pub(super) fn read(auth: &Auth) -> Result<Self, UnusableFile> {
        let secret = |source: &SecretSource| {
            source.read().map_err(|error| UnusableFile::new(error.to_string(), SecretSource::HINT))
        };
        Ok(match auth {
            // Elasticsearch alone has API keys.
            Auth::None | Auth::ApiKey(_) => Self::None,
            Auth::Basic { username, password } => {
                Self::Basic(hash(format!("{username}:{}", secret(password)?).as_bytes()))
            }
            Auth::Bearer(token) => Self::Bearer(hash(secret(token)?.as_bytes())),
        })
    }

    /// Checks the headers of a request. Returns the user of basic authentication.
    ///
    /// # Errors
    /// The credentials are missing or wrong.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<Option<String>, NotAllowed> {
        let sent = || {
            let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
            header.split_once(' ').map(|(scheme, rest)| (scheme, rest.trim()))
        };
        let is = |scheme: &str, wanted: &str| scheme.eq_ignore_ascii_case(wanted);
        match self {
            Self::None => Ok(None),
            Self::Bearer(wanted) => match sent() {
                Some((scheme, token)) if is(scheme, "Bearer") => {
                    same(token.as_bytes(), wanted).then_some(None).ok_or(NotAllowed::Wrong)
                }
                _ => Err(NotAllowed::Missing),
            },
            Self::Basic(wanted) => match sent() {
                Some((scheme, pair)) if is(scheme, "Basic") => {
                    let pair = STANDARD.decode(pair).map_err(|_| NotAllowed::Wrong)?;
                    if !same(&pair, wanted) {
                        return Err(NotAllowed::Wrong);
                    }
                    let pair = String::from_utf8_lossy(&pair);
                    Ok(pair.split_once(':').map(|(user, _)| user.to_owned()))
                }
                _ => Err(NotAllowed::Missing),
            },
        }
    }

    /// The value of `WWW-Authenticate`.
    pub(super) fn challenge(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Basic(_) => "Basic realm=\"auditrail\"",
            Self::None | Self::Bearer(_) => "Bearer",
        })
    }
}

fn hash(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn same(sent: &[u8], wanted: &[u8; 32]) -> bool {
    hash(sent).ct_eq(wanted).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(
        credentials: &Credentials,
        header: Option<&str>,
    ) -> Result<Option<String>, NotAllowed> {
        let header = header.map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap()));
        credentials.check(&header.into_iter().collect())
    }

    #[test]
    fn only_the_right_credentials_let_a_sender_in() {
        let bearer =
            Credentials::read(&Auth::Bearer(SecretSource::Inline("t0ken".into()))).unwrap();
        assert_eq!(checked(&bearer, Some("Bearer t0ken")), Ok(None));
        assert_eq!(checked(&bearer, Some("bearer  t0ken")), Ok(None));
        for wrong in ["Bearer t0ke", "Bearer t0kenn", "Bearer x"] {
            assert_eq!(checked(&bearer, Some(wrong)), Err(NotAllowed::Wrong), "{wrong}");
        }
        for missing in [None, Some("t0ken"), Some("Basic t0ken"), Some("Bearer")] {
            assert_eq!(checked(&bearer, missing), Err(NotAllowed::Missing), "{missing:?}");
        }
        let password = SecretSource::Inline("a:b c".into());
        let basic = Auth::Basic { username: "api".into(), password };
        let basic = Credentials::read(&basic).unwrap();
        let pair = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert_eq!(checked(&basic, Some(&pair("api:a:b c"))), Ok(Some("api".into())));
        for wrong in ["api:a", "ap:a:b c", "api", "", ":"] {
            assert_eq!(checked(&basic, Some(&pair(wrong))), Err(NotAllowed::Wrong), "{wrong}");
        }
        assert_eq!(checked(&basic, Some("Basic §")), Err(NotAllowed::Missing), "no text");
        assert_eq!(checked(&basic, Some("Basic !")), Err(NotAllowed::Wrong));
        assert_eq!(checked(&basic, Some("Bearer x")), Err(NotAllowed::Missing));
        assert_eq!(checked(&Credentials::None, Some("Bearer x")), Ok(None));
    }
}
