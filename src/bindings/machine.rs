//! What this process and its machine provide to a verb. Called by the parent module and by `job` and `procedure`.

use std::collections::BTreeMap;

pub fn environment() -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    // A conninfo without a user means the account of the process, which libpq reads from the system: the environment variable may be
    // missing (cron, systemd, containers) or belong to another account. If the account has no name, the variable is used.
    if let Ok(account) = whoami::username() {
        env.insert("USER".into(), account);
    }
    env
}

/// How many CPUs this machine has.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}
