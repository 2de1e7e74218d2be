//! The API server's own evaluator, as a child process: `tests/policy/evaluator`, built by
//! `tests/backends/servers/build.sh`.

use std::env;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use serde::Deserialize;
use serde_json::{Value, json};

pub(super) struct Evaluator {
    child: Child,
    questions: Option<BufWriter<ChildStdin>>,
    answers: BufReader<ChildStdout>,
}

/// The server's answer about a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Answer {
    loaded: Vec<String>,
    /// One for each policy.
    pub(super) decisions: Vec<Decided>,
    pub(super) refused: Option<String>,
    pub(super) verb: String,
    #[serde(rename = "ref")]
    pub(super) target: Option<RequestTarget>,
    pub(super) event: String,
    pub(super) legacy: String,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Decided {
    pub(super) level: String,
    pub(super) omit_stages: Option<Vec<String>>,
    pub(super) omit_managed_fields: bool,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RequestTarget {
    pub(super) api_group: String,
    pub(super) resource: String,
    pub(super) subresource: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Evaluator {
    /// Starts the evaluator. If it is not built, prints that and returns `None`; with `AUDITRAIL_REQUIRE_SERVERS=1`
    /// the test fails instead.
    pub(super) fn start() -> Option<Self> {
        let is_set = |name| env::var_os(name).is_some_and(|value| value == "1");
        if is_set("AUDITRAIL_TEST_WITHOUT_SERVERS") {
            println!(
                "not run: AUDITRAIL_TEST_WITHOUT_SERVERS is set; it needs the evaluator of policies"
            );
            return None;
        }
        let program = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .join("target/backends/bin/policy-evaluator");
        if !program.try_exists().unwrap() {
            let message = "target/backends/bin/policy-evaluator is not built; tests/backends/servers/build.sh does it";
            assert!(!is_set("AUDITRAIL_REQUIRE_SERVERS"), "{message}");
            println!("not run: {message}");
            return None;
        }
        let mut child =
            Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let questions = child.stdin.take().map(BufWriter::new);
        let answers = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, questions, answers })
    }

    /// Replaces the policies in the evaluator. The server must accept them all without a warning.
    pub(super) fn load(&mut self, texts: &[String]) {
        for (text, message) in texts.iter().zip(self.try_load(texts)) {
            assert!(message.is_empty(), "{message}\n{text}");
        }
    }

    /// Replaces the policies, and returns the server's message on each: empty, a warning of its log (which begins
    /// with W), or why it refuses the policy.
    pub(super) fn try_load(&mut self, texts: &[String]) -> Vec<String> {
        let said = self.ask(&[json!({ "load": texts })]).remove(0).loaded;
        assert_eq!(said.len(), texts.len());
        said
    }

    /// Sends all questions, then reads all answers.
    pub(super) fn ask(&mut self, asked: &[Value]) -> Vec<Answer> {
        let questions = self.questions.as_mut().unwrap();
        let answers = &mut self.answers;
        thread::scope(|scope| {
            scope.spawn(move || {
                for question in asked {
                    writeln!(questions, "{question}").unwrap();
                }
                questions.flush().unwrap();
            });
            let mut line = String::new();
            asked
                .iter()
                .map(|question| {
                    line.clear();
                    answers.read_line(&mut line).unwrap();
                    serde_json::from_str(&line)
                        .unwrap_or_else(|error| panic!("{error}: {question}"))
                })
                .collect()
        })
    }
}

impl Drop for Evaluator {
    fn drop(&mut self) {
        // The evaluator exits when its input ends.
        self.questions = None;
        let _ = self.child.wait();
    }
}
