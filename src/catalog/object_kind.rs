//! The kinds of archive entries, and what pgmigrate knows about each: one row a kind.
//!
//! `pg_dump` writes a kind as the description of an entry in its table of contents (`ArchiveEntry` in
//! <https://github.com/postgres/postgres/blob/master/src/bin/pg_dump/pg_dump.c>). The table below has those that the programs of all
//! supported versions write. An entry of another kind is [`ObjectKind::Other`]: it has no facts and is made as `pg_restore` makes it.
//!
//! Code asks a kind through its functions, such as [`ObjectKind::is_part`]; where a kind has code of its own (a foreign key, an extension),
//! that code names it. Queries that list objects by their catalogs (`src/sql/survey`, `src/sql/catalog/privileges.sql`) do not see this table:
//! CONTRIBUTING has the list. Used by all layers above `config`.

use crate::interned::Interned;
use std::fmt;

/// The kinds of object whose properties verification compares in the catalog, because versions may write their definitions in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Properties {
    /// A table, view, materialized view or foreign table.
    Relation,
    /// A sequence.
    Sequence,
    /// An index.
    Index,
    /// A constraint of a table or a domain.
    Constraint,
    /// A trigger.
    Trigger,
    /// A row security policy.
    Policy,
    /// Extended statistics.
    Statistics,
    /// A domain or another type.
    Type,
    /// A function or a procedure.
    Routine,
    /// A column's default.
    Default,
    /// A rule.
    Rule,
}

/// What an entry of post-data waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The rows of the tables that it belongs to.
    OwnRows,
    /// The rows of all tables.
    AllRows,
    /// Rows, indexes and constraints.
    Constraints,
}

/// Something that is true of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    /// It has an owner of its own; the archive also names an owner for others, which have the owner of their table.
    Owned,
    /// It is a part of the object that it depends on, mostly a table, and cannot exist without it.
    Part,
    /// A part that includes the functions and types that it needs when its table is chosen.
    Pulls,
    /// It is a relation that filters choose by its name.
    Relation,
    /// It describes another object, which its tag names: `TABLE flights`.
    About,
    /// It is a setting, rows, or about the database as a whole: not made from its entry but by other means.
    NotDdl,
    /// It is moved only with a whole database; the text is the reason for leaving it out.
    WholeDatabase(&'static str),
    /// Only a superuser can make it.
    ForSuperusers,
    /// Its schema and name do not identify it on another server; `pg_identify_object` does.
    Identified,
    /// Several objects of it may have one tag.
    Ambiguous,
    /// It is a function that a table's expressions can call.
    Function,
    /// Its tag is the name of its table and its own, with a space between them.
    NamedByItsTable,
    /// Making it evaluates expressions over rows, or plans those of generated columns and partition keys, which inlines functions.
    Evaluates,
    /// In pre-data, it only completes one object that is made before it.
    Completes,
    /// In post-data, it is made in the phase of the indexes.
    WithIndexes,
    /// In post-data, what it waits for, if that is less than indexes and constraints.
    After(Wait),
    /// A ledger's tables have parts of it.
    OfLedger,
    /// It is a property of another object rather than an object.
    Property,
    /// The archive writes it within its table where it can.
    WrittenInTable,
    /// Verification names a missing or invalid one when it compares rows, values and validity.
    NamedWithRows,
    /// Its properties are compared where the texts of its definitions differ.
    Compared(Properties),
    /// What queries on the parts of relations (`sql/survey`) call it.
    RelationPart(&'static str),
    /// The word for its object in the tags of privileges.
    Class(&'static str),
    /// What it is called in a message, where its name is not clear enough.
    Called(&'static str),
}

macro_rules! object_kinds {
    ($($kind:ident, $text:literal, [$($fact:ident $(($value:expr))?),*];)*) => {
        /// A kind of archive entry.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ObjectKind {
            $(#[doc = concat!("`", $text, "`")] $kind,)*
            /// One that only a newer `pg_dump` writes.
            Other(Interned),
        }

        impl ObjectKind {
            /// All known kinds.
            pub const ALL: &[ObjectKind] = &[$(ObjectKind::$kind),*];

            /// As the archive writes it, such as `FK CONSTRAINT`.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(ObjectKind::$kind => $text,)*
                    ObjectKind::Other(text) => text,
                }
            }

            fn facts(&self) -> &'static [Fact] {
                match self {
                    $(ObjectKind::$kind => &[$(Fact::$fact $(($value))?),*],)*
                    ObjectKind::Other(_) => &[],
                }
            }
        }

        impl From<&str> for ObjectKind {
            fn from(text: &str) -> Self {
                match text {
                    $($text => ObjectKind::$kind,)*
                    _ => ObjectKind::Other(text.into()),
                }
            }
        }
    };
}

object_kinds! {
    AccessMethod, "ACCESS METHOD", [ForSuperusers, Identified];
    Acl, "ACL", [Part, About, OfLedger, Property, Called("the privileges")];
    Aggregate, "AGGREGATE", [Owned, Function, Class("FUNCTION")];
    Blob, "BLOB", [NotDdl];
    BlobMetadata, "BLOB METADATA", [NotDdl];
    Blobs, "BLOBS", [NotDdl];
    Cast, "CAST", [Identified];
    CheckConstraint, "CHECK CONSTRAINT", [NamedByItsTable, Evaluates, Part, Pulls, After(Wait::OwnRows), WrittenInTable, NamedWithRows, Compared(Properties::Constraint),
        RelationPart("constraint")];
    Collation, "COLLATION", [Owned, Class("COLLATION")];
    Comment, "COMMENT", [Part, About, Completes, OfLedger, Property];
    // A key, an exclusion constraint, or a NOT NULL that existing rows are not checked for.
    Constraint, "CONSTRAINT", [NamedByItsTable, Evaluates, Part, Pulls, WithIndexes, After(Wait::OwnRows), OfLedger, WrittenInTable, NamedWithRows,
        Compared(Properties::Constraint), RelationPart("constraint")];
    Conversion, "CONVERSION", [Owned, Class("CONVERSION")];
    Database, "DATABASE", [NotDdl];
    DatabaseProperties, "DATABASE PROPERTIES", [NotDdl];
    Default, "DEFAULT", [NamedByItsTable, Evaluates, Part, Pulls, Completes, OfLedger, Property, WrittenInTable, Compared(Properties::Default),
        RelationPart("default")];
    DefaultAcl, "DEFAULT ACL", [Property, Class("DEFAULT ACL"), Called("the default privileges")];
    Domain, "DOMAIN", [Evaluates, Owned, Compared(Properties::Type), Class("TYPE")];
    Encoding, "ENCODING", [NotDdl];
    EventTrigger, "EVENT TRIGGER", [Owned, WholeDatabase("event triggers are moved only with a whole database"), ForSuperusers, Class("EVENT TRIGGER")];
    // Written by 19.
    ExtendedStatisticsData, "EXTENDED STATISTICS DATA", [NotDdl, OfLedger];
    Extension, "EXTENSION", [];
    FkConstraint, "FK CONSTRAINT", [NamedByItsTable, Evaluates, Part, OfLedger, NamedWithRows, Compared(Properties::Constraint), RelationPart("constraint"),
        Called("the foreign key")];
    ForeignDataWrapper, "FOREIGN DATA WRAPPER", [Owned, ForSuperusers, Class("FOREIGN DATA WRAPPER")];
    ForeignTable, "FOREIGN TABLE", [Owned, Relation, Compared(Properties::Relation), Class("TABLE")];
    Function, "FUNCTION", [Owned, Function, Compared(Properties::Routine), Class("FUNCTION")];
    Index, "INDEX", [Evaluates, Part, Pulls, WithIndexes, OfLedger, NamedWithRows, Compared(Properties::Index), RelationPart("index")];
    IndexAttach, "INDEX ATTACH", [Part, WithIndexes, Property, RelationPart("index attach"),
        Called("the index's place below a partitioned index")];
    LargeObject, "LARGE OBJECT", [NotDdl];
    MaterializedView, "MATERIALIZED VIEW", [Owned, Relation, Class("TABLE")];
    MaterializedViewData, "MATERIALIZED VIEW DATA", [NotDdl];
    Operator, "OPERATOR", [Owned, Identified, Ambiguous, Class("OPERATOR")];
    OperatorClass, "OPERATOR CLASS", [Owned, ForSuperusers, Identified, Ambiguous, Class("OPERATOR CLASS")];
    OperatorFamily, "OPERATOR FAMILY", [Owned, ForSuperusers, Identified, Ambiguous, Class("OPERATOR FAMILY")];
    Policy, "POLICY", [NamedByItsTable, Part, Pulls, Compared(Properties::Policy), RelationPart("policy")];
    ProceduralLanguage, "PROCEDURAL LANGUAGE", [Owned, ForSuperusers, Class("LANGUAGE")];
    Procedure, "PROCEDURE", [Owned, Compared(Properties::Routine), Class("PROCEDURE")];
    Publication, "PUBLICATION", [Owned, After(Wait::AllRows), Class("PUBLICATION")];
    PublicationTable, "PUBLICATION TABLE", [Part, After(Wait::AllRows), RelationPart("publication table")];
    PublicationTablesInSchema, "PUBLICATION TABLES IN SCHEMA", [ForSuperusers, Identified, After(Wait::AllRows)];
    RowSecurity, "ROW SECURITY", [Part, Property, RelationPart("row security"), Called("enabled row security")];
    Rule, "RULE", [NamedByItsTable, Part, Pulls, After(Wait::OwnRows), Compared(Properties::Rule), RelationPart("rule")];
    Schema, "SCHEMA", [Owned, Class("SCHEMA")];
    SearchPath, "SEARCHPATH", [NotDdl];
    SecurityLabel, "SECURITY LABEL", [Part, About, Completes, OfLedger, Property];
    Sequence, "SEQUENCE", [Owned, Relation, Completes, NamedWithRows, Compared(Properties::Sequence), RelationPart("sequence"),
        Class("SEQUENCE")];
    SequenceOwnedBy, "SEQUENCE OWNED BY", [Part, Completes, OfLedger, Property, RelationPart("sequence owned by"),
        Called("the sequence's owner column")];
    SequenceSet, "SEQUENCE SET", [NotDdl, OfLedger];
    Server, "SERVER", [Owned, Class("FOREIGN SERVER")];
    ShellType, "SHELL TYPE", [ForSuperusers];
    Statistics, "STATISTICS", [Owned, Part, Pulls, WithIndexes, Compared(Properties::Statistics), RelationPart("statistics"),
        Class("STATISTICS")];
    StatisticsData, "STATISTICS DATA", [NotDdl, OfLedger];
    StdStrings, "STDSTRINGS", [NotDdl];
    Subscription, "SUBSCRIPTION", [Owned, After(Wait::AllRows), Class("SUBSCRIPTION")];
    SubscriptionTable, "SUBSCRIPTION TABLE", [];
    Table, "TABLE", [Evaluates, Owned, Relation, NamedWithRows, Compared(Properties::Relation), RelationPart("table"), Class("TABLE")];
    TableAttach, "TABLE ATTACH", [Evaluates, Part, Property, RelationPart("table attach"), Called("the partition's place")];
    TableData, "TABLE DATA", [NotDdl, OfLedger];
    TextSearchConfiguration, "TEXT SEARCH CONFIGURATION", [Owned, Class("TEXT SEARCH CONFIGURATION")];
    TextSearchDictionary, "TEXT SEARCH DICTIONARY", [Owned, Class("TEXT SEARCH DICTIONARY")];
    TextSearchParser, "TEXT SEARCH PARSER", [ForSuperusers, Identified];
    TextSearchTemplate, "TEXT SEARCH TEMPLATE", [ForSuperusers, Identified];
    // Its functions are in C, and must be owned by the role that creates it.
    Transform, "TRANSFORM", [ForSuperusers, Identified];
    Trigger, "TRIGGER", [NamedByItsTable, Part, Pulls, After(Wait::OwnRows), Compared(Properties::Trigger), RelationPart("trigger")];
    Type, "TYPE", [Owned, Compared(Properties::Type), Class("TYPE")];
    UserMapping, "USER MAPPING", [];
    View, "VIEW", [Owned, Relation, Class("TABLE")];
}

impl ObjectKind {
    fn is(&self, fact: Fact) -> bool {
        self.facts().contains(&fact)
    }

    fn find<T>(&self, value: impl Fn(&Fact) -> Option<T>) -> Option<T> {
        self.facts().iter().find_map(value)
    }

    /// Its name in messages and in the kind of its task: the archive's text in lower case.
    #[must_use]
    pub fn name(&self) -> String {
        self.as_str().to_lowercase()
    }

    /// The kind of this [`ObjectKind::name`].
    #[must_use]
    pub fn of_name(name: &str) -> ObjectKind {
        ObjectKind::from(name.to_uppercase().as_str())
    }

    /// Whether an object has an owner of its own.
    #[must_use]
    pub fn has_owner(&self) -> bool {
        self.is(Fact::Owned)
    }

    /// Whether it is a part of the object that it depends on, mostly a table, and cannot exist without it.
    #[must_use]
    pub fn is_part(&self) -> bool {
        self.is(Fact::Part)
    }

    /// Whether its tag is the name of its table and its own, with a space between them.
    #[must_use]
    pub fn is_named_by_its_table(&self) -> bool {
        self.is(Fact::NamedByItsTable)
    }

    /// Whether making it evaluates expressions over rows, or plans those of generated columns and partition keys.
    #[must_use]
    pub fn evaluates(&self) -> bool {
        self.is(Fact::Evaluates)
    }

    /// Whether such a part includes the functions and types that it needs when its table is chosen.
    #[must_use]
    pub fn pulls_what_it_needs(&self) -> bool {
        self.is(Fact::Pulls)
    }

    /// Whether filters choose it by its name: a table, foreign table, view, materialized view or sequence.
    #[must_use]
    pub fn is_relation(&self) -> bool {
        self.is(Fact::Relation)
    }

    /// Whether it can hold or return rows, so that it is never included only because another object needs it.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        self.is_relation() && *self != ObjectKind::Sequence
    }

    /// Whether it is a comment, privileges or a label of the object that its tag names.
    #[must_use]
    pub fn is_about_another(&self) -> bool {
        self.is(Fact::About)
    }

    /// Whether a task makes it from its entry; settings, rows and what is about the database as a whole are migrated by other means.
    #[must_use]
    pub fn is_ddl(&self) -> bool {
        !self.is(Fact::NotDdl)
    }

    /// If it is moved only with a whole database, the reason for leaving it out otherwise.
    #[must_use]
    pub fn needs_whole_database(&self) -> Option<&'static str> {
        self.find(|fact| if let Fact::WholeDatabase(reason) = fact { Some(*reason) } else { None })
    }

    /// Whether only a superuser can make it.
    #[must_use]
    pub fn is_for_superusers(&self) -> bool {
        self.is(Fact::ForSuperusers)
    }

    /// Whether schema and name do not identify it on another server.
    #[must_use]
    pub fn needs_identity(&self) -> bool {
        self.is(Fact::Identified)
    }

    /// Whether several objects of it may have one tag.
    #[must_use]
    pub fn has_ambiguous_tags(&self) -> bool {
        self.is(Fact::Ambiguous)
    }

    /// Whether it is a function that a table's expressions can call.
    #[must_use]
    pub fn is_function(&self) -> bool {
        self.is(Fact::Function)
    }

    /// Whether an entry of pre-data only completes one object that is made before it.
    #[must_use]
    pub fn only_completes(&self) -> bool {
        self.is(Fact::Completes)
    }

    /// Whether an entry of post-data is made in the phase of the indexes.
    #[must_use]
    pub fn is_made_with_indexes(&self) -> bool {
        self.is(Fact::WithIndexes)
    }

    /// What an entry of post-data waits for; one of an unknown kind waits as in `pg_restore`.
    #[must_use]
    pub fn waits_for(&self) -> Wait {
        let wait = self.find(|fact| if let Fact::After(wait) = fact { Some(*wait) } else { None });
        wait.unwrap_or(Wait::Constraints)
    }

    /// Whether a ledger's tables have parts of it.
    #[must_use]
    pub fn is_of_ledgers(&self) -> bool {
        self.is(Fact::OfLedger)
    }

    /// Whether it is a property of another object rather than an object.
    #[must_use]
    pub fn is_property(&self) -> bool {
        self.is(Fact::Property)
    }

    /// Whether the archive writes it within its table where it can.
    #[must_use]
    pub fn may_be_written_in_table(&self) -> bool {
        self.is(Fact::WrittenInTable)
    }

    /// Whether the comparison of rows, values and validity names one that is missing or invalid.
    #[must_use]
    pub fn is_named_with_rows(&self) -> bool {
        self.is(Fact::NamedWithRows)
    }

    /// The properties to compare where the texts of two definitions differ; none for kinds whose texts decide.
    #[must_use]
    pub fn properties(&self) -> Option<Properties> {
        self.find(|fact| if let Fact::Compared(properties) = fact { Some(*properties) } else { None })
    }

    /// What queries on the parts of relations call it; none if it is not one.
    #[must_use]
    pub fn relation_part(&self) -> Option<&'static str> {
        self.find(|fact| if let Fact::RelationPart(name) = fact { Some(*name) } else { None })
    }

    /// The word for its objects in the tags of privileges; none for kinds without owner and privileges.
    #[must_use]
    pub fn class(&self) -> Option<&'static str> {
        self.find(|fact| if let Fact::Class(class) = fact { Some(*class) } else { None })
    }

    /// Its name with an article, for a sentence.
    #[must_use]
    pub fn called(&self) -> String {
        let called = self.find(|fact| if let Fact::Called(name) = fact { Some(*name) } else { None });
        called.map_or_else(|| format!("the {}", self.name()), str::to_owned)
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_text_is_read_as_the_kind_that_wrote_it() {
        let texts: HashSet<&str> = ObjectKind::ALL.iter().map(ObjectKind::as_str).collect();
        assert_eq!(texts.len(), ObjectKind::ALL.len(), "a text belongs to one kind");
        for kind in ObjectKind::ALL {
            assert_eq!(ObjectKind::from(kind.as_str()), *kind);
            assert_eq!(ObjectKind::of_name(&kind.name()), *kind);
            assert!(!matches!(ObjectKind::from(kind.as_str()), ObjectKind::Other(_)), "{kind}");
        }
        let unknown = ObjectKind::from("PROPERTY GRAPH");
        assert_eq!((unknown.as_str(), unknown.name().as_str()), ("PROPERTY GRAPH", "property graph"));
    }

    #[test]
    fn facts_of_a_kind_do_not_contradict_each_other() {
        let alone = [ObjectKind::Cast, ObjectKind::Extension, ObjectKind::SubscriptionTable, ObjectKind::UserMapping];
        for kind in ObjectKind::ALL {
            let facts = kind.facts();
            let distinct: HashSet<String> = facts.iter().map(|fact| format!("{fact:?}")).collect();
            assert_eq!(distinct.len(), facts.len(), "{kind} has a fact twice");
            assert!(!facts.is_empty() || alone.contains(kind), "{kind} has no facts");
            assert!(!kind.pulls_what_it_needs() || kind.is_part(), "{kind}");
            assert!(!kind.is_about_another() || kind.is_part() && kind.is_property(), "{kind}");
            assert!(!kind.has_ambiguous_tags() || kind.needs_identity(), "{kind}");
            assert!(!kind.has_owner() || kind.class().is_some(), "{kind}: privileges name its class");
            assert!(!kind.is_relation() || kind.has_owner() && !kind.is_part(), "{kind}");
            assert!(kind.is_ddl() || !kind.is_part() && !kind.has_owner(), "{kind} is not made from its entry");
        }
    }
}
