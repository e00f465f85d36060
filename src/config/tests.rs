//! The configuration as a whole: the forms that users write, and the problem reported for each error.

use super::*;
use crate::name::QualifiedName;

const EXAMPLE: &str = include_str!("../../python/pgmigrate/config.example.yaml");

/// A file of an existing shell tool in the form that users may already have.
const SHELL_SHAPE: &str = include_str!("../../tests/support/shell_tool.yaml");

fn env() -> BTreeMap<String, String> {
    [("SOURCE_PASSWORD", "a b"), ("TARGET_PASSWORD", "c'd")].map(|(name, value)| (name.into(), value.into())).into()
}

fn from_yaml(text: &str) -> Config {
    Config::all_from_text(text, TextFormat::Yaml, &env()).unwrap().remove(0)
}

/// A complete configuration with `extra` keys.
fn with(extra: &Value) -> Value {
    let mut value = json!({"source": "host=a password=hunter2", "target": "host=b"});
    value.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    value
}

fn checked(extra: &Value) -> Config {
    Config::from_value(&with(extra), &env()).unwrap()
}

fn problems(value: &Value) -> Vec<String> {
    let error = Config::from_value(value, &env()).unwrap_err();
    assert_eq!(error.kind, crate::Kind::Config);
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    error.details.problems
}

#[test]
fn the_shell_shape_means_what_it_meant() {
    let source = "host=localhost port=5432 dbname=demo_airlines user=user1 password=hunter2";
    let target = "host=localhost port=5433 dbname=demo_airlines_migrated user=user2 password=hunter2";
    let config = from_yaml(&SHELL_SHAPE.replace("{source}", source).replace("{target}", target));
    assert_eq!(config.connection.source.expose(), source);
    assert_eq!(config.scope.schemas.mode, Mode::Include);
    assert_eq!(config.scope.schemas.include, ["bookings"]);
    assert_eq!(
        (config.scope.roles, config.scope.tables.mode, config.copy.max_jobs),
        (RolesMode::All, Mode::Include, 4)
    );
    let [flights, tickets] = &config.scope.tables.include[..] else { panic!("two rules") };
    assert_eq!(flights.table, QualifiedName::new("bookings", "flights"));
    assert_eq!(flights.options.chunk_column.as_deref(), Some("flight_id"));
    assert_eq!((flights.options.chunk_size, flights.options.limit), (100_000, None));
    assert_eq!((&flights.options.filter, flights.options.order_by.as_deref()), (&None, Some("flight_id")));
    assert_eq!((tickets.options.chunk_size, tickets.options.limit), (300_000, Some(100)));
    let scope = &config.scope;
    assert!(
        scope.create_indexes_after_data && !scope.create_constraints_after_data && config.schema.analyze_after_load
    );
}

#[test]
fn the_list_of_migrations_means_what_it_meant() {
    let text = r#"{"migrations": [{"name": "user-service",
        "source": {"host": "old", "port": 5432, "database": "d b", "username": "u", "password": "it's"},
        "target": {"host": "new", "port": 5432, "database": "d", "username": "u", "password": "p"}}]}"#;
    let configs = Config::all_from_text(text, TextFormat::Json, &env()).unwrap();
    assert_eq!(configs.len(), 1);
    assert_eq!(configs[0].name, "user-service");
    assert_eq!(configs[0].connection.source.expose(), r"host=old port=5432 dbname='d b' user=u password='it\'s'");
    assert_eq!((configs[0].scope.tables.mode, configs[0].scope.schemas.mode), (Mode::All, Mode::All));
}

#[test]
fn the_example_holds_every_key_and_its_defaults() {
    let config = from_yaml(EXAMPLE);
    assert!(config.connection.source.expose().ends_with("password='a b'"), "the variable is quoted");
    assert_eq!(config.options(), checked(&json!({})).options());
    assert_eq!(config.scope.tables.default, TableOptions::built_in(&CopyOptions::default()));
    for doc in KEYS.iter().filter(|doc| !doc.path.contains(['<', '['])) {
        let key = doc.path.rsplit('.').next().unwrap();
        assert!(EXAMPLE.contains(&format!("{key}:")), "{} is missing", doc.path);
    }
}

#[test]
fn the_table_of_keys_says_the_defaults_that_hold() {
    let value = checked(&json!({})).to_value();
    let written = |default: &str| match default {
        "searched" | "any" => Value::Null,
        "1GB" => json!(1_u64 << 30),
        "options.on_existing" => json!("append"),
        "options.on_conflict" | "options.format" => json!("auto"),
        _ if default.starts_with("mode: ") => json!(default["mode: ".len()..]),
        _ => serde_json::from_str(default).unwrap_or_else(|_| json!(default)),
    };
    let has_default = |doc: &&KeyDoc| !doc.path.contains(['<', '[']) && !doc.default.is_empty();
    for doc in KEYS.iter().filter(has_default).filter(|doc| !doc.path.starts_with("source") && doc.default != "{}") {
        let path = if doc.default.starts_with("mode: ") { format!("{}.mode", doc.path) } else { doc.path.to_owned() };
        // No key is below a section that is not written.
        let parent = path.rsplit_once('.').map(|(parent, _)| format!("/{}", parent.replace('.', "/")));
        let absent = parent.and_then(|parent| value.pointer(&parent)).filter(|parent| parent.is_null());
        let found = value.pointer(&format!("/{}", path.replace('.', "/"))).or(absent);
        assert_eq!(found, Some(&written(doc.default)), "{}", doc.path);
    }
}

/// A value of a key other than its default, by the words of the table for its type; none for types without a simple one.
fn other_value(doc: &KeyDoc) -> Option<Value> {
    Some(match doc.kind {
        "boolean" => json!(doc.default != "true"),
        "integer" | "positive integer" | "seconds" | "auto or integer" => json!(7),
        "auto, bytes or size" => json!("2GB"),
        "auto, true, false" => json!(true),
        "same or mapping" => json!("same"),
        "list of strings" => json!(["other"]),
        "mapping of strings" => json!({"NAME": "other"}),
        "string" | "command or list of commands" => json!("other"),
        words if words.contains(", ") && !words.contains(" or ") => {
            json!(words.split(", ").filter(|word| *word != doc.default).last()?)
        }
        _ => return None,
    })
}

#[test]
fn every_key_is_read_and_decides_the_result_as_the_table_says() {
    let plain = checked(&json!({}));
    let mut read = 0;
    for doc in KEYS.iter().filter(|doc| !doc.path.contains(['<', '[']) && !doc.path.starts_with("source.")) {
        let Some(value) = other_value(doc) else { continue };
        let nested = doc.path.rsplit('.').fold(value, |inner, key| json!({ key: inner }));
        match Config::from_value(&with(&nested), &env()) {
            Ok(config) => {
                assert_ne!(config, plain, "{} is not read", doc.path);
                let text = |config: &Config| config.plan().fingerprint_text();
                assert_eq!(text(&config) != text(&plain), doc.decides, "{}", doc.path);
                read += 1;
            }
            // Another key has to be set with it.
            Err(error) => {
                assert!(error.details.problems.iter().all(|problem| problem.starts_with(doc.path)), "{error}");
            }
        }
    }
    assert!(read > 50, "only {read} keys were read");
}

#[test]
fn what_is_shown_can_be_read_again() {
    let config = from_yaml(EXAMPLE);
    let mut value = config.to_value();
    assert!(!value.to_string().contains("localhost") && !format!("{config:?}").contains("localhost"));
    assert_eq!((&value["source"], &value["target"]), (&json!("***"), &json!("***")));
    value["source"] = config.connection.source.expose().into();
    value["target"] = config.connection.target.expose().into();
    value["procedure"]["env"]["ENV"] = "prod".into();
    assert_eq!(Config::from_value(&value, &env()).unwrap(), config);
}

#[test]
fn a_rule_stands_over_the_default_and_that_over_the_options() {
    let config = checked(&json!({
        "options": {"format": "text", "on_existing": "skip"},
        "tables": {
            "default": {"chunk_column": "id", "limit": 5, "format": "binary"},
            "include": ["a.t", {"name": "u", "chunk_column": "", "limit": 0, "on_existing": "truncate"}, {"name": "v", "limit": null}],
        },
    }));
    let [plain, own, inherited] = &config.scope.tables.include[..] else { panic!("three rules") };
    assert_eq!(plain.options, config.scope.tables.default);
    assert_eq!((plain.options.format, plain.options.on_existing), (Format::Binary, OnExisting::Skip));
    assert_eq!(own.table, QualifiedName::new("public", "u"));
    assert_eq!((&own.options.chunk_column, own.options.limit), (&None, None));
    assert_eq!(own.options.on_existing, OnExisting::Truncate);
    assert_eq!(inherited.options.limit, Some(5));
}

#[test]
fn short_forms_mean_include() {
    let config = checked(&json!({"schemas": ["a"], "tables": ["a.t"], "roles": "none"}));
    assert_eq!(
        (config.scope.schemas.mode, config.scope.tables.mode, config.scope.roles),
        (Mode::Include, Mode::Include, RolesMode::None)
    );
    assert_eq!(config.scope.tables.include[0].table, QualifiedName::new("a", "t"));
}

#[test]
fn every_mistake_is_reported_at_once_with_its_path() {
    let reported = problems(&json!({
        "source": {"host": "h", "port": "x", "password": 123, "conninf": []},
        "tables": {
            "mode": "some",
            "default": {"chunksize": 5, "where": ["x"]},
            "include": [{"name": "t"}, {"name": "u", "chunk_size": "many", "limit": -1}, {"schema": "a"}, 7],
        },
        "max_jobs": 4,
        "parallel": {"max_jobs": 0},
        "options": {"backup": "yes", "split_larger_than": "big", "retries": 1.5, "ledger_schema": "pg_x", "verfy": true},
    }));
    assert_eq!(
        reported,
        [
            "max_jobs: unknown key; did you mean \"parallel.max_jobs\"?",
            "source.password: expected a string (in quotes), got a number",
            "source.conninf: expected a string or an integer, got a list",
            "target: missing; write a conninfo, or a mapping such as host, port, database, username",
            "options.verfy: unknown key; did you mean \"verify\"?",
            "options.split_larger_than: expected auto, a positive number of bytes or a size such as \"512MB\" or \"1GB\", got \"big\"",
            "options.ledger_schema: expected the name of a schema that the server does not keep for itself (pg_...), \
         at most 63 bytes long, got \"pg_x\"",
            "options.backup: expected true or false, got \"yes\"",
            "options.retries: expected an integer of 0 or more, got 1.5",
            "tables.mode: expected one of all, include, exclude, got \"some\"",
            "tables.default.chunksize: unknown key; did you mean \"chunk_size\"?",
            "tables.default.where: expected a string, got a list",
            "tables.include[1].chunk_size: expected a positive integer, got \"many\"",
            "tables.include[1].limit: expected an integer of 0 or more, got -1",
            "tables.include[2].name: missing; a table needs its name",
            "tables.include[3]: expected a table as schema.table or as a mapping, got 7",
            "parallel.max_jobs: expected a positive integer, got 0",
        ]
    );
}

#[test]
fn contradictions_are_mistakes() {
    let cases = [
        (json!({"schemas": {"mode": "include"}}), "schemas.include: mode \"include\" needs at least one element here"),
        (json!({"tables": {"mode": "include"}}), "tables.include: mode \"include\" needs at least one element here"),
        (json!({"tables": []}), "tables: mode \"include\" needs at least one element here"),
        (
            json!({"schemas": {"include": ["a"]}}),
            "schemas.include: lists schemas, which only schemas.mode \"include\" reads; set that mode or empty the list",
        ),
        (
            json!({"schemas": {"mode": "include", "include": ["a"], "exclude": ["a"]}}),
            "schemas: a is both included and excluded",
        ),
        (json!({"schemas": ["a", "b", "a"]}), "schemas[2]: a is listed twice"),
        (json!({"tables": ["T", {"name": "T"}]}), "tables[1]: public.\"T\" is listed twice"),
        (
            json!({"tables": {"include": ["t"], "exclude": [{"name": "t"}]}}),
            "tables: public.t is both included and excluded",
        ),
        (json!({"schemas": ["a"], "tables": ["b.t"]}), "tables[0]: schema b is not among the schemas in scope"),
    ];
    for (extra, problem) in cases {
        assert_eq!(problems(&with(&extra)), [problem]);
    }
}

#[test]
fn nothing_of_a_conninfo_is_reported_wherever_it_stands() {
    let conninfo = "host=a password=hunter2";
    for value in [
        json!({"source": [conninfo], "target": {"conninfo": [conninfo]}}),
        json!({"source": "hunter2", "target": {"conninfo": "host=a password='hunter2"}}),
        json!({"source": {"conninfo": conninfo, "password": "hunter2"}, "target": {conninfo: null}}),
        json!({"source": {"user": "a", "username": "hunter2"}, "target": {conninfo: 1, "password": ["hunter2"]}}),
        json!({"source": conninfo, "target": {}, "options": conninfo, "name": [conninfo], conninfo: 1}),
        json!({"source": conninfo, "target": conninfo, "schemas": conninfo, "tables": conninfo, "roles": conninfo}),
        json!({"source": "postgresql://u:hunter2@h/${NO_SUCH}", "target": {"password": "hunter2${NO_SUCH}"}}),
        json!(conninfo),
    ] {
        assert!(!problems(&value).is_empty(), "{value}");
    }
}

#[test]
fn mistakes_of_several_migrations_name_the_migration() {
    let value = json!({
        "options": {"verfy": true},
        "migrations": [{"source": "host=a", "target": "host=b"}, {"source": "host=a", "options": {"backup": 1}}, 5],
    });
    let error = Config::all_from_value(&value, &env()).unwrap_err();
    assert_eq!(
        error.details.problems,
        [
            "options.verfy: unknown key; did you mean \"verify\"?",
            "migrations[1].target: missing; write a conninfo, or a mapping such as host, port, database, username",
            "migrations[1].options.backup: expected true or false, got 1",
            "migrations[2]: expected a mapping, got 5",
        ]
    );
    let error = Config::from_value_at(&json!({"source": "a=b"}), &env(), "migrations[0].").unwrap_err();
    assert!(error.details.problems[0].starts_with("migrations[0].target: missing"), "{error}");
}

#[test]
fn jobs_leave_a_fifth_of_the_cpus() {
    let cases = [(8, 1, 1), (8, 2, 2), (8, 3, 2), (8, 4, 3), (8, 8, 6), (8, 16, 8), (1, 64, 1), (0, 4, 1)];
    for (max_jobs, cpus, expected) in cases {
        assert_eq!(jobs(max_jobs, cpus), expected, "{max_jobs} jobs on {cpus} CPUs");
    }
}

#[test]
fn the_fingerprint_holds_what_decides_and_no_secret() {
    let plain = checked(&json!({"schemas": ["a", "b"]}));
    let same = checked(&json!({
        "name": "other",
        "source": "host=elsewhere password=hunter2",
        "schemas": {"mode": "include", "include": ["b", "a"], "exclude": null},
        "parallel": {"max_jobs": 2},
        "options": {
            "verify": true, "backup": true, "backup_dir": "x", "retries": 0, "keep_ledger": false, "pg_dump": "/x",
            "lock_timeout": 1, "consistent": false, "format": "auto", "accept_newer_servers": true,
        },
    }));
    assert_eq!(plain.plan().fingerprint_text(), same.plan().fingerprint_text());
    assert!(
        !same.plan().fingerprint_text().contains("hunter2") && !same.plan().fingerprint_text().contains("elsewhere")
    );
    assert!(Config::differences(&plain.plan().fingerprint_text(), &same.plan().fingerprint_text()).is_empty());
}

#[test]
fn differences_are_named_once_by_their_keys() {
    let text = |extra: Value| checked(&extra).plan().fingerprint_text();
    let tables = json!({"include": [{"name": "t", "limit": 5}, "u"]});
    let planned = text(json!({"options": {"format": "text"}, "tables": tables}));
    let now = text(json!({
        "options": {"format": "binary"},
        "schemas": {"exclude": ["s"]},
        "tables": {"include": [{"name": "t", "where": "id > 1"}, "w"], "exclude": ["x"]},
    }));
    assert_eq!(
        Config::differences(&planned, &now),
        [
            "options.format: text in the plan, binary now",
            "schemas.exclude: [] in the plan, [\"s\"] now",
            "tables.exclude[public.x]: not listed in the plan, listed now",
            "tables.include[public.t].limit: 5 in the plan, 0 now",
            "tables.include[public.t].where: \"\" in the plan, \"id > 1\" now",
            "tables.include[public.u]: listed in the plan, not listed now",
            "tables.include[public.w]: not listed in the plan, listed now",
        ]
    );
    assert_eq!(Config::differences("", &now), ["configuration: the plan holds no readable record of it"]);
}
