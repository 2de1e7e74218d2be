//! Table of the programs that take passwords in short flags or as positional arguments: `curl -u`, `mysql -p`,
//! `vault login`, `rabbitmqctl add_user`.
//!
//! To support another program, add a line to [`PROGRAMS`].

use std::collections::HashMap;
use std::sync::OnceLock;

/// How one program, or a family of similar ones, takes secrets.
#[derive(Debug)]
pub(super) struct Program {
    /// Names of the program. `mysql` and `mariadb` also match as prefixes.
    pub(super) names: &'static [&'static str],
    /// Flags whose secret is the next word, or the rest of this word after `=`.
    pub(super) next: &'static [&'static str],
    /// Short flags whose secret is the rest of the word.
    pub(super) glued: &'static [&'static str],
    /// A word, the number of words after it that are not secret, and the number of secrets after those: `add_user`,
    /// one, one.
    pub(super) behind: &'static [(&'static str, usize, usize)],
    /// In a word with several parts, the secret follows this sign: `user%pass`.
    pub(super) sign: Option<char>,
    /// A word that is the name of a secret is followed by the secret: `npm config set _authToken x`.
    pub(super) named: bool,
    /// A flag with this letter says that a user and a password are among the words: `htpasswd -b`.
    pub(super) batch: Option<char>,
}

/// A program that takes no secrets; the base for the entries of the table.
const PROGRAM: Program = Program {
    names: &[],
    next: &[],
    glued: &[],
    behind: &[],
    sign: None,
    named: false,
    batch: None,
};

const fn flags(
    names: &'static [&'static str],
    next: &'static [&'static str],
    glued: &'static [&'static str],
) -> Program {
    Program { names, next, glued, ..PROGRAM }
}

const fn behind(
    names: &'static [&'static str],
    behind: &'static [(&'static str, usize, usize)],
) -> Program {
    Program { names, behind, ..PROGRAM }
}

const PROGRAMS: &[Program] = &[
    flags(&["curl"], &["-u", "-U", "-b", "--user", "--proxy-user", "--cookie"], &["-u", "-U"]),
    Program { behind: &[("password", 0, 1)], ..flags(&["mysql", "mariadb"], &[], &["-p"]) },
    Program {
        behind: &[("AUTH", 0, 2), ("auth", 0, 2), ("requirepass", 0, 1), ("masterauth", 0, 1)],
        ..flags(&["redis-cli", "valkey-cli", "keydb-cli"], &["-a", "--pass"], &["-a"])
    },
    flags(&["sshpass"], &["-p"], &["-p"]),
    flags(&["login"], &["-p"], &["-p"]),
    flags(
        &["mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport"],
        &["-p"],
        &["-p"],
    ),
    behind(
        &["vault", "bao"],
        &[("login", 0, 1), ("unwrap", 0, 1), ("unseal", 0, 1), ("lookup", 0, 1), ("renew", 0, 1)],
    ),
    behind(
        &["rabbitmqctl"],
        &[("add_user", 1, 1), ("change_password", 1, 1), ("authenticate_user", 1, 1)],
    ),
    flags(
        &[
            "ldapsearch",
            "ldapmodify",
            "ldapadd",
            "ldapdelete",
            "ldapwhoami",
            "ldapcompare",
            "ldapmodrdn",
        ],
        &["-w"],
        &["-w"],
    ),
    flags(&["ldappasswd"], &["-w", "-s", "-a"], &["-w", "-s", "-a"]),
    Program {
        sign: Some('%'),
        ..flags(
            &["smbclient", "rpcclient", "smbget", "net", "wbinfo", "winexe", "psexec"],
            &["-U", "--user"],
            &["-U"],
        )
    },
    flags(
        &[
            "ipmitool",
            "ipmiutil",
            "sqlcmd",
            "bcp",
            "zip",
            "osql",
            "tsql",
            "isql",
            "mosquitto_pub",
            "mosquitto_sub",
            "unzip",
        ],
        &["-P"],
        &["-P"],
    ),
    flags(
        &["snmpwalk", "snmpget", "snmpset", "snmpbulkwalk", "snmptrap", "snmptable"],
        &["-c", "-A", "-X"],
        &["-c", "-A", "-X"],
    ),
    behind(&["sqlplus", "impdp", "expdp", "rman"], &[("", 0, 1)]),
    Program {
        behind: &[("passwd", 0, 2)],
        ..flags(&["openssl"], &["-k", "-K", "-pass", "-passin", "-passout", "-iv"], &[])
    },
    Program { behind: &[("user", 1, 1)], ..flags(&["etcdctl", "etcdutl"], &["--user", "-u"], &[]) },
    flags(
        &["cqlsh", "cypher-shell", "elasticsearch-users", "useradd", "usermod"],
        &["-p"],
        &["-p"],
    ),
    behind(&["alias", "host"], &[("set", 2, 2), ("add", 2, 2)]),
    Program { sign: Some(','), ..flags(&["lftp"], &["-u", "--user"], &["-u"]) },
    behind(&["rclone"], &[("obscure", 0, 1)]),
    behind(&["add-authtoken", "authtoken"], &[("", 0, 1)]),
    behind(
        &["configure"],
        &[
            ("aws_secret_access_key", 0, 1),
            ("aws_session_token", 0, 1),
            ("aws_access_key_id", 0, 1),
        ],
    ),
    behind(&["set-agent-token"], &[("", 1, 1)]),
    behind(&["grafana-cli", "grafana"], &[("reset-admin-password", 0, 1)]),
    behind(&["neo4j-admin"], &[("set-initial-password", 0, 1), ("set-password", 1, 1)]),
    behind(&["reset-admin-password", "set-initial-password"], &[("", 0, 1)]),
    flags(&["ssh-keygen"], &["-N", "-P"], &["-N"]),
    flags(&["kadmin", "kadmin.local"], &["-pw", "-w"], &[]),
    flags(&["gitlab-runner"], &["-r"], &[]),
    behind(
        &["nmcli"],
        &[("password", 0, 1), ("wifi-sec.psk", 0, 1), ("802-11-wireless-security.psk", 0, 1)],
    ),
    behind(&["wpa_passphrase"], &[("", 1, 1)]),
    flags(&["httpie", "https", "http"], &["-a"], &[]),
    flags(&["swaks"], &["-ap"], &[]),
    behind(&["mkpasswd"], &[("", 0, 1)]),
    Program { names: &["npm", "yarn", "pnpm", "gcloud"], named: true, ..PROGRAM },
    flags(
        &[
            "rabbitmqadmin",
            "oras",
            "crane",
            "twine",
            "airflow",
            "doveadm",
            "beeline",
            "ncftpput",
            "ncftpget",
        ],
        &["-p"],
        &[],
    ),
    flags(&["influx"], &["-p", "-t"], &[]),
    behind(&["ejabberdctl"], &[("register", 2, 1), ("change_password", 2, 1)]),
    flags(&["slappasswd"], &["-s"], &["-s"]),
    flags(
        &["keyvault", "put-parameter", "put-secret-value", "create-secret"],
        &["--value", "--secret-string"],
        &[],
    ),
    behind(&["ConvertTo-SecureString"], &[("", 0, 1)]),
    behind(&["mc"], &[("add", 2, 2), ("set", 2, 2)]),
    Program { names: &["mosquitto_passwd", "htpasswd"], batch: Some('b'), ..PROGRAM },
];

impl Program {
    /// The program that a word of a command line names.
    pub(super) fn named(word: &str) -> Option<&'static Self> {
        static NAMES: OnceLock<HashMap<&str, &Program>> = OnceLock::new();
        let name = word.rsplit('/').next().filter(|name| name.len() < 40)?;
        let names = NAMES.get_or_init(|| {
            let named =
                |program: &'static Self| program.names.iter().map(move |name| (*name, program));
            PROGRAMS.iter().flat_map(named).collect()
        });
        let begun = || {
            ["mysql", "mariadb"]
                .iter()
                .find(|begin| name.starts_with(*begin))
                .and_then(|begin| names.get(begin))
        };
        names.get(name).or_else(begun).copied()
    }
}
