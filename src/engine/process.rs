//! Which process of which machine a session belongs to, so that a later process can determine whether it is gone.
//!
//! Reads `/proc` where there is one; elsewhere no process is known to be gone. Called by `lost`.

use std::fs;

/// This process: the boot of the machine, the PID namespace, the PID, and the start time. Empty where these are unknown.
pub(super) fn this() -> String {
    identity(std::process::id()).unwrap_or_default()
}

/// Whether a process ran on this machine since its boot, and is proved to be gone. False for processes of other machines and containers.
pub(super) fn is_gone(process: &str) -> bool {
    let (Some(place), Some((there, rest))) = (place(), process.split_once(' ')) else { return false };
    let Some((Ok(pid), started)) = rest.split_once(' ').map(|(pid, started)| (pid.parse::<u32>(), started)) else {
        return false;
    };
    place == there
        && match look(pid) {
            ProcessSeen::Alive(since) => since != started,
            ProcessSeen::Dead => true,
            ProcessSeen::Hidden => has_no_process(pid),
        }
}

/// What `/proc` shows of a process.
enum ProcessSeen {
    /// It runs, and was started at this time.
    Alive(String),
    /// It has ended, and its parent has not waited for it.
    Dead,
    /// Nothing: there is no such process, or it belongs to another account and `/proc` hides those (its option hidepid, `ProtectProc` of
    /// systemd).
    Hidden,
}

/// Whether no process at all has the PID. Where a process of another account has it, the signal fails with another error than ESRCH.
#[cfg(unix)]
fn has_no_process(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn has_no_process(_: u32) -> bool {
    false
}

fn place() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), space.display()))
}

fn identity(pid: u32) -> Option<String> {
    let ProcessSeen::Alive(started) = look(pid) else { return None };
    Some(format!("{} {pid} {started}", place()?))
}

fn look(pid: u32) -> ProcessSeen {
    // After the program's name, which may contain anything, the twentieth field is the start time.
    const STARTED: usize = 19;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((_, fields)) = stat.rsplit_once(") ") else { return ProcessSeen::Hidden };
    if fields.starts_with(['Z', 'X']) {
        return ProcessSeen::Dead;
    }
    fields.split(' ').nth(STARTED).map_or(ProcessSeen::Hidden, |started| ProcessSeen::Alive(started.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn only_processes_of_this_machine_are_known_to_be_gone() {
        let this = this();
        assert!(!this.is_empty() && !is_gone(&this));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = identity(child.id()).unwrap();
        assert!(!is_gone(&other));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_gone(&other));
        assert!(!has_no_process(std::process::id()) && !has_no_process(1), "of any owner");
        assert!(!has_no_process(0));
        let (place, rest) = other.split_once(' ').unwrap();
        assert!(!is_gone(&format!("{place}1 {rest}")), "another machine");
        assert!(!is_gone(""));
    }
}
