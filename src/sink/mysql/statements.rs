//! The statements of one table, by the columns that are written.

use super::value::Column;
use crate::database::mysql::quoted;

/// Rows of one statement.
const ROWS_MAX: usize = 500;
/// Values of one statement: the protocol counts them with 16 bits.
const VALUES_MAX: usize = 60_000;

/// How many rows of this many values go into one statement.
pub fn rows_at_once(width: usize) -> usize {
    (VALUES_MAX / width.max(1)).clamp(1, ROWS_MAX)
}

pub struct Statements {
    table: String,
    /// Columns that are written, the key's first.
    columns: String,
    key: String,
    /// What stands for a key that is compared.
    key_marks: String,
    /// `(?, ?)` for a row.
    row: String,
    update: Option<String>,
}

impl Statements {
    /// `keys`: how many of the columns are the key.
    pub fn new(table: &str, written: &[&Column], keys: usize) -> Self {
        let (key, rest) = written.split_at(keys.min(written.len()));
        let table = quoted(table);
        let names = |columns: &[&Column]| list(columns.iter().map(|column| quoted(&column.name)), ", ");
        let set = list(rest.iter().map(|column| format!("{} = ?", quoted(&column.name))), ", ");
        let of_key = list(key.iter().map(|column| format!("{} = {}", quoted(&column.name), column.mark())), " AND ");
        Self {
            columns: names(written),
            key: names(key),
            key_marks: list(key.iter().map(|column| column.mark()), ", "),
            row: format!("({})", vec!["?"; written.len()].join(", ")),
            update: (!rest.is_empty()).then(|| format!("UPDATE {table} SET {set} WHERE {of_key}")),
            table,
        }
    }

    /// Finds and locks the rows of this many keys.
    pub fn look_up(&self, rows: usize) -> String {
        let Self { table, columns, key, key_marks, .. } = self;
        let keys = vec![format!("({key_marks})"); rows].join(", ");
        format!("SELECT {columns} FROM {table} WHERE ({key}) IN ({keys}) FOR UPDATE")
    }

    /// Finds and locks the row of one key, and gives its key.
    pub fn look_up_key(&self) -> String {
        let Self { table, key, key_marks, .. } = self;
        format!("SELECT {key} FROM {table} WHERE ({key}) = ({key_marks}) FOR UPDATE")
    }

    pub fn insert(&self, rows: usize) -> String {
        let Self { table, columns, row, .. } = self;
        format!("INSERT INTO {table} ({columns}) VALUES {}", vec![row.as_str(); rows].join(", "))
    }

    /// Sets the other columns by the key, which comes last. Nothing: there are no others.
    pub fn update(&self) -> Option<&str> {
        self.update.as_deref()
    }
}

fn list(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_take_many_rows_and_name_everything_in_quotes() {
        let column = |name: &str, base: &str, scale| Column {
            name: name.to_owned(),
            base: base.to_owned(),
            scale,
            ..Column::default()
        };
        let (id, no, v) = (column("i`d", "varchar", None), column("no", "decimal", Some(2)), column("v", "text", None));
        let statements = Statements::new("leads", &[&id, &no, &v], 2);
        assert_eq!(
            statements.look_up(2),
            "SELECT `i``d`, `no`, `v` FROM `leads` WHERE (`i``d`, `no`) IN ((?, CAST(? AS DECIMAL(65,2))), (?, CAST(? AS \
             DECIMAL(65,2)))) FOR UPDATE"
        );
        assert_eq!(statements.insert(2), "INSERT INTO `leads` (`i``d`, `no`, `v`) VALUES (?, ?, ?), (?, ?, ?)");
        assert_eq!(
            statements.update(),
            Some("UPDATE `leads` SET `v` = ? WHERE `i``d` = ? AND `no` = CAST(? AS DECIMAL(65,2))")
        );
        assert_eq!(Statements::new("leads", &[&id], 1).update(), None);
        assert_eq!((rows_at_once(1), rows_at_once(600), rows_at_once(70_000)), (500, 100, 1));
    }
}
