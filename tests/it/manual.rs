//! The manual pages, and the completions of each shell.

use std::fs;
use std::process::Command;

use crate::command::{auditrail, finish, run};
use crate::sources::read;

/// Runs a program of a Debian package of the same name, and fails unless it succeeds. Returns what it printed, or `None`
/// if it is not on this machine; in CI it must be.
fn tool(command: &mut Command) -> Option<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(ended) => {
            let said = [&ended.stdout[..], &ended.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            assert!(ended.status.success(), "{name}: {said}");
            Some(said)
        }
        Err(error) => {
            let why = format!("no {name} ({error}): it is in the Debian package of this name");
            assert!(std::env::var_os("CI").is_none(), "{why}");
            eprintln!("NOT TESTED: {why}");
            None
        }
    }
}

#[test]
fn each_command_has_a_manual_page_that_mandoc_accepts() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    finish(auditrail().arg("man").arg(&pages).env("SOURCE_DATE_EPOCH", "1795000000")).expect(0);
    let mut names = Vec::new();
    for entry in fs::read_dir(&pages).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let wanted = ["NAME", "SYNOPSIS", "OPTIONS", "\"GLOBAL OPTIONS\"", "FILES"];
        for section in wanted {
            assert_eq!(text.matches(&format!("\n.SH {section}\n")).count(), 1, "{section}: {text}");
        }
        assert!(text.contains("\"2026-11-18\"") && !text.contains('`'), "{text}");
        names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        if let Some(said) = tool(Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(&path)) {
            assert!(said.is_empty(), "{said}");
        }
    }
    // The help that is tested in `cli.rs` has a page for each command too.
    let help = read("tests/it/help.txt");
    let mut commands: Vec<_> = help
        .lines()
        .filter_map(|line| line.strip_prefix("$ auditrail ")?.strip_suffix("--help"))
        .map(|command| format!("auditrail {command}").trim_end().replace(' ', "-"))
        .collect();
    commands.sort();
    names.sort();
    assert_eq!(names, commands);
}

#[test]
fn the_time_of_a_page_is_that_of_the_sources_so_two_builds_are_equal() {
    let dir = tempfile::tempdir().unwrap();
    let page = |name: &str, epoch: &str| {
        let pages = dir.path().join(name);
        finish(auditrail().arg("man").arg(&pages).env("SOURCE_DATE_EPOCH", epoch)).expect(0);
        fs::read_to_string(pages.join("auditrail-run.1")).unwrap()
    };
    assert_eq!(page("a", "1795000000"), page("b", "1795000000"));
    assert!(page("c", "nonsense").contains("\n.TH AUDITRAIL-RUN 1 \"\" "));
}

/// What each shell offers after `auditrail dead-letters`, by its own completion.
#[test]
fn each_shell_completes_the_commands_and_not_the_hidden_one() {
    let dir = tempfile::tempdir().unwrap();
    let ask = |shell: &str, arguments: &[&str], ask: &str| {
        let script = dir.path().join(format!("_{shell}"));
        fs::write(&script, run(&["completions", shell]).expect(0).stdout).unwrap();
        let dir = dir.path().display();
        let program = ask.replace("SCRIPT", &script.display().to_string());
        let mut command = Command::new(shell);
        command.args(arguments).args(["-c", &program]).env("HOME", dir.to_string());
        tool(&mut command)
    };
    let bash = "source SCRIPT && complete -p auditrail \
        && COMP_WORDS=(auditrail '') COMP_CWORD=1 && _auditrail auditrail '' auditrail; echo ${COMPREPLY[@]} \
        && COMP_WORDS=(auditrail dead-letters '') COMP_CWORD=2 && _auditrail auditrail '' dead-letters; echo ${COMPREPLY[@]}";
    let fish = "source SCRIPT; complete -C 'auditrail '; complete -C 'auditrail dead-letters '";
    // The script defines the functions that the completion of zsh calls; without a terminal it cannot be asked.
    let zsh = "autoload -Uz compinit && compinit -u && source SCRIPT && echo $_comps[auditrail] \
        && functions _auditrail_commands _auditrail__subcmd__dead-letters_commands";
    for (shell, arguments, question) in
        [("bash", &["--norc"][..], bash), ("fish", &["--no-config"], fish), ("zsh", &["-f"], zsh)]
    {
        let Some(said) = ask(shell, arguments, question) else { continue };
        for word in ["preview", "completions", "set-aside", "resend"] {
            assert!(said.contains(word), "{shell}: {word}: {said}");
        }
        assert!(!said.contains(" man ") && !said.contains("manual page"), "{shell}: {said}");
    }
}

#[test]
fn a_shell_that_is_not_known_is_refused_with_the_known_ones() {
    let ran = run(&["completions", "tcsh"]).expect(2);
    assert!(ran.stderr.contains("[possible values: bash, zsh, fish]"), "{}", ran.stderr);
}
