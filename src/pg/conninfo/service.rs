//! The connection service file: named groups of keywords (<https://www.postgresql.org/docs/current/libpq-pgservice.html>). A service
//! supplies defaults for keywords that the connection string does not set. Lookups in LDAP are refused. Called by `Conninfo::parse`.

use super::settings::{Settings, problem};
use crate::error::Result;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The folders in which libpq of Debian and Red Hat packages searches if `PGSYSCONFDIR` is not set.
const SYSTEM_FOLDERS: [&str; 2] = ["/etc/postgresql-common", "/etc/sysconfig/pgsql"];

/// Fills `settings` from the service that it, or `PGSERVICE`, names.
pub(super) fn fill(settings: &mut Settings, env: &BTreeMap<String, String>) -> Result<()> {
    let Some(name) = settings.text("service").or_else(|| env.get("PGSERVICE").filter(|s| !s.is_empty()).cloned())
    else {
        return Ok(());
    };
    for path in files(settings, env) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if let Some(pairs) = group(&text, &name)? {
            return pairs.into_iter().try_for_each(|(keyword, value)| settings.set_default(keyword, value.to_owned()));
        }
    }
    Err(problem("service", &format!("no definition of service {name:?} found"))
        .remedy("define it in ~/.pg_service.conf, or name the file in PGSERVICEFILE"))
}

fn files(settings: &Settings, env: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let own = settings
        .get("servicefile")
        .or_else(|| env.get("PGSERVICEFILE").map(String::as_str))
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env.get("HOME")?).join(".pg_service.conf")));
    let folders: Vec<PathBuf> = match env.get("PGSYSCONFDIR") {
        Some(folder) => vec![folder.into()],
        None => SYSTEM_FOLDERS.iter().map(PathBuf::from).collect(),
    };
    own.into_iter().chain(folders.into_iter().map(|folder| folder.join("pg_service.conf"))).collect()
}

/// The keywords of the group `name`, or nothing if `text` has no such group.
fn group<'t>(text: &'t str, name: &str) -> Result<Option<Vec<(&'t str, &'t str)>>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let is_header = |line: &&str| line.starts_with('[');
    let wanted = format!("[{name}]");
    let mut found = lines.skip_while(|line| *line != wanted);
    if found.next().is_none() {
        return Ok(None);
    }
    found.take_while(|line| !is_header(line)).map(pair).collect::<Result<_>>().map(Some)
}

fn pair(line: &str) -> Result<(&str, &str)> {
    if line.starts_with("ldap") {
        return Err(problem("service", "LDAP lookups are not supported").remedy("write the values into the file"));
    }
    match line.split_once('=') {
        Some(("service" | "servicefile", _)) => Err(problem("service", "a service cannot name another service")),
        Some((keyword, value)) => Ok((keyword.trim_end(), value.trim_start())),
        None => Err(problem("service", "a line of the service file is not written keyword=value")),
    }
}

#[cfg(test)]
mod tests {
    use super::group;

    #[test]
    fn a_group_ends_at_the_next_header() {
        let text = "# a\n[one]\nhost=a\n\n[two]\n host = b \n# c\nport=1\n[three]\nhost=c";
        assert_eq!(group(text, "two").unwrap().unwrap(), [("host", "b"), ("port", "1")]);
        assert!(group(text, "four").unwrap().is_none());
    }

    #[test]
    fn what_a_service_cannot_say_is_refused() {
        for line in ["service=other", "ldap://host/x?y", "nonsense"] {
            assert!(group(&format!("[s]\n{line}"), "s").is_err(), "{line}");
        }
    }
}
