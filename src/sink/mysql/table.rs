//! The target table: what it is, and the statements that make it fit.
//!
//! MySQL commits by itself around every statement that makes or changes a table. So the table is made to fit before the transaction of
//! its batch begins: a process that dies in between leaves a column without values, which the next batch finds.

use std::collections::{BTreeMap, BTreeSet};

use super::value::{Column, learned};
use crate::{
    database::mysql::{Error, Session, Value, quoted},
    model::{Blame, Code, Fault},
    sink::kinds::{Kind, Kinds},
};

/// Where rows go.
#[derive(Clone, Debug)]
pub struct Target {
    pub table: String,
    /// Columns of the unique key.
    pub key: Vec<String>,
    /// Types of columns that are declared instead of learned.
    pub declared: BTreeMap<String, String>,
}

/// What must be done to the table before a batch fits.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Change {
    Add(String, String),
    /// The column holds integers, and gets other numbers.
    Widen(String),
}

/// The collation that tells any two texts from each other, by case and by spaces at their end.
pub fn exact_collation(session: &Session) -> &'static str {
    if session.is_mariadb { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" }
}

impl Target {
    /// The columns in their order; none: there is no such table.
    pub async fn columns(&self, session: &mut Session) -> Result<Vec<Column>, Error> {
        let sql = "SELECT COLUMN_NAME, CAST(DATA_TYPE AS CHAR), CAST(COLUMN_TYPE AS CHAR), IS_NULLABLE = 'YES',
                COALESCE(GENERATION_EXPRESSION, '') <> '', COLUMN_DEFAULT IS NULL OR COLUMN_DEFAULT = 'NULL', CAST(EXTRA AS CHAR),
                COLUMN_COMMENT = '', CHARACTER_OCTET_LENGTH, NUMERIC_SCALE, DATETIME_PRECISION
            FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";
        let rows = session.rows(sql, &[Value::Text(self.table.clone())]).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let database = session.database.clone();
        let json = session.json_columns(&BTreeSet::from([(database.as_str(), self.table.as_str())])).await?;
        let is_json = |name: &str| json.iter().any(|[.., column]| column == name);
        Ok(rows.iter().map(|row| column(row, is_json)).collect())
    }

    /// Refuses what rows and a checkpoint cannot be stored in together, and a table whose key nothing keeps unique.
    async fn check(&self, session: &mut Session) -> Result<(), Error> {
        check_engine(session, &self.table).await?;
        let sql =
            "SELECT INDEX_NAME, LOWER(COALESCE(COLUMN_NAME, '')), SUB_PART IS NULL FROM information_schema.STATISTICS
            WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND NON_UNIQUE = 0";
        let mut indexes: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
        for row in session.rows(sql, &[Value::Text(self.table.clone())]).await? {
            if let [Value::Text(index), Value::Text(column), is_whole] = row.as_slice() {
                indexes.entry(index.clone()).or_default().push((column.clone(), *is_whole == Value::Integer(1)));
            }
        }
        let mut wanted: Vec<(String, bool)> = self.key.iter().map(|name| (name.to_lowercase(), true)).collect();
        wanted.sort();
        let is_key = |columns: &mut Vec<(String, bool)>| {
            columns.sort();
            *columns == wanted
        };
        if indexes.values_mut().any(is_key) {
            return Ok(());
        }
        let (table, key) =
            (quoted(&self.table), self.key.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "));
        let message = format!("table {table} has no unique index on its key ({})", self.key.join(", "));
        let help = "Nothing of this batch was written. An upsert needs one, over whole columns; type: ALTER TABLE";
        Err(Fault::halt(Code::Database, Blame::Config, message)
            .help(format!("{help} {table} ADD UNIQUE ({key});"))
            .into())
    }

    /// Makes the table fit these fields, and returns its columns. None: there is no table, and no record with a key to make one of.
    /// `known`: the columns as they were when it was made to fit the last time.
    pub async fn fit(
        &self,
        session: &mut Session,
        known: Vec<Column>,
        fields: &[(String, Kinds)],
    ) -> Result<Vec<Column>, Error> {
        let mut columns = known;
        if columns.is_empty() {
            columns = self.columns(session).await?;
            if !columns.is_empty() {
                self.check(session).await?;
            }
        }
        let changes = self.changes(&columns, fields)?;
        let Some(sql) = self.change_sql(&columns, &changes, exact_collation(session)) else {
            return Ok(columns);
        };
        session.command(&sql).await.map_err(|error| self.unmade(error))?;
        let columns = self.columns(session).await?;
        self.check(session).await?;
        Ok(columns)
    }

    fn changes(&self, columns: &[Column], fields: &[(String, Kinds)]) -> Result<Vec<Change>, Fault> {
        let mut changes: Vec<Change> = Vec::new();
        for (field, kinds) in fields {
            let same = |name: &str| name.to_lowercase() == field.to_lowercase();
            let is_added = |change: &Change| matches!(change, Change::Add(name, _) if same(name));
            let there = columns.iter().find(|column| same(&column.name));
            match there {
                Some(column) if column.is_generated => {
                    return Err(self.conflict(field, "is computed by the database"));
                }
                Some(column) if column.name == *field => {
                    let is_wider = self.is_widened(column, *kinds);
                    changes.extend(is_wider.then(|| Change::Widen(field.clone())));
                    continue;
                }
                _ if there.is_some() || changes.iter().any(is_added) => {
                    return Err(self.conflict(field, "differs from another column by upper and lower case only"));
                }
                _ => {}
            }
            if field.is_empty() || field.ends_with(' ') || field.contains('\0') || field.chars().count() > 64 {
                return Err(self.conflict(field, "cannot name a column"));
            }
            let learned = || learned(*kinds, self.key.contains(field)).map(str::to_owned);
            let kind = self.declared.get(field).cloned().or_else(learned);
            changes.extend(kind.map(|kind| Change::Add(field.clone(), kind)));
        }
        Ok(changes)
    }

    /// Every integer is a decimal number, so nothing is lost. A type that somebody chose stays, and so does a key's.
    fn is_widened(&self, column: &Column, kinds: Kinds) -> bool {
        let is_ours = column.base == "bigint" && !column.declared.contains("unsigned") && column.is_plain;
        let is_free = !self.declared.contains_key(&column.name) && !self.key.contains(&column.name);
        kinds.has(Kind::Decimal) && is_ours && column.is_nullable && is_free
    }

    /// The statement that makes the table, or makes it fit. Nothing: it fits, or there is no key to make it with.
    fn change_sql(&self, columns: &[Column], changes: &[Change], collation: &str) -> Option<String> {
        let table = quoted(&self.table);
        if columns.is_empty() {
            let is_added =
                |key: &String| changes.iter().any(|change| matches!(change, Change::Add(name, _) if name == key));
            if !self.key.iter().all(is_added) {
                return None;
            }
            let not_null = |name: &String| if self.key.contains(name) { " NOT NULL" } else { "" };
            let column = |change: &Change| match change {
                Change::Add(name, kind) => Some(format!("{} {kind}{}", quoted(name), not_null(name))),
                Change::Widen(_) => None,
            };
            let columns = changes.iter().filter_map(column).collect::<Vec<_>>().join(", ");
            let key = self.key.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
            return Some(format!(
                "CREATE TABLE {table} ({columns}, PRIMARY KEY ({key})) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {collation}"
            ));
        }
        let part = |change: &Change| match change {
            Change::Add(name, kind) => format!("ADD COLUMN {} {kind} NULL", quoted(name)),
            Change::Widen(name) => format!("MODIFY COLUMN {} DECIMAL(65,30) NULL", quoted(name)),
        };
        let parts = changes.iter().map(part).collect::<Vec<_>>().join(", ");
        (!parts.is_empty()).then(|| format!("ALTER TABLE {table} {parts}"))
    }

    fn conflict(&self, field: &str, why: &str) -> Fault {
        let message = format!("the field {field:?} has no column in {}: it {why}", quoted(&self.table));
        Fault::halt(Code::ColumnConflict, Blame::Config, message)
            .help("Nothing of this batch was written. Give the field another name under `fields:`, or leave it out.")
    }

    /// A table that the server does not make: a type that is none, a key that is too long for an index.
    fn unmade(&self, error: Error) -> Error {
        match &error {
            Error::Server {
                code: 1063 | 1064 | 1067 | 1070 | 1071 | 1074 | 1101 | 1118 | 1170 | 1273 | 4079,
                message,
                ..
            } => {
                let message = format!("table {} cannot be made as it is needed: {message}", quoted(&self.table));
                let help = "Nothing of this batch was written. Declare the types of its columns under `columns:`, shorter ones for the key.";
                Fault::halt(Code::ColumnConflict, Blame::Config, message).help(help).into()
            }
            _ => error,
        }
    }
}

/// Refuses a table that no transaction rolls back: its rows would stay where the checkpoint does not.
pub async fn check_engine(session: &mut Session, table: &str) -> Result<(), Error> {
    let sql = "SELECT t.TABLE_TYPE, COALESCE(t.ENGINE, ''), COALESCE(e.TRANSACTIONS, 'NO')
        FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
        WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_NAME = ?";
    let found = session.rows(sql, &[Value::Text(table.to_owned())]).await?.concat();
    let [Value::Text(kind), Value::Text(engine), Value::Text(transactions)] = found.as_slice() else {
        return Ok(());
    };
    let (name, is_view) = (quoted(table), kind.contains("VIEW"));
    let (message, help) = match transactions.as_str() {
        "YES" if !is_view => return Ok(()),
        _ if is_view => (format!("{name} is a view"), "Name the table that is to be written.".to_owned()),
        _ => (
            format!("table {name} is of the engine {engine}, which knows no transactions"),
            format!("Rows and checkpoint are stored together or not at all; type: ALTER TABLE {name} ENGINE = InnoDB;"),
        ),
    };
    Err(Fault::halt(Code::Database, Blame::Config, message).help(format!("Nothing was written. {help}")).into())
}

fn column(row: &[Value], is_json: impl Fn(&str) -> bool) -> Column {
    let text = |at: usize| match row.get(at) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let number = |at: usize| match row.get(at) {
        Some(Value::Integer(number)) => u64::try_from(*number).ok(),
        _ => None,
    };
    let is = |at| number(at) == Some(1);
    let (name, base) = (text(0), text(1).to_lowercase());
    Column {
        is_json: base == "json" || is_json(&name),
        name,
        base,
        declared: text(2),
        is_nullable: is(3),
        is_generated: is(4),
        is_plain: is(5) && text(6).is_empty() && is(7),
        bytes_max: number(8),
        scale: number(9),
        fraction: number(10),
    }
    .only_its_own()
}

impl Column {
    /// Integers have a scale of 0 in the server's own tables, which says nothing.
    fn only_its_own(self) -> Self {
        let is_scaled = matches!(self.base.as_str(), "decimal" | "float" | "double");
        Self { scale: self.scale.filter(|_| is_scaled), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target { table: "a`b".to_owned(), key: vec!["id".to_owned()], declared: BTreeMap::new() }
    }

    fn fields(of: &[(&str, Kind)]) -> Vec<(String, Kinds)> {
        of.iter().map(|(name, kind)| ((*name).to_owned(), Kinds::of(&[*kind]))).collect()
    }

    fn sql(columns: &[Column], of: &[(&str, Kind)]) -> Option<String> {
        let target = target();
        target.change_sql(columns, &target.changes(columns, &fields(of)).unwrap(), "utf8mb4_0900_bin")
    }

    fn column(name: &str, declared: &str) -> Column {
        let base = declared.split(['(', ' ']).next().unwrap_or_default().to_owned();
        let (name, declared) = (name.to_owned(), declared.to_owned());
        Column { name, base, declared, is_nullable: true, is_plain: true, ..Column::default() }
    }

    #[test]
    fn the_key_is_not_null_and_primary_and_names_are_quoted() {
        assert_eq!(
            sql(&[], &[("id", Kind::Text), ("x`; --", Kind::Json), ("n", Kind::Null), ("v", Kind::Text)]).unwrap(),
            "CREATE TABLE `a``b` (`id` VARCHAR(255) NOT NULL, `x``; --` JSON, `v` LONGTEXT, PRIMARY KEY (`id`)) ENGINE = InnoDB \
             DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"
        );
        assert_eq!(sql(&[], &[("id", Kind::Null), ("v", Kind::Text)]), None);
    }

    #[test]
    fn new_fields_and_wider_numbers_alter_the_table_at_once() {
        let columns = [column("id", "bigint(20)"), column("sum", "bigint(20)"), column("n", "bigint(20) unsigned")];
        let changed = sql(&columns, &[("sum", Kind::Decimal), ("new", Kind::Boolean), ("n", Kind::Decimal)]);
        assert_eq!(
            changed.as_deref(),
            Some("ALTER TABLE `a``b` MODIFY COLUMN `sum` DECIMAL(65,30) NULL, ADD COLUMN `new` BOOLEAN NULL")
        );
        assert_eq!(sql(&columns, &[("id", Kind::Decimal)]), None, "a key stays as it is");
        assert_eq!(sql(&columns, &[("id", Kind::Integer)]), None);
    }

    #[test]
    fn fields_that_no_column_can_take_are_conflicts() {
        let generated = Column { is_generated: true, ..column("g", "int") };
        for (columns, name) in [(vec![generated], "g"), (vec![column("v", "int")], "V"), (vec![], "")] {
            let fault = target().changes(&columns, &fields(&[(name, Kind::Integer)])).unwrap_err();
            assert_eq!(fault.code, Code::ColumnConflict);
        }
        assert!(target().changes(&[], &fields(&[("é", Kind::Text), ("É", Kind::Text)])).is_err());
    }
}
