//! Redaction of secrets that are made at run time and repeated in the ways that stores, proxies and pages repeat them.

use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;

fn blank(secret: &str, text: &str) -> String {
    Secrets::new([secret]).blank(text)
}

/// Passwords and tokens of many alphabets, some with characters that are special in JSON, HTML, URLs and patterns.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9]{6,80}",
        "[ -~]{12,64}",
        "[!\"#$%&'()*+,./:;<=>?@\\\\^`{|}~-]{8,24}",
        "[a-f0-9]{32}",
        "[A-Za-z0-9_-]{20,300}",
        "[äöüß€日本語аб]{6,20}",
        "[a-z]{4,8}( [a-z]{4,8}){2,4}",
        "(%[0-9a-f]{2}|\\\\u00[0-9a-f]{2}|&amp;|<b|[a-z]){6,20}",
    ]
    .prop_map(|text| text.trim().to_owned())
    .prop_filter("long enough to be looked for", |text| bare(text.as_bytes()).len() >= PART)
}

fn percent(text: &str, all: bool) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' if !all => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

fn unicode(text: &str) -> String {
    let units: Vec<_> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    units.concat()
}

fn html(text: &str) -> String {
    let escape = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        '/' => "&#x2F;".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

fn broken(text: &str, with: &str, every: usize) -> String {
    let chars: Vec<_> = text.chars().collect();
    let lines: Vec<String> = chars.chunks(every).map(|line| line.iter().collect()).collect();
    lines.join(with)
}

/// The secret in each form, with the name of the form.
fn repeated(secret: &str) -> Vec<(&'static str, String)> {
    let hex: Vec<_> = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    let base64 = STANDARD.encode(secret);
    vec![
        ("raw", secret.to_owned()),
        ("base64", base64.clone()),
        ("base64 for URLs", URL_SAFE.encode(secret)),
        ("hex", hex.clone()),
        ("upper hex", hex.to_uppercase()),
        ("a URL", percent(secret, false)),
        ("a URL, every byte", percent(secret, true)),
        ("a form", percent(secret, false).replace("%20", "+")),
        ("JSON", json(secret)),
        ("JSON in JSON", json(&json(secret))),
        ("escaped units", unicode(secret)),
        ("HTML", html(secret)),
        ("JSON in HTML", html(&json(secret))),
        ("a URL in HTML", html(&percent(secret, false))),
        ("base64 in a URL", percent(&base64, false)),
        ("base64 in JSON", base64.replace('/', "\\/")),
        ("lines", broken(secret, "\r\n  ", 5)),
        ("lines of a page", broken(&html(secret), "<br/>\n", 7)),
        ("points of a page where it may be broken", broken(secret, "<wbr>", 3)),
        ("marks without width", broken(secret, "\u{200b}", 2)),
        ("lines of base64", broken(&base64, "\n", 8)),
    ]
}

/// The length of the longest substring of both, in characters, without white space.
fn common(one: &str, other: &str) -> usize {
    let bare =
        |text: &str| -> Vec<char> { text.chars().filter(|c| !views::is_nothing(*c)).collect() };
    let (one, other) = (bare(one), bare(other));
    let mut longest = 0;
    let mut row = vec![0; other.len() + 1];
    for a in &one {
        let mut before = 0;
        for (at, b) in other.iter().enumerate() {
            let here = if a == b { before + 1 } else { 0 };
            before = std::mem::replace(&mut row[at + 1], here);
            longest = longest.max(here);
        }
    }
    longest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_part_of_a_secret_is_left_in_any_form(secret in secret()) {
        let secrets = Secrets::new([secret.as_str()]);
        for (form, text) in repeated(&secret) {
            let out = secrets.blank(&format!("400 ({text} ) 7"));
            prop_assert!(out.contains(BLANK), "{form}: {out}");
            prop_assert!(common(&out, &text) < PART, "{form}: {text} became {out}");
            prop_assert!(out.starts_with("400 ") && out.ends_with(" 7"), "{form}: {out}");
        }
    }

    #[test]
    fn base64_of_more_than_the_secret_has_none_of_it(secret in "[!-~]{9,60}", before in 0..40_usize, after in 0..20_usize) {
        let whole = STANDARD.encode(format!("{}{secret}{}", "#".repeat(before), "#".repeat(after)));
        let own = &whole[(before * 8).div_ceil(6)..(before + secret.len()) * 8 / 6];
        let out = blank(&secret, &whole);
        prop_assert!(common(&out, own) < PART, "{whole} became {out}");
    }

    #[test]
    fn a_cut_secret_is_not_shown_either(secret in "[A-Za-z0-9]{12,40}", from in 0..4_usize, length in 8..12_usize) {
        let part = &secret[from..from + length.min(secret.len() - from)];
        let out = blank(&secret, &format!("saw ({part}) there"));
        prop_assert_eq!(out, "saw (***) there");
        let ends = format!("saw {}…: mend it", &secret[..5]);
        prop_assert_eq!(blank(&secret, &ends), "saw ***…: mend it");
    }

    #[test]
    fn any_text_is_one_short_line(text in any::<String>(), secret in secret()) {
        let out = blank(&secret, &text);
        prop_assert!(out.len() <= LONGEST && !out.contains(is_odd));
    }

    /// An unknown value is redacted in a place where credentials usually are.
    #[test]
    fn what_stands_where_credentials_stand_is_blanked(value in "[A-Za-z0-9+/_.~-]{7,40}[A-Za-z0-9]") {
        let secrets = Secrets::new(["unrelated to it"]);
        for text in [
            format!("GET /x HTTP/1.1 authorization: Basic {value} host: h"),
            format!("Authorization: {value}"),
            format!("proxy-authorization: Custom {value} accept: */*"),
            format!("\"Authorization\": \"Token {value}\", \"Host\": \"h\""),
            format!("{{\\\"authorization\\\":[\\\"Bearer {value}\\\"]}}"),
            format!("Cookie: a=1; session={value}; b=2 Host: h"),
            format!("Set-Cookie: sid={value}; Path=/; HttpOnly"),
            format!("X-Api-Key: {value} Accept: x"),
            format!("x-vault-token={value}"),
            format!("'HTTP_X_AUTH_TOKEN': '{value}'"),
            format!("\"HTTP_AUTHORIZATION\"=>\"Bearer {value}\""),
            format!("<tr><th>Authorization</th><td>Bearer {value}</td></tr>"),
            format!("('Cookie', 'sid={value}')"),
            format!("cannot accept Bearer {value} here"),
            format!("Basic%20{value}"),
            format!("ApiKey {value}"),
            format!("https://user:{value}@es.example:9200/x failed"),
            format!("https:\\/\\/user:{value}@es.example:9200\\/x failed"),
            format!("https%3A%2F%2Fuser%3A{}%40es.example", value.replace('/', "")),
            format!("dial elastic:{}@10.0.0.1:9200", value.replace('/', "")),
            format!("https://es.example/x?apikey={value}&b=1"),
            format!("https://es.example/x?{value} failed"),
            format!("https://es.example/x#access={value}"),
            format!("POST /loki/api/v1/push?k={value} HTTP/1.1"),
            format!("api_key={value}&x=1"),
            format!("{{\"password\":\"{value}\"}}"),
        ] {
            let out = secrets.blank(&text);
            prop_assert!(common(&out, &value.replace('/', "")) < 6, "{text} became {out}");
        }
    }
}

/// Five thousand documents may each have an answer of their own.
#[test]
fn an_answer_is_gone_through_quickly() {
    let secrets = Secrets::new(["b7f9c1e0a4d24c6f", "dTpiN2Y5YzFlMGE0ZDI0YzZm"]);
    let text = "400 document_parsing_exception: [1:345] failed to parse field [kubernetes.audit.requestObject.spec] of type [flattened]";
    let began = std::time::Instant::now();
    for number in 0..5000 {
        secrets.blank(&format!("{text} in document with id '{number}'"));
    }
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}

#[test]
fn what_was_rotated_and_what_is_in_urls_is_blanked_too() {
    let mut first = Secrets::new(["first-of-them"]);
    first.fix(["in-the-query"]);
    let mut now = first;
    for round in 0..EARLIER {
        now = Secrets::new([format!("number-{round}-of-them").as_str()]).after(&now);
    }
    let out = now.blank("a first-of-them b number-30-of-them c in-the-query d");
    assert_eq!(out, "a *** b *** c *** d");
}

#[test]
fn a_short_secret_is_blanked_only_where_credentials_stand() {
    assert_eq!(blank("s3cr", "s3cr of 400"), "s3cr of 400");
    let pair = STANDARD.encode("u:s3cr");
    assert_eq!(blank(&pair, &format!("saw {pair} here")), "saw *** here");
    assert_eq!(blank("s3cr", "password: s3cr"), "password: ***");
}

/// Real answers of stores and proxies, and our own messages.
#[test]
fn words_without_credentials_are_left_as_they_are() {
    let secrets = Secrets::new(["b7f9c1e0a4d24c6f"]);
    for text in [
        "401 <html><title>401 Authorization Required</title></html>",
        "401 unable to authenticate user [auditrail] for REST request [/_bulk]",
        "401 missing authentication credentials for REST request [/_bulk?filter_path]",
        "400 max entry size '65536' bytes exceeded for stream '{cluster=\"c\", input=\"a\"}' while adding an entry with length '70001' bytes",
        "429 Ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '10' lines",
        "400 entry for stream '{job=\"kubernetes-audit\"}' has timestamp too old: 2026-11-13T06:53:45Z, oldest acceptable timestamp is: 2026-11-20T06:53:45Z",
        "403 security_exception: action [indices:data/write/bulk[s]] is unauthorized for API key id [VuaCfGcBCdbkQm-e5aOx] of user [u]",
        "400 document_parsing_exception: [1:345] failed to parse field [kubernetes.audit.requestObject.spec] of type [flattened]",
        "400 x_content_parse_exception: [1:11] Unrecognized token 'abc': was expecting (JSON String, Number or 'null')",
        "check api_key_file, basic_auth or bearer_token_file: the server does not know these credentials",
        "the endpoint redirects to https://logs.example.org/x, and redirects are not followed: if that is Loki, name it as the endpoint",
        "http://127.0.0.1:3100/loki/api/v1/push: connection refused: nothing listens there",
        "Basic authentication is needed, a bearer token is not taken",
        "this realm wants Basic realm=\"x\"",
        "503 upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
    ] {
        assert_eq!(secrets.blank(text), text);
    }
}
