//! Tests that no error repeats any part of a secret, wherever in a valid or invalid file it is.

use std::path::Path;

use proptest::prelude::*;

use super::super::Config;

/// The text below `[outputs.o]` of a Loki output, and the text above all tables. `@` stands for the secret.
const PIECES: [(&str, &str); 62] = [
    ("bearer_token = \"@", ""),
    ("bearer_token = @", ""),
    ("bearer_token \"@\"", ""),
    ("bearer_token = \"x\" @", ""),
    ("bearer_token = \"\"\"\n@", ""),
    ("bearer_token = '@", ""),
    ("bearer_token = \"\\q@\"", ""),
    ("bearer_token = [\"@\"]", ""),
    ("bearer_token = { value = \"@\" }", ""),
    ("bearer_token = \"x\"\nbearer_token = \"@\"", ""),
    ("bearer_token = \"@\"\nbearer_token_file = \"/f\"", ""),
    ("bearer_token = \"@\"\nbasic_auth = { username = \"u\", password = \"@\" }", ""),
    ("bearer_token = \"${@}\"", ""),
    ("bearer_token = \"${@\"", ""),
    ("bearer_token = \"a$@\"", ""),
    ("bearer_tokn = \"@\"", ""),
    ("bearer_token_file = \"@\"", ""),
    ("api_key = \"@\"", ""),
    ("@ = 1", ""),
    ("\"@\" = 1", ""),
    ("\"@\" = \"bearer_token\"", ""),
    ("\"bearer_token = @\" = 1", ""),
    ("basic_auth = \"u:@\"", ""),
    ("basic_auth = [\"u\", \"@\"]", ""),
    ("basic_auth = { username = \"u:@\", password = \"x\" }", ""),
    ("basic_auth = { username = \"u\", pasword = \"@\" }", ""),
    ("basic_auth = { username = \"u\", \"@\" = \"password\" }", ""),
    ("basic_auth = { u = \"@\" }", ""),
    ("basic_auth = { @ }", ""),
    ("basic_auth = { username = \"u\", password = \"@\", password_file = \"/p\" }", ""),
    ("[outputs.o.basic_auth.\"@\"]", ""),
    ("[outputs.o.\"@\"]", ""),
    ("[outputs.\"@ x\"]\ntype = \"file\"", ""),
    ("[outputs.\"@ x\"]", ""),
    ("[@", ""),
    ("[\"@\"]", ""),
    ("headers = { \"X: @\" = \"\" }", ""),
    ("headers = { \"Authorization: Bearer @\" = \"\" }", ""),
    ("headers = { X = \"@\\n\" }", ""),
    ("headers = { X = [\"@\"] }", ""),
    ("headers = { X = { file = \"@\" } }", ""),
    ("headers = { X = { \"@\" = 1 } }", ""),
    ("headers = \"X: @\"", ""),
    ("tenant = \"a|@\"", ""),
    ("tenant = [\"@\"]", ""),
    ("proxy = \"u:@\"", ""),
    ("proxy = \"http://u:@\\u0040h\"", ""),
    ("proxy = \"ftp://@\"", ""),
    ("labels = { \"a @\" = \"x\" }", ""),
    ("labels = { a = [\"@\"] }", ""),
    ("metadata = [\"@\"]", ""),
    ("timeout = \"@\"", ""),
    ("in_flight = \"@\"", ""),
    ("batch = \"@\"", ""),
    ("batch = { max_bytes = \"@\" }", ""),
    ("inputs = [\"@\"]", ""),
    ("transform = { redact = \"@\" }", ""),
    ("", "node = \"@\\u0001\""),
    ("", "cluster = [\"@\"]"),
    ("", "\"@\" = \"node\""),
    ("", "server.listen = \"@\""),
    ("", "disk = { min_free = \"@%\" }"),
];

/// Values of `endpoint`.
const ENDPOINTS: [&str; 12] = [
    "\"@\"",
    "\"u:@\"",
    "\"//u:@\"",
    "\"http:/u:@\"",
    "\"https:u:@\"",
    "\"http://u:@\\u0040h:99999\"",
    "\"http://u:@\\u0040h\"",
    "\"http://h/?apikey=@\"",
    "\"http://h/loki/api/v1/push?apikey=@ \"",
    "\"http://h/#@\"",
    "\"ftp://h/@\"",
    "[\"http://@\"]",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    // Secrets here do not begin like a path: paths are shown, since an operator has to see which file is meant.
    #[test]
    fn no_error_repeats_a_part_of_a_secret(
        secret in "[A-Za-z0-9!%&*+=?^_~,;:(){}<>|-][A-Za-z0-9!%&*+/=?^_~.,;:(){}<>|-]{3,19}[A-Z][0-9][a-z][A-Z0-9!%+/]{4,20}"
    ) {
        let pieces = PIECES.iter().map(|(below, above)| (below.to_string(), above.to_string(), "\"http://h\""));
        let endpoints = ENDPOINTS.iter().map(|endpoint| (String::new(), String::new(), *endpoint));
        for (below, above, endpoint) in pieces.chain(endpoints) {
            let form = format!(
                "{above}\n[inputs.a]\ntype = \"file\"\npath = \"/l/audit.log\"\n[outputs.o]\ntype = \"loki\"\nendpoint = {endpoint}\n{below}\n"
            );
            let env = |name: &str| (name == "SET").then(|| secret.clone());
            let text = form.replace('@', &secret);
            let Err(error) = Config::parse(&text, Path::new("f"), &env) else { continue };
            let error = error.to_string();
            for part in secret.as_bytes().windows(6) {
                let part = std::str::from_utf8(part).unwrap();
                prop_assert!(!error.contains(part), "{form}\n{error}");
            }
        }
    }
}
