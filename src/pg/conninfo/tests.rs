//! The results of parsing a connection string, without a server: every form of it, and every source that adds to it.

use super::*;
use crate::pg::pinned::Program;
use std::collections::BTreeMap;

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn env(pairs: Pairs<'_>) -> BTreeMap<String, String> {
    [("USER", "joe")].iter().chain(pairs).map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn parse(text: &str) -> Conninfo {
    Conninfo::parse(text, &env(&[])).unwrap()
}

fn problem(text: &str) -> String {
    Conninfo::parse(text, &env(&[])).unwrap_err().details.problems.join("; ")
}

fn password(conninfo: &Conninfo) -> Option<&str> {
    conninfo.hosts[0].password.as_ref().map(Secret::expose)
}

/// A folder of this test's own, with one file in it that only its owner may read.
fn folder_with(name: &str, text: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("pgmigrate-conninfo-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), text).unwrap();
    #[cfg(unix)]
    set_mode(&folder.join(name), 0o600);
    folder
}

#[cfg(unix)]
fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn key_values_are_quoted_and_escaped_as_in_libpq() {
    let conninfo = parse(r" host = db  port=5433 user='a b' password='it\'s \\' dbname=x\ y ");
    assert_eq!(conninfo.describe(), "db:5433/x y");
    assert_eq!(conninfo.user(), "a b");
    assert_eq!(password(&conninfo), Some(r"it's \"));
}

#[test]
fn what_is_not_key_and_value_is_refused_without_being_repeated() {
    for text in ["host=a password=two secret", "secret", "host=a secret"] {
        let error = Conninfo::parse(text, &env(&[])).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{text}");
        assert_eq!(error.kind, crate::Kind::Config);
    }
    assert_eq!(problem("host=a password='secret"), "conninfo: password: unterminated quoted string");
}

#[test]
fn a_uri_is_taken_apart_and_decoded() {
    let conninfo = parse("postgresql://a%40b:p%3Aw@[::1]:5433/my%20db?connect_timeout=3&application_name=x");
    assert_eq!(conninfo.describe(), "[::1]:5433/my db");
    assert_eq!((conninfo.user(), password(&conninfo)), ("a@b", Some("p:w")));
    assert_eq!(conninfo.connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(parse("postgres://h?ssl=true").ssl.mode, SslMode::Require);
    assert_eq!(parse("postgresql://h/").describe(), "h:5432/joe");
    assert_eq!(parse("postgresql:///d?host=h&port=1").describe(), "h:1/d");
    assert_eq!(parse("postgresql://%2Fsock/d").hosts[0].name, "/sock");
}

#[test]
fn a_wrong_uri_is_refused() {
    assert_eq!(problem("postgresql://u:%zz@h/d"), "conninfo: password: invalid percent-encoded character");
    assert_eq!(problem("postgresql://h/d%00"), "conninfo: dbname: invalid percent-encoded character");
    assert!(problem("postgresql://[::1/d").contains("missing \"]\""));
    assert!(problem("postgresql://h/d?user").contains("not written keyword=value"));
}

#[test]
fn several_hosts_share_one_port_or_have_their_own() {
    assert_eq!(parse("postgresql://a,b:6432,c/d").describe(), "a:5432,b:6432,c:5432/d");
    assert_eq!(parse("host=a,b port=6432 dbname=d").describe(), "a:6432,b:6432/d");
    assert_eq!(parse("host=a,b hostaddr=10.0.0.1,::1 dbname=d").hosts[1].address, Some("::1".parse().unwrap()));
    assert_eq!(parse("hostaddr=10.0.0.1 dbname=d").describe(), "10.0.0.1:5432/d");
    assert_eq!(problem("host=a,b port=1,2,3"), "conninfo: port: 3 ports for 2 hosts");
    assert_eq!(problem("host=a,b hostaddr=10.0.0.1"), "conninfo: hostaddr: 1 addresses for 2 hosts");
}

#[test]
fn the_environment_fills_what_the_text_leaves_open() {
    let env = env(&[
        ("PGHOST", "e"),
        ("PGPORT", "6000"),
        ("PGUSER", "eve"),
        ("PGPASSWORD", "pw"),
        ("PGSSLMODE", "require"),
        ("PGOPTIONS", "-c geqo=off"),
        ("PGTARGETSESSIONATTRS", "standby"),
        ("PGCONNECT_TIMEOUT", "0"),
    ]);
    let conninfo = Conninfo::parse("port=1", &env).unwrap();
    assert_eq!(conninfo.describe(), "e:1/eve");
    assert_eq!((conninfo.ssl.mode, conninfo.session_attrs), (SslMode::Require, SessionAttrs::Standby));
    assert_eq!((conninfo.options.as_deref(), password(&conninfo)), (Some("-c geqo=off"), Some("pw")));
    assert_eq!(conninfo.connect_timeout, None);
}

#[test]
fn a_service_is_stronger_than_the_environment_and_weaker_than_the_text() {
    let folder = folder_with(".pg_service.conf", "[one]\nhost=s\nport=7000\ndbname=sdb\n");
    let home = folder.to_str().unwrap();
    let env = env(&[("HOME", home), ("PGHOST", "e"), ("PGSERVICE", "one")]);
    assert_eq!(Conninfo::parse("port=1", &env).unwrap().describe(), "s:1/sdb");
    let error = Conninfo::parse("service=two", &env).unwrap_err();
    assert_eq!(error.details.problems, ["conninfo: service: no definition of service \"two\" found"]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn each_host_has_its_password_from_the_password_file() {
    let folder = folder_with(".pgpass", "a:5432:d:joe:pa\nb:*:*:*:pb\nlocalhost:*:*:*:ps\n");
    let env = env(&[("HOME", folder.to_str().unwrap())]);
    let conninfo = Conninfo::parse("host=a,b,c,/tmp dbname=d", &env).unwrap();
    let passwords: Vec<_> = conninfo.hosts.iter().map(|h| h.password.as_ref().map(Secret::expose)).collect();
    assert_eq!(passwords, [Some("pa"), Some("pb"), None, Some("ps")]);
    assert_eq!(password(&Conninfo::parse("host=a dbname=d password=own", &env).unwrap()), Some("own"));
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
#[test]
fn a_password_file_that_others_may_read_is_passed_over() {
    let folder = folder_with("pass", "*:*:*:*:p\n");
    let path = folder.join("pass");
    let text = format!("host=a passfile='{}'", path.display());
    assert_eq!(password(&parse(&text)), Some("p"));
    set_mode(&path, 0o640);
    assert_eq!(password(&parse(&text)), None);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn tls_asks_for_what_it_needs() {
    assert_eq!(parse("host=a").ssl.mode, SslMode::Prefer);
    assert_eq!(parse("host=a sslrootcert=system").ssl.mode, SslMode::VerifyFull);
    assert!(problem("host=a sslrootcert=system sslmode=require").contains("too weak"));
    assert!(problem("host=a sslmode=verify-ca").contains("sslrootcert: missing"));
    assert!(problem("host=a sslnegotiation=direct").contains("too weak"));
    assert!(problem("host=a sslcert=c.crt").contains("sslkey: missing"));
    assert!(problem("host=a ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2").contains("newer than"));
    assert_eq!(parse("host=a sslcert=c sslkey=k sslcertmode=disable").ssl.client, None);
}

#[test]
fn unknown_unsupported_and_wrong_keywords_are_named() {
    assert_eq!(problem("host=a nonsense=1"), "conninfo: nonsense: no such keyword");
    for keyword in ["krbsrvname", "sslcrl", "sslpassword", "replication", "requirepeer", "require_auth"] {
        assert_eq!(problem(&format!("host=a {keyword}=secret")), format!("conninfo: {keyword}: not supported"));
    }
    assert_eq!(problem("host=a gssencmode=require"), "conninfo: gssencmode: expected one of prefer, disable");
    assert!(problem("host=a sslmode=secret").starts_with("conninfo: sslmode: expected one of prefer, disable, allow"));
    assert_eq!(problem("host=a port=99999"), "conninfo: port: expected 1 to 65535");
    assert_eq!(problem("host=a connect_timeout=soon"), "conninfo: connect_timeout: expected a whole number");
    assert!(problem("host=a client_encoding=LATIN1").contains("client_encoding"));
    parse("host=a gssencmode=disable client_encoding=UTF8 fallback_application_name=x sslcompression=0");
    let error = Conninfo::parse("host=a", &env(&[("PGREQUIREAUTH", "scram-sha-256")])).unwrap_err();
    assert_eq!(error.details.problems, ["conninfo: require_auth: not supported"]);
}

#[test]
fn a_tool_gets_the_same_connection_and_no_password_in_its_arguments() {
    let conninfo = parse(
        r"host=a,b port=1,2 user='o\'x' password=secret dbname=d sslmode=require options='-c geqo=off' keepalives=0",
    );
    let (text, env) = conninfo.for_libpq_tool(Program::PgDump);
    assert_eq!(text, r"host='a,b' port='1,2' user='o\'x' dbname='d' sslmode='require' keepalives='0'");
    let value = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, value)| value.expose().to_owned());
    assert_eq!(value("PGPASSWORD").as_deref(), Some("secret"));
    assert_eq!(value("PGCONNECT_TIMEOUT").as_deref(), Some("10"));
    let options = value("PGOPTIONS").unwrap();
    assert!(options.starts_with("-c geqo=off -c array_nulls=on "), "the user's own options come first: {options}");
    assert!(!format!("{env:?}").contains("secret"));
    assert_eq!(parse(&text).describe(), conninfo.describe());
}

#[test]
fn nothing_shows_the_password() {
    let conninfo = parse("postgresql://joe:secret@a/d");
    assert_eq!(format!("{conninfo:?}"), "Conninfo(joe@a:5432/d)");
    assert_eq!(conninfo.with_dbname("other").describe(), "a:5432/other");
}
