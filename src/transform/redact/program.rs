//! Programs that take passwords in short flags: `curl -u`, `mysql -p`, `redis-cli -a`, `sshpass -p`, `docker login -p`, `mongosh -p`.

use std::ops::Range;

use super::words::in_name;

/// What a word of a command line gives away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flag {
    /// The next word.
    Next,
    /// The rest of this word, from here on.
    Rest(usize),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Program {
    Curl,
    Mysql,
    Redis,
    Sshpass,
    Login,
    Mongo,
}

impl Program {
    /// The program that a word of a command line names.
    pub(super) fn named(word: &str) -> Option<Self> {
        let name = word.rsplit('/').next()?;
        Some(match name {
            "curl" => Self::Curl,
            "redis-cli" => Self::Redis,
            "sshpass" => Self::Sshpass,
            "login" => Self::Login,
            "mongo" | "mongosh" | "mongodump" | "mongorestore" | "mongoexport" | "mongoimport" => {
                Self::Mongo
            }
            _ if name.starts_with("mysql") || name.starts_with("mariadb") => Self::Mysql,
            _ => return None,
        })
    }

    pub(super) fn flag(self, word: &str) -> Option<Flag> {
        let short: &[&str] = match self {
            Self::Curl => &["-u", "-U"],
            Self::Redis => &["-a"],
            Self::Mysql | Self::Sshpass | Self::Login | Self::Mongo => &["-p"],
        };
        let long: &[&str] = match self {
            Self::Curl => &["--user", "--proxy-user"],
            Self::Redis => &["--pass"],
            Self::Mysql | Self::Sshpass | Self::Login | Self::Mongo => &[],
        };
        if long.contains(&word) || self != Self::Mysql && short.contains(&word) {
            return Some(Flag::Next);
        }
        if let Some(flag) = long.iter().find(|flag| word.starts_with(&format!("{flag}="))) {
            return Some(Flag::Rest(flag.len() + 1));
        }
        let glued = short.iter().any(|flag| word.starts_with(flag)) && word.len() > 2;
        glued.then_some(Flag::Rest(2))
    }
}

/// Finds the secrets of a command line that begins with the name of a program. Answers where it ends, if it does.
pub(super) fn secrets(line: &str, mut each: impl FnMut(Range<usize>)) -> Option<usize> {
    let name = line.bytes().take(32).take_while(|byte| in_name(*byte)).count();
    let program = Program::named(&line[..name])?;
    if !line.as_bytes().get(name)?.is_ascii_whitespace() {
        return None;
    }
    let end = line.find(['\n', ';', '|', '&']).unwrap_or(line.len());
    let words = words(&line[..end]).skip(1);
    let mut next = false;
    for at in words {
        let word = &line[at.clone()];
        if std::mem::take(&mut next) {
            each(at);
        } else {
            match program.flag(word) {
                Some(Flag::Next) => next = true,
                Some(Flag::Rest(from)) => each(at.start + from..at.end),
                None => {}
            }
        }
    }
    Some(end)
}

/// The words of a command line; quotes hold blanks together.
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
        assert_eq!(check("curl -s -u 'a:b c' https://x"), "'a:b c'");
        assert_eq!(check("curl --user=a:b x"), "a:b");
        assert_eq!(check("mysql -u root -phunter2 db; ls -px"), "hunter2");
        assert_eq!(check("mysqldump -p db"), "");
        assert_eq!(check("redis-cli -a hunter2 ping"), "hunter2");
        assert_eq!(check("sshpass -p hunter2 ssh x"), "hunter2");
        assert_eq!(check("sshpass -phunter2 ssh x"), "hunter2");
        assert_eq!(check("mongosh db -u x -p hunter2"), "hunter2");
        assert_eq!(check("mongodump -phunter2"), "hunter2");
        assert_eq!(check("login -u x -p hunter2"), "hunter2");
    }
}
