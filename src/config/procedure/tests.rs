//! The ways to write a command, and the problems reported for a wrong procedure.

use super::*;
use crate::config::Config;
use serde_json::{Value, json};

fn env() -> BTreeMap<String, String> {
    [("TOKEN".to_owned(), "hunter2".to_owned())].into()
}

fn checked(procedure: &Value) -> Procedure {
    let whole = json!({"source": "host=a", "target": "host=b", "procedure": procedure});
    Config::from_value(&whole, &env()).unwrap().procedure
}

fn problems(procedure: &Value) -> Vec<String> {
    let whole = json!({"source": "host=a", "target": "host=b", "procedure": procedure});
    let error = Config::from_value(&whole, &env()).unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    error.details.problems
}

fn words(words: &[&str], timeout: u64) -> Command {
    Command { run: Run::Interner(words.iter().map(|word| (*word).to_owned()).collect()), timeout }
}

#[test]
fn a_command_is_a_text_or_words_or_a_mapping() {
    let all = json!([
        "make 'stop prod' $(id) # all of it",
        ["systemctl", "stop", "my app"],
        {"run": "make stop", "timeout": 5},
        {"run": "kill $(cat pid)", "shell": true},
    ]);
    let shell = Command { run: Run::Shell("kill $(cat pid)".into()), timeout: 7 };
    let read = checked(&json!({"timeout": 7, "stop": all, "start": "a 'b c'"}));
    let expected = [
        words(&["make", "stop prod", "$(id)"], 7),
        words(&["systemctl", "stop", "my app"], 7),
        words(&["make", "stop"], 5),
    ];
    assert_eq!((&read.stop[..3], &read.stop[3]), (&expected[..], &shell));
    assert_eq!(read.start, [words(&["a", "b c"], 7)]);
    assert_eq!(checked(&json!({"start": {"run": ["x"]}})).start, [words(&["x"], 300)]);
}

#[test]
fn what_is_shown_of_commands_can_be_read_again() {
    let read = checked(&json!({
        "stop": [["a"], {"run": "b c", "shell": true, "timeout": 0}],
        "check_stopped": [{"run": "d", "expect": "failure"}, {"run": ["e"], "expect": "no_output"}],
        "start_on_failure": "f g",
    }));
    assert_eq!(checked(&json!(read)), read);
    let shown = json!(checked(&json!({"start_on_failure": false, "env": {"A": "${TOKEN}"}})));
    assert_eq!((&shown["start_on_failure"], &shown["env"]), (&json!(false), &json!({"A": "***"})));
}

#[test]
fn variables_are_filled_in() {
    let env = checked(&json!({"env": {"A": "x ${TOKEN}", "B": "$${TOKEN}"}})).env;
    assert_eq!((env["A"].expose(), env["B"].expose()), ("x hunter2", "${TOKEN}"));
}

#[test]
fn without_a_backup_nothing_is_restored() {
    assert_eq!(checked(&json!({})).on_failure, OnFailure::Restore);
    assert_eq!(checked(&json!({"backup": false})).on_failure, OnFailure::Keep);
    assert_eq!(
        problems(&json!({"backup": false, "on_failure": "restore"})),
        ["procedure.on_failure: restore needs procedure.backup, which is false"]
    );
}

#[test]
fn mistakes_name_their_places_and_show_no_command() {
    let reported = problems(&json!({
        "stop": ["docker", "compose", "stop"],
        "start": [{"run": "x 'hunter2"}, {"shell": true}, {"run": ["a"], "shell": true}, 5, [], "", {"run": "a", "shel": true}],
        "check_stopped": ["pgrep bot", {"run": "pgrep bot"}, {"run": "pgrep bot", "expect": "nothing"}],
        "env": {"A": 1, "B": "${NO_SUCH}"},
        "on_failure": "ask",
        "timeout": -1,
    }));
    let command = "expected a command as a text, as a list of words or as a mapping with run";
    assert_eq!(
        reported,
        [
            "procedure.timeout: expected whole seconds from 0 to 2147483, got -1".to_owned(),
            "procedure.stop: a list holds commands, and these are the words of one command: write it as a list in the list, [[...]], and so each \
             program without arguments"
                .to_owned(),
            format!("procedure.start[0].run: {command}, every quote closed, got a string"),
            "procedure.start[1].run: missing; a command needs it".to_owned(),
            "procedure.start[2].run: expected a text for the shell that is not empty, got a list".to_owned(),
            format!("procedure.start[3]: {command}, got a number"),
            format!("procedure.start[4]: {command}, the first word a program, got a list"),
            format!("procedure.start[5]: {command}, the first word a program, got a string"),
            "procedure.start[6].shel: unknown key; did you mean \"shell\"?".to_owned(),
            "procedure.check_stopped[0]: expected a mapping with run and expect (success, failure or no_output)".to_owned(),
            "procedure.check_stopped[1].expect: missing; say what shows that the application is stopped: success, failure or \
             no_output"
                .to_owned(),
            "procedure.check_stopped[2].expect: expected one of success, failure, no_output, got \"nothing\"".to_owned(),
            "procedure.on_failure: expected one of restore, keep, got \"ask\"".to_owned(),
            "procedure.env: expected strings (in quotes) only, got a number".to_owned(),
            "procedure.env: the environment variable NO_SUCH is not set".to_owned(),
        ]
    );
}

#[test]
fn migrations_share_a_procedure_key_by_key() {
    let whole = json!({
        "procedure": {"stop": "make stop", "timeout": 9},
        "migrations": [
            {"name": "dev", "source": "host=a", "target": "host=b", "procedure": {"backup": false}},
            {"name": "prod", "source": "host=a", "target": "host=b", "procedure": {"stop": "make stop-prod"}},
        ],
    });
    let [dev, prod] = &Config::all_from_value(&whole, &env()).unwrap()[..] else { panic!("two") };
    assert_eq!((&dev.procedure.stop, dev.procedure.backup), (&vec![words(&["make", "stop"], 9)], false));
    assert_eq!((&prod.procedure.stop, prod.procedure.backup), (&vec![words(&["make", "stop-prod"], 9)], true));
}
