//! Redaction of credentials in answers: stores and proxies repeat the request with its credentials, and the agent shows
//! none of them wherever it quotes an answer. The secrets are made at run time.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::command::{Place, Ran, auditrail};
use kit::{http, wait_for};

/// A word in every answer. The tests look for it to make sure that the agent quotes answers at all.
const MARK: &str = "ECHOED";

/// A random secret of this length from these characters.
fn random(length: usize, alphabet: &str) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let state = RandomState::new();
    let pick =
        |at: usize| alphabet[usize::try_from(state.hash_one(at) % alphabet.len() as u64).unwrap()];
    // A letter at each end, since the agent trims white space from the ends of a secret file.
    format!("z{}z", (2..length).map(pick).collect::<String>())
}

const PLAIN: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ODD: &str = "abcXYZ019 \"'\\&<>%+/?#@:;=,.*()[]{}|$^~!-_";

/// A way of repeating a request, with its name.
type Echo = (&'static str, fn(&str) -> String);

const ECHOES: [Echo; 8] = [
    ("as it is", str::to_owned),
    ("in JSON", |head| json!({"error": {"type": "proxy", "reason": head}}).to_string()),
    ("in a page", |head| format!("<html><body><pre>{}</pre></body></html>", html(head))),
    ("in a page with breaks", |head| {
        let chars: Vec<char> = head.chars().collect();
        let lines: Vec<String> =
            chars.chunks(9).map(|line| html(&line.iter().collect::<String>())).collect();
        format!("<p>{}</p>", lines.join("<br>\n"))
    }),
    ("in a URL", |head| format!("see /login?back={}", http::escape(head))),
    ("in base64", |head| STANDARD.encode(head)),
    ("in base64, at another place", |head| STANDARD.encode(format!("x{head}"))),
    ("its credentials first", |head| {
        let telling = |line: &&str| {
            line.contains("uthorization") || line.to_ascii_lowercase().contains("key")
        };
        head.lines().filter(telling).collect::<Vec<_>>().join(" ")
    }),
];

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

const STATUSES: [u16; 9] = [200, 302, 400, 401, 403, 404, 429, 500, 503];

/// A server that repeats each request in its answer, every time in the next of the [`ECHOES`]. With `takes_half` it
/// stores a part of the documents of a bulk request and refuses all other requests with 403.
struct Repeater {
    url: String,
    next: Arc<AtomicUsize>,
}

impl Repeater {
    fn start(takes_half: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let next = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&next);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let next = Arc::clone(&counter);
                thread::spawn(move || {
                    while let Some((head, body)) = request(&mut stream) {
                        let answer = answer(&head, &body, next.fetch_add(1, SeqCst), takes_half);
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, next }
    }
}

fn answer(head: &str, body: &str, number: usize, takes_half: bool) -> String {
    let (_, echo) = ECHOES[number % ECHOES.len()];
    let said = format!("{MARK} {}", echo(head));
    let mut status = STATUSES[number / ECHOES.len() % STATUSES.len()];
    let mut text = said.clone();
    if takes_half && head.contains("/_bulk") {
        status = 200;
        text = half(body, &said).to_string();
    } else if takes_half {
        (status, text) =
            (403, json!({"error": {"type": "security_exception", "reason": said}}).to_string());
    }
    let location = format!("http://elsewhere.example/{MARK}?{}", http::escape(head));
    format!(
        "HTTP/1.1 {status} {}\r\nlocation: {location}\r\ncontent-length: {}\r\n\r\n{text}",
        http::escape(head),
        text.len()
    )
}

/// The answer to a bulk request: one document in eight, chosen by its id, is refused with a reason that repeats the
/// request. The others are stored.
fn half(body: &str, said: &str) -> Value {
    let ids = body.lines().filter_map(|line| {
        let action: Value = serde_json::from_str(line).ok()?;
        Some(action.get("create")?.get("_id")?.as_str()?.to_owned())
    });
    let items = ids.map(|id| {
        if id.bytes().map(u32::from).sum::<u32>() % 8 != 0 {
            return json!({"create": {"_id": id, "status": 201}});
        }
        json!({"create": {"_id": id, "status": 400, "error": {"type": "document_parsing_exception", "reason": said}}})
    });
    json!({"errors": true, "items": items.collect::<Vec<_>>()})
}

/// Reads one request. Returns its head and its body.
fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut all, mut chunk) = (Vec::new(), [0; 8192]);
    loop {
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        all.extend_from_slice(&chunk[..read]);
        let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let length = head.to_ascii_lowercase();
        let length =
            length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if all.len() >= end + 4 + length.unwrap_or(0_usize) {
            return Some((head, String::from_utf8_lossy(&all[end + 4..]).into_owned()));
        }
    }
}

/// Credentials of each kind.
struct Secrets {
    password: String,
    next_password: String,
    token: String,
    header: String,
    query: String,
}

impl Secrets {
    fn new() -> Self {
        Self {
            password: random(19, ODD),
            next_password: random(24, ODD),
            token: random(40, PLAIN),
            header: random(64, PLAIN),
            query: random(17, PLAIN),
        }
    }

    /// Parts of each secret in each encoding, 12 characters each. None of them may be found anywhere.
    fn traces(&self) -> Vec<String> {
        let Self { password, next_password, token, header, query } = self;
        let mut traces = Vec::new();
        for secret in [password, next_password, token, header, query] {
            let quoted = json!(secret).to_string();
            let whole = [
                secret.clone(),
                quoted[1..quoted.len() - 1].to_owned(),
                html(secret),
                http::escape(secret),
                STANDARD.encode(secret),
                STANDARD.encode(format!("elastic:{secret}")),
                STANDARD.encode(format!("xy{secret}")),
            ];
            for form in whole {
                let chars: Vec<char> = form.chars().collect();
                // Leave out the ends: in base64 they depend on the neighbouring bytes.
                let parts = chars[2..chars.len() - 2].windows(12);
                traces.extend(parts.map(|part| part.iter().collect::<String>()));
            }
        }
        // The encoded name of the user alone is not a secret.
        let public = STANDARD.encode("xyelastic:");
        traces.retain(|trace| {
            !public.contains(trace.as_str())
                && !STANDARD.encode("elastic:").contains(trace.as_str())
        });
        traces
    }

    fn assert_not_in(&self, place: &str, text: &str) {
        let traces = self.traces();
        let found = AhoCorasick::new(&traces).unwrap().find(text);
        if let Some(found) = found {
            let (start, end) = (found.start().saturating_sub(300), found.end() + 300);
            let around = &text
                [text.floor_char_boundary(start)..text.ceil_char_boundary(end.min(text.len()))];
            panic!("{place} shows {:?}: …{around}…", traces[found.pattern()]);
        }
    }
}

/// A configuration with an output for each kind of credentials.
fn place(search: &Repeater, loki: &Repeater, secrets: &Secrets) -> Place {
    let place = Place::following_recorded();
    fs::write(place.path("password"), &secrets.password).unwrap();
    let text = fs::read_to_string(place.config()).unwrap();
    let more = format!(
        "[outputs.search]\ntype = \"elasticsearch\"\nendpoints = [\"{}\"]\nsetup_template = \"never\"\ncompression = \"none\"\n\
         layout = \"flat\"\nretry = {{ min = \"10ms\", max = \"50ms\" }}\nbasic_auth = {{ username = \"elastic\", password_file = \"{}\" }}\n\
         headers = {{ X-Api-Key = \"{}\" }}\n\
         [outputs.logs]\ntype = \"loki\"\nendpoint = \"{}/loki/api/v1/push?apikey={}\"\nretry = {{ min = \"10ms\", max = \"50ms\" }}\n\
         bearer_token = \"{}\"\n",
        search.url,
        place.path("password").display(),
        secrets.header,
        loki.url,
        secrets.query,
        secrets.token,
    );
    fs::write(place.config(), format!("{text}\n{more}")).unwrap();
    place
}

#[test]
fn check_shows_no_credentials_whatever_the_back_ends_repeat() {
    let secrets = Secrets::new();
    let (search, loki) = (Repeater::start(false), Repeater::start(false));
    let place = place(&search, &loki, &secrets);
    let mut seen = 0;
    for number in 0..ECHOES.len() * STATUSES.len() {
        search.next.store(number, SeqCst);
        loki.next.store(number, SeqCst);
        let Ran { stdout, stderr, .. } = place.ask(&["check", "--log-level", "trace"]);
        let name = format!("check, {}", ECHOES[number % ECHOES.len()].0);
        secrets.assert_not_in(&name, &(stdout.clone() + &stderr));
        seen += usize::from(stdout.contains(MARK));
    }
    assert!(seen > ECHOES.len(), "only {seen} answers were quoted");
}

#[test]
fn no_place_of_a_running_agent_shows_credentials_that_the_back_ends_repeat() {
    let secrets = Secrets::new();
    let (search, loki) = (Repeater::start(true), Repeater::start(false));
    let place = place(&search, &loki, &secrets);
    let log = File::create(place.path("agent.log")).unwrap();
    let mut command = auditrail();
    command.args(["run", "--log-level", "trace", "-c"]).arg(place.config()).stderr(log);
    let mut child = command.spawn().unwrap();
    let rounds = ECHOES.len() * STATUSES.len();
    let look = |text: &mut String| {
        for path in ["/", "/status", "/readyz", "/metrics"] {
            if let Ok(answer) = http::get(&place.url(path)) {
                *text += &String::from_utf8_lossy(&answer.body);
            }
        }
        let Ran { stdout, stderr, .. } = place.ask(&["status", "--json"]);
        *text += &(stdout + &stderr);
        let Ran { stdout, stderr, .. } = place.ask(&["dead-letters", "list"]);
        *text += &(stdout + &stderr);
    };
    let mut shown = String::new();
    wait_for("the first answers", Duration::from_secs(30), || {
        look(&mut shown);
        let asked = (search.next.load(SeqCst), loki.next.load(SeqCst));
        if asked.0 > 0 && asked.1 > 8 { Ok(()) } else { Err(format!("{asked:?}")) }
    });
    // The replaced password must stay redacted, since a late proxy may still repeat it.
    fs::write(place.path("new"), &secrets.next_password).unwrap();
    fs::rename(place.path("new"), place.path("password")).unwrap();
    wait_for("all answers", Duration::from_mins(1), || {
        look(&mut shown);
        let asked = loki.next.load(SeqCst);
        if asked > rounds { Ok(()) } else { Err(format!("{asked} of {rounds}")) }
    });
    let letters = place.state_dir().join("dead-letters");
    let kept = wait_for("dead letters", Duration::from_secs(30), || {
        let mut bytes = Vec::new();
        crate::privacy::below(&letters, &mut |path| {
            bytes.extend(fs::read(path).unwrap_or_default());
        });
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.contains(MARK) { Ok(text) } else { Err(format!("{} bytes", text.len())) }
    });
    look(&mut shown);
    child.kill().unwrap();
    child.wait().unwrap();
    let said = fs::read_to_string(place.path("agent.log")).unwrap();
    for (name, text) in
        [("the log", &said), ("a page, status or dead-letters", &shown), ("a dead letter", &kept)]
    {
        assert!(text.contains(MARK), "{name} quotes no answer");
        secrets.assert_not_in(name, text);
    }
}

/// Errors of the command line must not repeat an argument that may be a secret.
#[test]
fn errors_of_usage_repeat_no_secret() {
    let secret = random(20, PLAIN);
    for arguments in [
        vec!["check".to_owned(), "--bearer".to_owned(), secret.clone()],
        vec!["check".to_owned(), format!("--bearer={secret}")],
        vec!["check".to_owned(), secret.clone()],
        vec![secret.clone()],
        vec!["run".to_owned(), "--log-level".to_owned(), secret.clone()],
        vec!["run".to_owned(), format!("--log-format={secret}")],
        vec![format!("-{secret}")],
    ] {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let ran = crate::command::run(&arguments).expect(2);
        assert!(!ran.stderr.contains(&secret[1..]), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty());
    }
}
