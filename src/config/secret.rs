//! Secrets: passwords, tokens and keys that must not be printed, given in the configuration or in a file.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

/// A secret given in the configuration (perhaps through `${NAME}`), or in a file that is read again when it changes.
#[derive(Clone)]
pub(crate) enum SecretSource {
    Inline(String),
    /// The file's content without surrounding white space and byte-order mark.
    File(PathBuf),
}

impl SecretSource {
    /// The way out if the secret cannot be read.
    pub(crate) const HINT: &str =
        "put the bare secret there, in a file that the agent's user can read";

    /// Reads the current secret.
    ///
    /// # Errors
    /// If the file cannot be read, is not UTF-8, or contains only white space. The error names the file, which the
    /// error of [`fs::read_to_string`] alone would not do.
    pub(crate) fn read(&self) -> io::Result<String> {
        let path = match self {
            Self::Inline(text) => return Ok(text.clone()),
            Self::File(path) => path,
        };
        let named = |error: io::Error| {
            let shown = if error.kind() == io::ErrorKind::NotFound { missing(path) } else { path };
            io::Error::new(error.kind(), format!("{}: {error}", shown.display()))
        };
        let wrong = |what: &str| named(io::Error::new(io::ErrorKind::InvalidData, what));
        let bytes = fs::read(path).map_err(named)?;
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err(wrong(
                "the file is UTF-16: save it as UTF-8 (PowerShell: -Encoding ascii)",
            ));
        }
        let text = String::from_utf8(bytes).map_err(|_| wrong("the file is no text in UTF-8"))?;
        match text.trim_start_matches('\u{feff}').trim() {
            "" => Err(wrong("the file is empty; it should hold a secret")),
            secret => Ok(secret.to_owned()),
        }
    }
}

/// The shortest prefix of a path that does not exist. What follows it may be the secret itself, pasted where the path
/// of its file belongs.
fn missing(path: &Path) -> &Path {
    let missing = path.ancestors().filter(|part| !part.as_os_str().is_empty());
    missing.take_while(|part| fs::symlink_metadata(part).is_err()).last().unwrap_or(path)
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("***"),
            Self::File(path) => write!(f, "*** from {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_is_read_without_its_last_newline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, " s3cret\r\n").unwrap();
        assert_eq!(SecretSource::File(path).read().unwrap(), "s3cret");
        assert_eq!(SecretSource::Inline(" kept ".into()).read().unwrap(), " kept ");
    }

    #[test]
    fn a_secret_file_from_another_system_is_read_or_says_how_to_save_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            SecretSource::File(path.clone()).read()
        };
        assert_eq!(read(b"\xef\xbb\xbfs3cret\r\n").unwrap(), "s3cret");
        let utf16 = read(b"\xff\xfes\x003\x00").unwrap_err().to_string();
        assert!(utf16.contains("is UTF-16: save it as UTF-8"), "{utf16}");
        assert!(read(b"\x80").unwrap_err().to_string().contains("no text in UTF-8"));
    }

    #[test]
    fn a_secret_file_that_is_empty_or_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let read = || SecretSource::File(path.clone()).read().unwrap_err();
        assert_eq!(read().kind(), io::ErrorKind::NotFound);
        assert!(read().to_string().starts_with(&format!("{}: ", path.display())));
        // The operator pasted the secret itself in place of the path.
        let pasted = dir.path().join("S3cr3t+of/8f==");
        let error = SecretSource::File(pasted).read().unwrap_err().to_string();
        let named = format!("{}: ", dir.path().join("S3cr3t+of").display());
        assert!(error.starts_with(&named), "{error}");
        fs::write(&path, "\n").unwrap();
        assert_eq!(
            read().to_string(),
            format!("{}: the file is empty; it should hold a secret", path.display())
        );
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", SecretSource::Inline("s3cret".into())), "***");
    }
}
