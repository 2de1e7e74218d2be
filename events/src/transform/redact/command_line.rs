//! Reads command lines word by word and finds the passwords in short flags and in positional arguments.
//!
//! `programs.rs` lists the programs and how each takes its secrets.

use std::ops::Range;

use super::name_words::in_name;
use super::programs::Program;
use super::secret_names::{Name, judge};

/// The state while a command line is read word by word.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CommandLine {
    program: Option<&'static Program>,
    /// The kind of the last flag, if its value is the next word.
    next: Option<NextArgument>,
    /// Number of words to skip, and number of words after those that are secrets.
    left: (usize, usize),
    /// The command is inside another one and ends at a bracket or a backquote: `$(openssl passwd x)`.
    inside: bool,
    /// The program of the outer command.
    outer: Option<&'static Program>,
}

#[derive(Clone, Copy, Debug)]
enum NextArgument {
    /// A flag of the program itself.
    Own,
    /// A flag with a suspicious name.
    Named(Name),
}

impl CommandLine {
    /// Whether words have to be read although the prefilter has no hit in them.
    pub(super) fn is_open(&self) -> bool {
        self.program.is_some() || self.next.is_some()
    }

    /// The secret part of the next word. The word is given without the quotes around it.
    pub(super) fn word(&mut self, word: &str) -> Option<Range<usize>> {
        let opened = ["$(", "`", "("].iter().find_map(|open| word.strip_prefix(open));
        if let Some(program) = opened.and_then(Program::named) {
            let outer = self.program;
            *self = Self { program: Some(program), inside: true, outer, ..Self::default() };
            return None;
        }
        let secret = self.next_word(word);
        if self.inside && word.ends_with([')', '`']) {
            *self = Self { program: self.outer, ..Self::default() };
        }
        secret
    }

    fn next_word(&mut self, word: &str) -> Option<Range<usize>> {
        let next = self.next.take();
        let flag = word.starts_with('-') && word.len() > 1;
        if let Some(next) = next.filter(|_| !flag) {
            return match next {
                NextArgument::Own => self.own(word, 0),
                NextArgument::Named(name) => name.secret_in(word),
            };
        }
        let Some(program) = self.program else {
            self.program = Program::named(word);
            if let Some((_, skip, take)) = self.behind("") {
                self.left = (skip, take);
            }
            self.flagged(word);
            return None;
        };
        if program.next.contains(&word) {
            self.next = Some(NextArgument::Own);
            return None;
        }
        if let Some(long) = program.next.iter().find(|long| {
            long.starts_with("--")
                && word.strip_prefix(**long).is_some_and(|rest| rest.starts_with('='))
        }) {
            return self.own(word, long.len() + 1);
        }
        if program.glued.iter().any(|short| word.starts_with(short)) && word.len() > 2 {
            return self.own(word, 2);
        }
        if flag {
            if program.batch.is_some_and(|letter| word.contains(letter)) {
                // With `-n` no file precedes them.
                self.left = (1 + usize::from(!word.contains('n')), 1);
            }
            self.flagged(word);
            return None;
        }
        if self.left.0 > 0 {
            self.left.0 -= 1;
            return None;
        }
        if self.left.1 > 0 {
            self.left.1 -= 1;
            return self.own(word, 0);
        }
        if let Some((_, skip, take)) = self.behind(word) {
            self.left = (skip, take);
        } else if program.named && judge(word).is_any() && !word.contains('=') {
            self.next = Some(NextArgument::Named(judge(word)));
        }
        None
    }

    fn behind(&self, word: &str) -> Option<(&'static str, usize, usize)> {
        self.program?.behind.iter().copied().find(|(sub, ..)| *sub == word)
    }

    /// Remembers that a word is a flag whose secret is the next word.
    fn flagged(&mut self, word: &str) {
        if word.starts_with('-') && !word.contains(['=', ' ', ':']) {
            let name = judge(word);
            self.next = name.is_any().then_some(NextArgument::Named(name));
        }
    }

    /// The secret part of a word that the program takes as a secret, from place `from` on.
    fn own(&self, word: &str, from: usize) -> Option<Range<usize>> {
        let from = from + word[from..].bytes().take_while(|byte| b"\"'".contains(byte)).count();
        let word = word.trim_end_matches(['"', '\'']);
        let value = word.get(from..)?;
        if super::token::is_token(value.as_bytes()) {
            return None;
        }
        let sign = self.program.and_then(|program| program.sign);
        let skip = match sign {
            Some(sign) => value.find(sign)? + 1,
            // `token=x`, `pass:x`, `user/pass@host`.
            None => match value.split_once(['=', ':', '/']) {
                Some(("username" | "role" | "role_id" | "method" | "path" | "user", _))
                    if value.contains('=') =>
                {
                    return None;
                }
                Some((user, rest))
                    if !rest.is_empty() && user.bytes().all(in_name) && !value.contains("://") =>
                {
                    user.len() + 1
                }
                _ => 0,
            },
        };
        let end = value[skip..]
            .rfind('@')
            .filter(|at| sign.is_none() && skip > 0 && *at > 0)
            .map_or(value.len(), |at| skip + at);
        let (start, end) = (from + skip, from + end);
        (!super::values::is_harmless(&word[start..end])).then_some(start..end)
    }
}

/// Whether a word is the name of a program that takes secrets as arguments.
pub(super) fn is_program(word: &str) -> bool {
    word.len() < 24 && Program::named(word).is_some()
}

/// Finds the secrets of a command line that begins with the name of a program. Returns where the command line ends;
/// `None` if no known program begins here.
pub(super) fn secrets(line: &str, mut each: impl FnMut(Range<usize>)) -> Option<usize> {
    let name = line.bytes().take(32).take_while(|byte| in_name(*byte)).count();
    Program::named(line.get(..name)?)?;
    if !line.as_bytes().get(name)?.is_ascii_whitespace() {
        return None;
    }
    let end = line.find(['\n', ';', '|', '&']).unwrap_or(line.len());
    let mut command = CommandLine::default();
    for at in words(&line[..end]) {
        let quotes = line[at.clone()].starts_with(['"', '\'']) && at.len() > 1;
        let inside = if quotes { at.start + 1..at.end - 1 } else { at };
        if let Some(part) = line.get(inside.clone()).and_then(|word| command.word(word)) {
            each(inside.start + part.start..inside.start + part.end);
        }
    }
    Some(end)
}

/// The words of a command line; a quoted part is one word.
fn words(line: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = line.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        at += bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let start = at;
        let mut quote = None;
        while let Some(byte) = bytes.get(at) {
            match (quote, byte) {
                (None, b'"' | b'\'') => quote = Some(*byte),
                (Some(open), byte) if open == *byte => quote = None,
                (None, byte) if byte.is_ascii_whitespace() => break,
                _ => {}
            }
            at += 1;
        }
        (start < at).then_some(start..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_short_flags_are_found() {
        let check = |line: &str| {
            let mut all = Vec::new();
            let _ = secrets(line, |at| all.push(line[at].to_owned()));
            all.join(" ")
        };
        assert_eq!(check("curl -s -u 'a:b c' https://x"), "b c");
        assert_eq!(check("curl --user=a:b x"), "b");
        assert_eq!(check("mysql -u root -phunter2 db; ls -px"), "hunter2");
        assert_eq!(check("mysqldump -p db"), "");
        assert_eq!(check("mysqladmin -u root password hunter2"), "hunter2");
        assert_eq!(check("redis-cli -a hunter2 ping"), "hunter2");
        assert_eq!(check("sshpass -p hunter2 ssh x"), "hunter2");
        assert_eq!(check("sshpass -phunter2 ssh x"), "hunter2");
        assert_eq!(check("mongosh db -u x -p hunter2"), "hunter2");
        assert_eq!(check("mongodump -phunter2"), "hunter2");
        assert_eq!(check("login -u x -p hunter2"), "hunter2");
        assert_eq!(check("vault login hunter2"), "hunter2");
        assert_eq!(check("vault login -method=userpass token=hunter2"), "hunter2");
        assert_eq!(check("rabbitmqctl add_user bob hunter2"), "hunter2");
        assert_eq!(check("htpasswd -nbB bob hunter2"), "hunter2");
        assert_eq!(check("htpasswd -bc /etc/f bob hunter2"), "hunter2");
        assert_eq!(check("sqlplus -s system/hunter2@//db"), "hunter2");
        assert_eq!(check("smbclient -U bob%hunter2 //h/s"), "hunter2");
        assert_eq!(check("usermod -p $(openssl passwd -6 hunter2) ops"), "hunter2)");
        assert_eq!(check("curl $(vault login hunter2) -u a:hunter3 x"), "hunter2) hunter3");
        assert_eq!(check("npm config set //r.example/:_authToken hunter2"), "hunter2");
    }
}
