//! Secrets, and texts that look like secrets, in the forms that people use; each row is one form.

use super::leaks::check;
use super::token_formats::tests::vectors;
use super::*;

/// A text as the value of one key of a `ConfigMap`.
fn file(text: &str) -> String {
    let text = serde_json::json!(text);
    event("configmaps", &format!(r#""requestObject":{{"data":{{"file":{text}}}}}"#))
}

/// Checks lines in which a secret must be found.
fn check_lines(rows: &[(&str, String)]) {
    check(&rows.iter().map(|(place, line)| (*place, line.as_str())).collect::<Vec<_>>());
}

/// Checks files in which a secret must be found.
fn check_files(rows: &[(&str, &str)]) {
    check_lines(&rows.iter().map(|(place, text)| (*place, file(text))).collect::<Vec<_>>());
}

#[test]
fn numbers_and_booleans_under_secret_names_are_blanked() {
    for (body, kept) in [
        (r#"{"spec":{"auth":{"password":7734991}}}"#, r#"{"spec":{"auth":{"password":"***"}}}"#),
        (
            r#"{"spec":{"adminPassword":true,"usePassword":true}}"#,
            r#"{"spec":{"adminPassword":"***","usePassword":true}}"#,
        ),
        (
            r#"[{"op":"add","path":"/spec/pin","value":7734991}]"#,
            r#"[{"op":"add","path":"/spec/pin","value":"***"}]"#,
        ),
        (
            r#"{"a":"{\"token\":7734991,\"maxTokens\":4096}"}"#,
            r#"{"a":"{\"token\":\"***\",\"maxTokens\":4096}"}"#,
        ),
        (r#"{"a":"pin: 7734991\nretries: 3\n"}"#, r#"{"a":"pin: ***\nretries: 3\n"}"#),
        (
            r#"{"passwords":[7734991,48159263],"maxTokens":[4096,1]}"#,
            r#"{"passwords":["***","***"],"maxTokens":[4096,1]}"#,
        ),
        (
            r#"{"message":"spec.password: Invalid value: 7734991: must be a string"}"#,
            r#"{"message":"spec.password: Invalid value: ***: must be a string"}"#,
        ),
    ] {
        let line = event("things", &format!(r#""requestObject":{body}"#));
        let wanted = event("things", &format!(r#""requestObject":{kept}"#));
        same(body, &text(&masking(), &line), &wanted);
    }
}

#[test]
fn a_name_and_a_value_in_members_of_their_own_belong_together() {
    check_files(&[
        ("YAML", "env:\n- name: DB_PASSWORD\n  value: §M\n- name: TZ\n  value: UTC\n"),
        ("YAML, the value first", "env:\n- value: §M\n  name: DB_PASSWORD\n"),
        ("YAML, quoted", "- name: \"DB_PASSWORD\"\n  value: '§M'\n"),
        ("YAML, a block", "- name: DB_PASSWORD\n  value: |-\n    §M\n- name: TZ\n"),
        ("YAML in one line", "env: [{name: DB_PW, value: §M}, {name: TZ, value: UTC}]\n"),
        ("TOML", "[[env]]\nname = \"API_TOKEN\"\nvalue = \"§M\"\n"),
        ("JSON that cannot be read", "x {\"name\": \"API_TOKEN\", \"value\": \"§M\"}"),
    ]);
}

#[test]
fn a_value_that_blanks_part_from_its_name_is_blanked() {
    check_files(&[
        ("Redis", "port 6379\nrequirepass §M\nmasterauth §M\n"),
        ("Redis, an ACL", "user app on >§M ~* +@all\n"),
        ("Redis, a sentinel", "sentinel auth-pass mymaster §M\n"),
        ("LDAP", "bindpw §M\n"),
        ("LDAP, base64", "dn: cn=a\nuserPassword:: §B\n"),
        ("netrc", "machine h.example login bob password §M\n"),
        ("Fluentd", "<match **>\n  user elastic\n  password §M\n</match>\n"),
        ("Fluent Bit", "[OUTPUT]\n    Name es\n    HTTP_Passwd     §M\n"),
        ("Fluent Bit, a header", "[OUTPUT]\n    Header Authorization Bearer §M\n"),
        ("HAProxy", "userlist ops\n  user kim insecure-password §M\n"),
        ("HAProxy, its page", "frontend stats\n  stats auth admin:§M\n  stats realm x\n"),
        ("nginx", "proxy_set_header X-Api-Key §M;\n"),
        ("FRR", "router bgp 64500\n neighbor 10.0.0.1 password §M\n"),
        (
            "JAAS",
            "KafkaServer {\n PlainLoginModule required\n  password=\"§M\"\n  user_alice=\"§M\";\n};\n",
        ),
    ]);
}

#[test]
fn passwords_in_statements_and_calls_are_blanked() {
    check_files(&[
        ("PostgreSQL", "CREATE ROLE app LOGIN PASSWORD '§M';\n"),
        ("PostgreSQL, a quote in it", "ALTER USER app PASSWORD 'it''s §M';\n"),
        ("MySQL", "CREATE USER 'a'@'%' IDENTIFIED BY '§M';\nSET PASSWORD FOR 'a'@'%' = '§M';\n"),
        ("MySQL, a plugin", "ALTER USER a IDENTIFIED WITH x BY '§M';\n"),
        ("Oracle", "ALTER USER system IDENTIFIED BY §M;\n"),
        ("SQL Server", "CREATE LOGIN a WITH PASSWORD = N'§M';\n"),
        ("PHP", "<?php\ndefine('DB_PASSWORD', '§M');\n$cfg['password'] = '§M';\n"),
        ("MongoDB", "db.createUser({user: \"a\", pwd: \"§M\"});\ndb.auth(\"a\", \"§M\");\n"),
        ("Erlang", "[{rabbit, [{default_pass, <<\"§M\">>}]}].\n"),
        ("Python", "os.environ['DB_PASSWORD'] = '§M'\nTOKEN = '''§M'''\n"),
        ("syslog-ng", "sql(username(\"a\") password(\"§M\"));\n"),
        ("npmrc", "//r.example/:_authToken=§M\n//r.example/:_password=§B\n"),
        ("XML", "<property name=\"db.password\">§M</property>"),
        ("Grafana", "secureJsonData:\n  basicAuthPassword: §M\n  other: §M\n"),
    ]);
}

#[test]
fn data_sources_and_webhooks_are_blanked_as_far_as_they_are_secret() {
    let rows = [
        ("a data source", r#"{"dsn":"app:§M@tcp(db:3306)/x"}"#),
        ("a data source of neutral name", r#"{"source":"app:§M@tcp(db:3306)/x"}"#),
        ("Oracle", r#"{"url":"jdbc:oracle:thin:app/§M@db:1521:XE"}"#),
        ("a connection string", r#"{"connectionString":"Server=db;Uid=a;Pwd=§M;"}"#),
        ("a webhook", r#"{"webhookUrl":"https://chat.example/x/§M"}"#),
        (
            "a webhook of neutral name",
            r#"{"url":"https://hooks.example/services/T00000000/§M§M1"}"#,
        ),
    ];
    let line = |body: &str| event("things", &format!(r#""requestObject":{{"spec":{body}}}"#));
    check_lines(&rows.map(|(place, body)| (place, line(body))));
}

#[test]
fn variables_are_known_by_their_habits_in_many_languages() {
    let names = "DB_PW ADMIN_PWD DOOR_PIN WIFI_PSK STRIPE_KEY BASIC_AUTH DB_CREDS GITHUB_PAT KENNWORT DB_PASSWORT \
        MOT_DE_PASSE MDP_ROOT CONTRASEÑA DB_SENHA HESLO HASŁO WACHTWOORD LÖSENORD SALASANA ПАРОЛЬ 密码 パスワード 비밀번호 JELSZO \
        ŞİFRE PAROLA POSTGRES_PASSWORD_2 PROD_DB_PW_RO";
    let line = |name: &str| {
        let env = format!(r#"{{"name":"{name}","value":"§M"}}"#);
        event(
            "pods",
            &format!(r#""requestObject":{{"spec":{{"containers":[{{"env":[{env}]}}]}}}}"#),
        )
    };
    check_lines(&names.split_whitespace().map(|name| (name, line(name))).collect::<Vec<_>>());
}

#[test]
fn a_word_of_another_language_is_known_at_any_distance_from_other_letters() {
    for far in 0..80 {
        let note = |word: &str| format!("ä{} {word}=§M", "x".repeat(far));
        let place = format!("{far} bytes behind");
        check_files(
            &["パスワード", "密码", "пароль"]
                .map(note)
                .each_ref()
                .map(|text| (place.as_str(), text.as_str())),
        );
    }
}

#[test]
fn secrets_that_commands_take_as_words_are_blanked() {
    let rows = [
        ("vault", r#""vault","login","§M""#),
        ("rabbitmqctl", r#""rabbitmqctl","add_user","bob","§M""#),
        ("ldapsearch", r#""ldapsearch","-D","cn=a","-w","§M""#),
        ("sqlcmd", r#""sqlcmd","-U","sa","-P","§M""#),
        ("htpasswd", r#""htpasswd","-nbB","bob","§M""#),
        ("smbclient", r#""smbclient","-U","bob%§M""#),
        ("mc", r#""mc","alias","set","x","http://m:9000","a","§M""#),
        ("a cookie", r#""curl","-b","sid=§M","https://x""#),
        ("chpasswd", r#""sh","-c","echo 'bob:§M' | chpasswd""#),
        ("a password from stdin", r#""sh","-c","echo §M | docker login -u a --password-stdin""#),
        ("a here-string", r#""sh","-c","chpasswd \u003c\u003c\u003c 'bob:§M'""#),
    ];
    let array = |words: &str| {
        let container = format!(r#"{{"command":[{words}]}}"#);
        event("pods", &format!(r#""requestObject":{{"spec":{{"containers":[{container}]}}}}"#))
    };
    check_lines(&rows.map(|(place, words)| (place, array(words))));
    let rows = [
        ("exec", "/api/v1/namespaces/n/pods/p/exec?command=vault&command=login&command=§M"),
        (
            "exec, a shell",
            "/api/v1/namespaces/n/pods/p/exec?command=sh&command=-c&command=echo+bob%3A§M+%7C+chpasswd",
        ),
        (
            "a build's webhook",
            "/apis/build.openshift.io/v1/namespaces/n/buildconfigs/b/webhooks/§M/github",
        ),
        ("an import", "/api/v1/namespaces/n/services/r:443/proxy/v3/import/§M.yaml"),
    ];
    check_lines(&rows.map(|(place, path)| (place, uri(path))));
}

/// An event with another request URI.
fn uri(uri: &str) -> String {
    event("pods", "").replace("/api/v1/namespaces/ns/pods/x", uri)
}

/// Every token of the table, in a text, an array and an annotation.
#[test]
fn no_token_of_the_table_leaves() {
    for mode in [Mode::Mask, Mode::Hash(Key([3; 32]))] {
        let redaction = Redaction::new(Rules::default(), mode).unwrap();
        for (name, goes, stays) in vectors() {
            let secret = &goes[goes.len() - 8..];
            for body in [
                format!(r#"{{"data":{{"notes":"first\n{goes}\nlast"}}}}"#),
                format!(r#"{{"spec":{{"args":["-x","{goes}"]}}}}"#),
                format!(r#"{{"metadata":{{"annotations":{{"note":"use {goes} until Friday"}}}}}}"#),
            ] {
                let line = event("things", &format!(r#""requestObject":{body}"#));
                let out = text(&redaction, &line);
                assert!(!out.contains(secret), "{name}: {body}\n{out}");
            }
            let line = event("things", &format!(r#""requestObject":{{"x":["-x","{stays}"]}}"#));
            same(name, &text(&redaction, &line), &line);
        }
    }
}

#[test]
fn what_only_looks_like_a_secret_stays_byte_for_byte() {
    let redaction = masking();
    for (place, body) in [
        (
            "counts",
            r#"{"env":[{"name":"MAX_TOKENS","value":"4096"},{"name":"TOKENIZER","value":"bert-base"},{"name":"API_KEY_HEADER","value":"X-Api-Key"}],"maxTokens":128000,"passwordMinLength":12}"#,
        ),
        (
            "which Secret",
            r#"{"existingSecret":"shop-db","imagePullSecret":"regcred","passwordSecret":"shop-db","tokenKey":"admin-token","secretArn":"arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop"}"#,
        ),
        (
            "references",
            r#"{"env":[{"name":"URL","value":"postgres://app:$(DB_PASSWORD)@db/x"},{"name":"DB_PASSWORD","value":"vault:secret/data/shop#password"}],"annotations":{"vault.hashicorp.com/agent-inject-secret-db":"database/creds/shop"}}"#,
        ),
        (
            "a kubeconfig without credentials",
            r#"{"kubeconfig":"apiVersion: v1\nclusters:\n- cluster:\n    server: https://10.0.0.1:6443\n  name: prod\nusers:\n- name: admin\n"}"#,
        ),
        (
            "digests and public keys",
            r#"{"checksum/secret":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","caCertHashes":["sha256:7c4d2f0b9e8a1c3d5f7b9e1a3c5d7f9b0e2a4c6d8f1b3e5a7c9d0f2b4e6a8c1d"],"a":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK7x2p9Q4m8W1z6R3t5Y7u0XcVbNmLkJhGfDsAqWeRtY a@b"}"#,
        ),
        (
            "sentences",
            r#"{"message":"failed to fetch anonymous token: unexpected status: 401","help":"login.password.forgot=Forgot your password?"}"#,
        ),
        (
            "keys of other things",
            r#"{"topologyKey":"kubernetes.io/hostname","PARTITION_KEY":"tenant-2","label":{"key":"app.kubernetes.io/name"}}"#,
        ),
    ] {
        let line = event("things", &format!(r#""requestObject":{{"spec":{body}}}"#));
        same(place, &text(&redaction, &line), &line);
    }
}

#[test]
fn identifiers_of_a_user_stay_and_what_else_an_authenticator_says_goes() {
    let user = |extra: &str| {
        let with = format!(r#""username":"admin","extra":{{{extra}}}"#);
        event("pods", "").replace(r#""username":"admin""#, &with)
    };
    for extra in [
        r#""authentication.kubernetes.io/credential-id":["JTI=17ab4926-813f-4ffe-9173-f288d07c1b31"]"#,
        r#""authentication.kubernetes.io/credential-id":["X509SHA256=3f1c9a7d5e2b8046c1d9e7f3a5b2c4d6e8f0a1b3c5d7e9f1a3b5c7d9e1f3a5b7"]"#,
        r#""arn":["arn:aws:sts::111122223333:assumed-role/admin/alice"],"sessionName":["alice-laptop"]"#,
        r#""scopes.authorization.openshift.io":["user:full","role:edit:shop"]"#,
        r#""oid":["7b0f2c1d-4e5a-4b6c-9d8e-1f2a3b4c5d6e"]"#,
        r#""principalid":["local://user-4tx8m"],"username":["alice"]"#,
    ] {
        let line = user(extra);
        same(extra, &text(&masking(), &line), &line);
    }
    let line = user(r#""arn":["hunter2"],"oid":["hunter2"],"assertion":["hunter2"]"#);
    assert!(!text(&masking(), &line).contains("hunter2"));
}

#[test]
fn of_a_uri_only_the_secret_is_written_anew() {
    let query = "/api/v1/namespaces/n/services/p:9090/proxy/api/v1/query?query=up%7Bjob%3D%22x%22%7D&time=1722934861.5";
    for (before, after) in [
        (
            "/x/exec?command=a%20b+c%2fd&command=--token%3Dhunter2&x=%7e".to_owned(),
            "/x/exec?command=a%20b+c%2fd&command=--token%3D***&x=%7e".to_owned(),
        ),
        (format!("{query}&token=hunter2"), format!("{query}&token=***")),
    ] {
        let (line, wanted) =
            (uri(&before.replace('&', r"\u0026")), uri(&after.replace('&', r"\u0026")));
        same(&before, &text(&masking(), &line), &wanted);
    }
}
