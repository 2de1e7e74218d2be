//! A headless Chromium that looks at the page, through `look.mjs`.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A browser. It ends with its standard input.
pub(crate) struct Browser {
    process: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// The folder of these tests.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page")
}

/// The first Chromium that this machine has.
fn chromium() -> PathBuf {
    if let Some(named) = env::var_os("AUDITRAIL_CHROMIUM") {
        return named.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.iter().find_map(|name| {
        env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    });
    found.expect(
        "no Chromium in PATH: install the package chromium, or name one in AUDITRAIL_CHROMIUM",
    )
}

impl Browser {
    pub(crate) fn start() -> Self {
        let folder = folder();
        assert!(
            folder.join("node_modules").is_dir(),
            "the packages are missing: run `.ci/run page`, or `npm ci` in {}",
            folder.display()
        );
        let mut process = Command::new("node")
            .arg(folder.join("look.mjs"))
            .env("AUDITRAIL_CHROMIUM", chromium())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node.js is missing: install the package nodejs");
        let questions = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, questions, answers }
    }

    /// Asks `look.mjs`, and fails if it does.
    pub(crate) fn ask(&mut self, ask: &str, about: Value) -> Value {
        let mut question = about;
        question["ask"] = ask.into();
        let pipe = self.questions.as_mut().unwrap();
        writeln!(pipe, "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the browser is gone ({error}): {line}"));
        assert!(answer["error"].is_null(), "{ask} {question}: {}", answer["error"]);
        answer["ok"].take()
    }

    /// Opens the page at this address, as on a desk in daylight.
    pub(crate) fn open(&mut self, url: &str) -> Value {
        self.ask("open", json!({"url": url}))
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, script: &str) -> Value {
        self.ask("value", json!({"script": script}))
    }

    /// The text of an element.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let script = format!("document.querySelector({selector:?})?.innerText ?? ''");
        self.value(&script).as_str().unwrap().to_owned()
    }

    pub(crate) fn until(&mut self, script: &str) {
        self.ask("until", json!({"script": script}));
    }

    /// Looks at the open page on a desk and on a phone, light and dark: no message on the console, no request to
    /// elsewhere, nothing that hinders people with disabilities, nothing wider than the screen.
    pub(crate) fn look_everywhere(&mut self, state: &str) {
        for width in [1280, 390] {
            for scheme in ["light", "dark"] {
                let found = self.ask("view", json!({"width": width, "scheme": scheme}));
                assert_eq!(found, json!([]), "{state} at {width} px, {scheme}: {found:#}");
            }
        }
    }

    /// Writes a picture for the documents, if asked to.
    pub(crate) fn picture(&mut self, name: &str, width: u16, height: u16, scheme: &str) {
        let file = match env::var_os("AUDITRAIL_BLESS") {
            Some(_) => Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images").join(name),
            // Taken all the same, so that taking it is tested.
            None => env::temp_dir().join(format!("auditrail-{}-{name}", std::process::id())),
        };
        let about = json!({"file": file, "width": width, "height": height, "scheme": scheme});
        self.ask("picture", about);
        let bytes = std::fs::metadata(&file).unwrap().len();
        assert!((10_000..150_000).contains(&bytes), "{name} has {bytes} bytes");
        if env::var_os("AUDITRAIL_BLESS").is_none() {
            std::fs::remove_file(file).unwrap();
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.questions.take());
        let _ = self.process.wait();
    }
}
