//! What the help and the manual page of a command say beside its arguments: exit codes and examples.

use std::fmt::Write as _;

use clap::Command;

/// The notes on one command.
pub(super) struct CommandNotes {
    /// Its name below the program's, such as `dead-letters list`; empty for the program.
    command: &'static str,
    /// What each exit code means. [`USAGE`] is added to them.
    exit_codes: &'static [(u8, &'static str)],
    /// Complete command lines, each with what it does.
    examples: &'static [(&'static str, &'static str)],
}

/// Exit code 2, which every command has.
const USAGE: (u8, &str) = (2, "The usage is wrong, or the configuration is refused");

const NOTES: &[CommandNotes] = &[
    CommandNotes {
        command: "",
        exit_codes: &[
            (0, "Done"),
            (1, "An event is undelivered or missing, or something cannot be reached"),
            (3, "Done, and there are dead letters"),
        ],
        examples: &[
            ("auditrail init", "Write a configuration that follows the audit log of this node"),
            ("auditrail check", "Test what `auditrail run` would do"),
            ("auditrail status", "Ask the running agent whether the trail is whole"),
        ],
    },
    CommandNotes {
        command: "init",
        exit_codes: &[
            (0, "The configuration is written, and the check found nothing that fails"),
            (
                1,
                "The API server writes no audit log, the file is there already, or the check fails",
            ),
        ],
        examples: &[
            ("auditrail init", "Find the log, and ask for the rest"),
            (
                "auditrail init --cluster prod --loki https://loki.example.org",
                "Ask nothing, for a script",
            ),
            (
                "auditrail init --webhook --loki https://loki.example.org",
                "Take the API server's webhook, and make its kubeconfig",
            ),
            (
                "auditrail init --print-policy",
                "Print an audit policy for an API server without one",
            ),
        ],
    },
    CommandNotes {
        command: "run",
        exit_codes: &[
            (0, "Ended by a signal, and everything that was sent is acknowledged"),
            (1, "Something that was sent is not acknowledged, or the agent cannot run"),
        ],
        examples: &[
            ("auditrail run", "Run as the service does"),
            (
                "auditrail run -c agent.toml --log-level debug",
                "Try another configuration, and log more",
            ),
        ],
    },
    CommandNotes {
        command: "check",
        exit_codes: &[
            (0, "Nothing keeps events from arriving"),
            (1, "Something does; with --strict a warning counts too"),
        ],
        examples: &[
            ("auditrail check", "Test the log, the state directory and every back end"),
            ("auditrail check --strict", "Test them in a script that is to stop at a warning"),
            ("auditrail check --json", "Print the results for a program"),
            (
                "auditrail check --sample /var/log/kubernetes/audit/audit.log",
                "Show what the transform would drop and redact of this log",
            ),
        ],
    },
    CommandNotes {
        command: "config print",
        exit_codes: &[(0, "The configuration is accepted")],
        examples: &[
            ("auditrail config print", "Show which values are in force"),
            ("auditrail config print --show-secrets >copy.toml", "Copy it with its secrets"),
        ],
    },
    CommandNotes {
        command: "config schema",
        exit_codes: &[(0, "Done")],
        examples: &[(
            "auditrail config schema >auditrail.schema.json",
            "Write it for an editor; a first line `#:schema auditrail.schema.json` names it there",
        )],
    },
    CommandNotes {
        command: "preview",
        exit_codes: &[(0, "Done"), (1, "The log cannot be read")],
        examples: &[
            ("auditrail preview", "Show who does what from now on"),
            (
                "auditrail preview --output loki --where 'event.verb == \"delete\"'",
                "Show only deletions, as they would leave for one output",
            ),
            (
                "auditrail preview --json audit.log",
                "Print the events of a file as they would leave",
            ),
        ],
    },
    CommandNotes {
        command: "replay",
        exit_codes: &[
            (0, "Every event that was asked for is stored"),
            (1, "Some are not; the same command continues"),
            (3, "Every event is stored or is a dead letter, and there are dead letters"),
        ],
        examples: &[
            ("auditrail replay /srv/old-logs", "Ship every log in a directory"),
            (
                "auditrail replay --since 2026-11-21 --until 2026-11-22 /srv/old-logs",
                "Ship the events of one day",
            ),
        ],
    },
    CommandNotes {
        command: "verify",
        exit_codes: &[
            (0, "The store has every event that it should have"),
            (1, "Some are missing, or could not be compared"),
            (3, "With --repair: missing events were shipped, and there are dead letters"),
        ],
        examples: &[
            ("auditrail verify --since 24h", "Compare the last day with every store"),
            ("auditrail verify --repair", "Ship what is missing"),
        ],
    },
    CommandNotes {
        command: "status",
        exit_codes: &[
            (0, "The agent is ready; with --watch, at the last look"),
            (1, "It is not ready, or does not run"),
        ],
        examples: &[
            ("auditrail status", "Show the state of each input and output"),
            ("auditrail status --watch 5s", "Show it every five seconds"),
            ("auditrail status --json", "Print it for a program"),
        ],
    },
    CommandNotes {
        command: "probe",
        exit_codes: &[(0, "Yes"), (1, "No, and the reasons are on standard output")],
        examples: &[
            ("auditrail probe ready", "Ask as a supervisor does"),
            ("auditrail probe live --state /var/lib/auditrail", "Ask without a configuration"),
        ],
    },
    CommandNotes {
        command: "holds list",
        exit_codes: &[(0, "Done"), (1, "The hold directory cannot be read")],
        examples: &[("auditrail holds list", "List the links beside each log")],
    },
    CommandNotes {
        command: "holds prune",
        exit_codes: &[
            (0, "No link is left that nobody needs"),
            (1, "A link of another agent was left, or one could not be removed"),
        ],
        examples: &[("auditrail holds prune", "Remove the links of an agent that is gone")],
    },
    CommandNotes {
        command: "dead-letters list",
        exit_codes: &[(0, "Done"), (1, "They cannot be read, or there is none with this id")],
        examples: &[
            ("auditrail dead-letters list", "Show what the outputs refused, and why"),
            ("auditrail dead-letters list --each", "Show each of them with its id"),
            ("auditrail dead-letters list --output loki --json", "Print them for a program"),
        ],
    },
    CommandNotes {
        command: "dead-letters resend",
        exit_codes: &[
            (0, "The outputs accepted all of them"),
            (1, "Some could not be sent"),
            (3, "Some were refused again, and are kept"),
        ],
        examples: &[(
            "auditrail dead-letters resend --output loki",
            "Send them again, for instance after you raised a limit",
        )],
    },
    CommandNotes {
        command: "dead-letters set-aside",
        exit_codes: &[
            (0, "No event waits any more"),
            (1, "The agent does not run, or does not answer"),
            (3, "Some still wait"),
        ],
        examples: &[(
            "auditrail dead-letters set-aside --output search",
            "Let delivery go on without the events that this output refuses",
        )],
    },
    CommandNotes {
        command: "dead-letters drop",
        exit_codes: &[
            (0, "They are deleted"),
            (1, "Some could not be deleted"),
            (3, "Some of the chosen ones are still there"),
        ],
        examples: &[("auditrail dead-letters drop --all", "Delete all of them for good")],
    },
    CommandNotes {
        command: "completions",
        exit_codes: &[(0, "Done")],
        examples: &[
            (
                "auditrail completions bash >/etc/bash_completion.d/auditrail",
                "Install them for every user of bash",
            ),
            (
                "auditrail completions zsh >/usr/local/share/zsh/site-functions/_auditrail",
                "Install them for every user of zsh",
            ),
            (
                "auditrail completions fish >~/.config/fish/completions/auditrail.fish",
                "Install them for one user of fish",
            ),
        ],
    },
];

impl CommandNotes {
    /// The notes on a command, by its name below the program's.
    pub(super) fn of(command: &str) -> Option<&'static Self> {
        NOTES.iter().find(|notes| notes.command == command)
    }

    /// The names of all commands that have notes, in alphabetical order.
    #[cfg(test)]
    pub(super) fn names() -> Vec<&'static str> {
        let mut names: Vec<_> = NOTES.iter().map(|notes| notes.command).collect();
        names.sort_unstable();
        names
    }

    /// All exit codes, in ascending order.
    pub(super) fn exit_codes(&self) -> Vec<(u8, &'static str)> {
        let mut codes = self.exit_codes.to_vec();
        codes.push(USAGE);
        codes.sort_unstable();
        codes
    }

    pub(super) fn examples(&self) -> &'static [(&'static str, &'static str)] {
        self.examples
    }

    /// The end of the help.
    fn help(&self) -> String {
        // Writing to a String cannot fail.
        let mut text = String::from("Exit codes:\n");
        for (code, meaning) in self.exit_codes() {
            let _ = writeln!(text, "  {code}  {meaning}");
        }
        text.push_str("\nExamples:\n");
        for (line, what) in self.examples {
            let _ = writeln!(text, "  {line}\n          {what}");
        }
        text.trim_end().to_owned()
    }
}

/// Adds the notes to the help of a command and of all commands below it.
pub(super) fn annotated(command: Command) -> Command {
    annotated_below("", command)
}

fn annotated_below(name: &str, command: Command) -> Command {
    let command = match CommandNotes::of(name) {
        Some(notes) => command.after_help(notes.help()),
        None => command,
    };
    command.mut_subcommands(|below| {
        let name = format!("{name} {}", below.get_name());
        annotated_below(name.trim_start(), below)
    })
}
