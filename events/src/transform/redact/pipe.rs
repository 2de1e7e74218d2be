//! Finds passwords that a shell passes to a program's standard input: `echo user:pass | chpasswd`,
//! `chpasswd <<< user:pass`.

use std::ops::Range;

/// Programs and flags that read a password.
const READERS: &[&str] = &[
    "chpasswd",
    "passwd",
    "smbpasswd",
    "vncpasswd",
    "slappasswd",
    "kinit",
    "sudo",
    "cryptsetup",
    "openconnect",
    "elasticsearch-keystore",
    "logstash-keystore",
    "opensearch-keystore",
    "--password-stdin",
    "--passwd-on-stdin",
    "--pass-stdin",
    "--stdin",
    "gpg",
    "p4",
    "login",
];
/// Bytes of a command line that are looked at.
const NEAR: usize = 512;

/// Whether a word belongs to a command that reads a password.
pub(super) fn reads(word: &str) -> bool {
    READERS.contains(&word)
}

/// The text passed to the command that the word at `at` belongs to.
pub(super) fn fed(text: &[u8], at: usize) -> Option<Range<usize>> {
    let from = at.saturating_sub(NEAR);
    let before = &text[from..at];
    let Some(bar) = before.iter().rposition(|byte| b"|;&\n".contains(byte)) else {
        return here(text, at);
    };
    if before[bar] != b'|' || bar == 0 || before[bar - 1] == b'|' {
        return here(text, at);
    }
    let command = &text[from + bar + 1..text.len().min(at + NEAR)];
    let command = &command
        [..command.iter().position(|byte| b"|;&\n".contains(byte)).unwrap_or(command.len())];
    let mut words = command
        .split(|byte| byte.is_ascii_whitespace() || *byte == b'/')
        .map(|word| str::from_utf8(word).unwrap_or_default());
    if !words.any(reads) {
        return None;
    }
    let writer = &before[..bar];
    let start = ["echo", "printf", "cat <<<"]
        .iter()
        .filter_map(|program| {
            memchr::memmem::rfind(writer, program.as_bytes()).map(|at| at + program.len())
        })
        .max()?;
    let mut start = from + start;
    let end = from + writer.trim_ascii_end().len();
    // Skips flags, and a format that holds no value.
    loop {
        start += text[start..end].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let length = text[start..end].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
        let word = &text[start..start + length];
        if length < 2 || !(word.starts_with(b"-") || word.contains(&b'%') && length < 9) {
            break;
        }
        start += length;
    }
    let quotes = |byte: &u8| b"'\"\\)".contains(byte);
    start += text[start..end].iter().take_while(|byte| quotes(byte)).count();
    let end = end - text[start..end].iter().rev().take_while(|byte| quotes(byte)).count();
    (start < end).then_some(start..end)
}

/// The text passed to it by `<<<`.
fn here(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = &text[at..text.len().min(at + NEAR)];
    let line = &rest[..rest.iter().position(|byte| b"|;&\n".contains(byte)).unwrap_or(rest.len())];
    let first = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    if !str::from_utf8(&line[..first]).is_ok_and(reads) {
        return None;
    }
    let mut start = memchr::memmem::find(line, b"<<<")? + 3;
    start += line[start..].iter().take_while(|byte| b" '\"\\".contains(byte)).count();
    let end = line.len() - line.iter().rev().take_while(|byte| b" '\"\\".contains(byte)).count();
    (start < end).then_some(at + start..at + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, word: &str) -> Option<String> {
        fed(text.as_bytes(), text.rfind(word).unwrap()).map(|at| text[at].to_owned())
    }

    #[test]
    fn what_a_password_program_is_handed_is_found() {
        assert_eq!(
            found("echo 'bob:hunter2' | chpasswd", "chpasswd").as_deref(),
            Some("bob:hunter2")
        );
        assert_eq!(found("true; echo -n hunter2 | sudo -S id", "sudo").as_deref(), Some("hunter2"));
        assert_eq!(
            found("printf '%s' hunter2 | docker login --password-stdin", "--password").as_deref(),
            Some("hunter2")
        );
        assert_eq!(found("chpasswd <<< 'bob:hunter2'", "chpasswd").as_deref(), Some("bob:hunter2"));
        assert_eq!(found("cat file | sudo tee x", "sudo"), None);
        assert_eq!(found("echo done; passwd bob", "passwd"), None);
    }
}
