//! Listings as aligned columns, without lines that get in the way of `grep` and `awk`.

use comfy_table::{CellAlignment, Table, presets};

use super::output::{Output, Paint};

/// A column: its title, and whether it holds numbers.
#[derive(Clone, Copy)]
pub struct Column(pub &'static str, pub bool);

/// Writes rows under their titles; a sentence instead where there are none.
pub fn print(output: &Output, columns: &[Column], rows: Vec<Vec<String>>, none: &str) {
    if rows.is_empty() {
        return output.note(none);
    }
    for (at, line) in lines(columns, rows).into_iter().enumerate() {
        match at {
            0 => output.line(Paint(output.color_stdout).bold(line)),
            _ => output.line(line),
        }
    }
}

fn lines(columns: &[Column], rows: Vec<Vec<String>>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(columns.iter().map(|column| column.0)).add_rows(rows);
    for (at, column) in columns.iter().enumerate() {
        if let Some(shown) = table.column_mut(at) {
            let left = if at == 0 { 0 } else { 1 };
            shown.set_padding((left, 1));
            if column.1 {
                shown.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_alphabet_they_are_written_in() {
        let row = |name: &str, n: &str| vec![name.to_owned(), n.to_owned()];
        let shown = lines(&[Column("name", false), Column("read", true)], vec![row("顧客", "7"), row("leads", "1200")]);
        assert_eq!(shown, ["name   read", "顧客      7", "leads  1200"]);
    }
}
