use super::*;

fn of(base: &str, full: &str, modifier: i32) -> Type {
    let is_string = matches!(base, "text" | "character varying" | "character" | "name");
    Type { base: base.into(), full: full.into(), modifier, is_built_in: true, kind: 'b', is_string, ..Type::default() }
}

fn plain(base: &str) -> Type {
    of(base, base, -1)
}

fn number(precision: i32, scale: i32) -> Type {
    of("numeric", &format!("numeric({precision},{scale})"), ((precision << 16) | (scale & 0x7ff)) + 4)
}

fn chars(length: i32) -> Type {
    of("character varying", &format!("character varying({length})"), length + 4)
}

fn blanks(length: i32) -> Type {
    of("character", &format!("character({length})"), length + 4)
}

/// The casts of a server, as far as the tests need them.
fn casts() -> Casts {
    let pairs = [
        ("smallint", "integer"),
        ("integer", "bigint"),
        ("integer", "smallint"),
        ("bigint", "integer"),
        ("integer", "numeric"),
        ("bigint", "double precision"),
        ("integer", "double precision"),
        ("real", "double precision"),
        ("real", "numeric"),
        ("double precision", "real"),
        ("numeric", "double precision"),
        ("date", "timestamp without time zone"),
        ("timestamp without time zone", "timestamp with time zone"),
        ("timestamp with time zone", "timestamp without time zone"),
        ("json", "jsonb"),
        ("cidr", "inet"),
        ("inet", "cidr"),
        ("bit", "bit varying"),
        ("text", "ext.citext"),
        ("text", "character"),
    ];
    pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
}

fn cast(source: &Type, target: &Type) -> Result<Vec<String>, String> {
    assign(source, target, &casts()).map(|assignment| assignment.casts)
}

#[test]
fn what_reads_the_same_text_travels_as_it_is() {
    for (source, target) in [
        (plain("integer"), plain("integer")),
        (plain("smallint"), plain("integer")),
        (plain("integer"), plain("bigint")),
        (plain("integer"), plain("numeric")),
        (plain("integer"), number(10, 0)),
        (chars(10), chars(20)),
        (chars(10), plain("text")),
        (plain("text"), plain("character varying")),
        (number(10, 2), plain("numeric")),
        (of("timestamp without time zone", "timestamp(3) without time zone", 3), plain("timestamp without time zone")),
    ] {
        assert_eq!(cast(&source, &target), Ok(vec![]), "{} to {}", source.full, target.full);
    }
}

#[test]
fn what_the_target_would_read_as_another_value_is_cast_first() {
    for (source, target, wanted) in [
        (number(10, 2), number(12, 4), vec!["numeric(12,4)"]),
        (plain("integer"), number(14, 2), vec!["numeric(14,2)"]),
        (blanks(5), blanks(8), vec!["character(8)"]),
        (blanks(5), plain("text"), vec!["text"]),
        (plain("boolean"), plain("text"), vec!["text"]),
        (plain("boolean"), chars(5), vec!["character varying(5)"]),
        (plain("real"), plain("double precision"), vec!["double precision"]),
        (plain("real"), plain("numeric"), vec!["text", "numeric"]),
        (plain("date"), plain("timestamp without time zone"), vec!["timestamp without time zone"]),
        (plain("cidr"), plain("inet"), vec!["inet"]),
    ] {
        let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
        assert_eq!(cast(&source, &target), Ok(wanted), "{} to {}", source.full, target.full);
    }
}

#[test]
fn what_takes_fewer_values_is_refused_although_the_server_would_cast() {
    for (source, target) in [
        (plain("bigint"), plain("integer")),
        (plain("bigint"), plain("double precision")),
        (plain("double precision"), plain("real")),
        (plain("numeric"), plain("double precision")),
        (plain("numeric"), number(10, 2)),
        (number(10, 2), number(10, 1)),
        (number(10, 2), number(10, 4)),
        (plain("integer"), number(9, 0)),
        (chars(20), chars(10)),
        (plain("text"), chars(10)),
        (plain("integer"), chars(10)),
        (plain("uuid"), chars(35)),
        (plain("text"), blanks(10)),
        (plain("inet"), plain("cidr")),
        (plain("timestamp with time zone"), plain("timestamp without time zone")),
        (plain("timestamp without time zone"), of("timestamp without time zone", "timestamp(3)", 3)),
    ] {
        assert_eq!(cast(&source, &target), Err(NARROWER.into()), "{} to {}", source.full, target.full);
    }
    assert!(cast(&plain("text"), &plain("integer")).unwrap_err().contains("no cast"));
}

#[test]
fn what_changes_its_meaning_is_reported() {
    let naive = plain("timestamp without time zone");
    assert_eq!(assign(&naive, &plain("timestamp with time zone"), &casts()).unwrap().note, ZONE);
    assert_eq!(assign(&plain("json"), &plain("jsonb"), &casts()).unwrap().note, KEYS);
}

#[test]
fn arrays_follow_their_elements() {
    let array = |of: Type| Type { brackets: "[]".into(), ..of };
    assert_eq!(cast(&array(plain("smallint")), &array(plain("integer"))), Ok(vec![]));
    assert_eq!(cast(&array(number(10, 2)), &array(number(12, 4))), Ok(vec!["numeric(12,4)[]".into()]));
    assert_eq!(cast(&array(plain("bigint")), &array(plain("integer"))), Err(NARROWER.into()));
    assert!(cast(&array(plain("integer")), &plain("integer")).is_err());
    assert_eq!(cast(&array(plain("integer")), &plain("text")), Ok(vec!["text".into()]));
}

#[test]
fn enums_and_composites_are_what_their_parts_are() {
    let mood = |labels: &[&str]| Type {
        kind: 'e',
        is_built_in: false,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..plain("app.mood")
    };
    assert_eq!(cast(&mood(&["a", "b"]), &mood(&["b", "c", "a"])), Ok(vec![]));
    assert_eq!(cast(&mood(&["a", "b"]), &mood(&["a"])), Err("the target's enum lacks the labels b".into()));
    assert_eq!(cast(&mood(&["a"]), &plain("text")), Ok(vec![]));
    assert!(cast(&plain("text"), &mood(&["a"])).is_err());
    let pair = |field: &str| Type { kind: 'c', is_built_in: false, fields: vec![field.into()], ..plain("app.pair") };
    assert_eq!(cast(&pair("x integer"), &pair("x integer")), Ok(vec![]));
    assert!(cast(&pair("x integer"), &pair("x bigint")).is_err());
}

#[test]
fn a_type_of_an_extension_is_known_in_any_schema() {
    let citext = |schema: &str| Type {
        is_built_in: false,
        is_string: true,
        of_extension: "citext.citext".into(),
        ..plain(&format!("{schema}.citext"))
    };
    assert_eq!(cast(&citext("public"), &citext("ext")), Ok(vec![]));
    assert_eq!(cast(&plain("text"), &citext("ext")), Ok(vec![]));
    assert!(cast(&plain("uuid"), &citext("ext")).is_err());
    assert_eq!(cast(&citext("public"), &plain("text")), Ok(vec!["text".into()]));
}
