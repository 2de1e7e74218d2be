//! The patterns that the prefilter searches for.

/// The bit that folds the case of letters. Setting it changes other bytes as well, so text and patterns are folded alike.
pub(super) const FOLD: u8 = 0x20;
/// Number of bytes by which a pattern is searched for.
pub(super) const DEPTH: usize = 4;
/// Number of groups of patterns: two sets of eight, one group for each bit of a byte.
pub(super) const GROUPS: usize = 16;

/// The kind of a hit: why a place may hold a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum What {
    /// A word of a suspicious name.
    Word,
    /// `Invalid value: …`, with which the API server quotes a refused value.
    Quoted,
    /// `Bearer …`, `Basic …`.
    Scheme,
    /// `://`, which credentials may follow.
    Url,
    /// A JSON Web Token, or other base64 of JSON.
    Jwt,
    /// A private key in PEM.
    Pem,
    /// A token with a form defined by its issuer.
    Marked,
    /// A long run of base64.
    Run,
    /// The parameter that holds the signature of a signed URL.
    Signature,
    /// `IDENTIFIED`, a word of SQL.
    Sql,
    /// The `@` after a user and a password without a scheme.
    Account,
    /// A JAAS login module, whose options are users and passwords.
    Jaas,
    /// The command categories of a Redis ACL rule.
    Acl,
    /// The prefix of a password hash.
    Hash,
    /// A command line begins here; it is searched for programs.
    Commands,
    /// A program that takes passwords in short flags.
    Program,
    /// A key that other files handle: an annotation, `extra`.
    Key,
    /// An escaped letter, or an escape inside an escape.
    Escape,
}

/// Patterns, each with the kind of its hits. The search folds letters to lower case, `_` to 0x7f and a backslash to
/// `|`; a pattern may be written either way. The order does not matter: `build.rs` chooses the groups that are
/// searched fastest.
pub(super) type Patterns = &'static [(&'static [u8], What)];

/// Patterns for every line.
pub(super) const LINE: Patterns = &[
    (b"mongo", What::Program),
    (b"ization", What::Word),
    (b"cookie", What::Word),
    (b"binarydata", What::Key),
    (b"mariadb", What::Program),
    (b"toke", What::Word),
    (b" value: ", What::Quoted),
    (b"bearer", What::Scheme),
    (b"|u00", What::Escape),
    (b"mysql", What::Program),
    (b"sig=", What::Signature),
    (b"pass", What::Word),
    (b"docker", What::Word),
    (b"last-applied", What::Key),
    (b"\"extra\"", What::Key),
    (b"login", What::Program),
    (b"creden", What::Word),
    (b"basic ", What::Scheme),
    (b"secr", What::Word),
    (b"privat", What::Word),
    (b"\"command\"", What::Commands),
    (b"\"args\"", What::Commands),
    (b"command=", What::Commands),
    (b"-liter", What::Word),
    (b"auths", What::Word),
    (b"redis-cli", What::Program),
    (b"curl", What::Program),
    (b"signature=", What::Signature),
    (b":||", What::Url),
    (b":|/", What::Url),
    (b"jwt", What::Word),
    (b"key", What::Word),
    (b"psw", What::Word),
    (b"pwd", What::Word),
    (b"://", What::Url),
    (b"-----b", What::Pem),
    (b"eyj", What::Jwt),
    (b"psk", What::Word),
    (b"dsn", What::Word),
    (b"mdp", What::Word),
    (b"pw\"", What::Word),
    (b"pw=", What::Word),
    (b"pw:", What::Word),
    (b"pw|", What::Word),
    (b"pw ", What::Word),
    (b"pw_", What::Word),
    (b"pw,", What::Word),
    (b"pw'", What::Word),
    (b"pw-", What::Word),
    // Ends and parts of names, and words for password in other languages.
    (b"pin\"", What::Word),
    (b"otp\"", What::Word),
    (b"otp=", What::Word),
    (b"pin=", What::Word),
    (b"pin:", What::Word),
    (b"auth\"", What::Word),
    (b"auth=", What::Word),
    (b"auth:", What::Word),
    (b"auth ", What::Word),
    (b"connstr", What::Word),
    (b"connecti", What::Word),
    (b"h.webhook", What::Key),
    (b"webhook", What::Word),
    (b"communit", What::Word),
    (b"kennw", What::Word),
    (b"contrase", What::Word),
    (b"senha", What::Word),
    (b"heslo", What::Word),
    (b"haslo", What::Word),
    (b"wachtw", What::Word),
    (b"osenord", What::Word),
    (b"salasana", What::Word),
    (b"adgangs", What::Word),
    (b"jelsz", What::Word),
    (b"ifre", What::Word),
    (b"parol", What::Word),
    (b"clave", What::Word),
    (b"lozinka", What::Word),
    (b"seed", What::Word),
    (b"identified", What::Sql),
    (b"creds", What::Word),
    (b"encrypt", What::Word),
    (b"securejson", What::Word),
    (b"_pat\"", What::Word),
    (b"_pat=", What::Word),
];

/// Additional patterns for command lines and for strings with several lines.
pub(super) const COMMANDS: Patterns = &[
    // Programs of `programs.rs` and `pipe.rs`.
    (b"vault", What::Program),
    (b"rabbitmq", What::Program),
    (b"ldap", What::Program),
    (b"smbclient", What::Program),
    (b"rpcclient", What::Program),
    (b"ipmi", What::Program),
    (b"sqlcmd", What::Program),
    (b"mosquitto", What::Program),
    (b"unzip", What::Program),
    (b"snmp", What::Program),
    (b"sqlplus", What::Program),
    (b"impdp", What::Program),
    (b"expdp", What::Program),
    (b"openssl", What::Program),
    (b"etcdctl", What::Program),
    (b"cqlsh", What::Program),
    (b"cypher-sh", What::Program),
    (b"elasticsearch-", What::Program),
    (b"useradd", What::Program),
    (b"usermod", What::Program),
    (b"alias", What::Program),
    (b"lftp", What::Program),
    (b"obscure", What::Program),
    (b"configure", What::Program),
    (b"ssh-keyg", What::Program),
    (b"kadmin", What::Program),
    (b"gitlab-ru", What::Program),
    (b"nmcli", What::Program),
    (b"httpie", What::Program),
    (b"swaks", What::Program),
    (b"yarn", What::Program),
    (b"kinit", What::Program),
    (b"cryptsetup", What::Program),
    (b"keystore", What::Program),
    (b"openconnect", What::Program),
    (b"ejabberdctl", What::Program),
    (b"slappasswd", What::Program),
    (b"influx", What::Program),
    (b"skopeo", What::Program),
    (b"ncftp", What::Program),
    (b"keyvault", What::Program),
    (b"put-parameter", What::Program),
    (b"put-secret", What::Program),
    (b"securestring", What::Program),
    (b"winexe", What::Program),
    (b"psexec", What::Program),
    (b"twine", What::Program),
    (b"airflow", What::Program),
    (b"doveadm", What::Program),
    (b"beeline", What::Program),
    (b"gcloud", What::Program),
    (b"npm ", What::Program),
    (b"\"npm\"", What::Program),
    (b"=npm&", What::Program),
    (b"mc config", What::Program),
    (b"mc admin", What::Program),
    (b"sudo ", What::Program),
    (b"zip -p", What::Program),
    (b"oras ", What::Program),
    (b"http -a", What::Program),
    (b"net rpc", What::Program),
    (b"net ads", What::Program),
    // Statements, directives and password hashes.
    (b"salt", What::Word),
    (b"pin|", What::Word),
    (b"pin ", What::Word),
    (b"auth|", What::Word),
    (b"auth(", What::Word),
    (b"auth.user", What::Word),
    (b"hook_url", What::Word),
    (b"hookurl", What::Word),
    (b"_hec", What::Word),
    (b"sonar", What::Word),
    (b"session", What::Word),
    (b"authtok", What::Word),
    (b"superdig", What::Word),
    (b"loginmodule", What::Jaas),
    (b" +@", What::Acl),
    (b"{sha", What::Hash),
    (b"{ssha", What::Hash),
    (b"{crypt", What::Hash),
    (b"{plain", What::Hash),
    (b"scram-sha-256$", What::Hash),
];

/// Patterns for text with letters outside ASCII.
pub(super) const OTHER_LETTERS: &[&str] = &[
    "пароль",
    "Пароль",
    "ПАРОЛЬ",
    "密码",
    "密碼",
    "口令",
    "パスワード",
    "비밀번호",
    "암호",
    "mật",
    "κωδικ",
    "סיסמ",
    "hasło",
    "HASŁO",
    "lösenord",
    "LÖSENORD",
    "ŞİFRE",
    "şifre",
];
