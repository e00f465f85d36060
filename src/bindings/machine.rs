//! What this process and its machine give a verb. Called by the parent module and by `job` and `procedure`.

use std::collections::BTreeMap;

pub fn environment() -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    // A conninfo without a user means the account of the process, as libpq asks the system for it: the variable may be missing (cron,
    // systemd, containers) or another one's. An account without a name leaves it to the variable.
    if let Ok(account) = whoami::username() {
        env.insert("USER".into(), account);
    }
    env
}

/// How many CPUs this machine has.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}
