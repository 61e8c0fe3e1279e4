//! The tables of `list`: a row for each thing, a column for each property.

use std::io::{self, Write};

/// A column.
#[derive(Clone, Debug)]
pub(crate) struct ListColumn {
    /// Its header.
    pub(crate) header: String,
    /// Its width, in characters.
    pub(crate) width: usize,
    /// Whether it is aligned to the right.
    pub(crate) right_aligned: bool,
}

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct ListTable {
    /// Its columns.
    pub(crate) columns: Vec<ListColumn>,
    /// For scripts: no headers, and tabs between columns.
    pub(crate) scripted: bool,
}

impl ListTable {
    /// Prints the headers, where the table is for people.
    pub(crate) fn header(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.scripted {
            return Ok(());
        }
        self.row(
            out,
            &self
                .columns
                .iter()
                .map(|column| column.header.clone())
                .collect::<Vec<_>>(),
        )
    }

    /// Prints a row.
    pub(crate) fn row(&self, out: &mut dyn Write, cells: &[String]) -> io::Result<()> {
        let last = self.columns.len().saturating_sub(1);
        for (index, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            let separator = match (index, self.scripted) {
                (0, _) => "",
                (_, true) => "\t",
                (_, false) => "  ",
            };
            let width = column.width;
            if self.scripted || (index == last && !column.right_aligned) {
                write!(out, "{separator}{cell}")?;
            } else if column.right_aligned {
                write!(out, "{separator}{cell:>width$}")?;
            } else {
                write!(out, "{separator}{cell:<width$}")?;
            }
        }
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(scripted: bool) -> ListTable {
        let column = |header: &str, width, right_aligned| ListColumn {
            header: header.to_owned(),
            width,
            right_aligned,
        };
        ListTable {
            columns: vec![
                column("NAME", 6, false),
                column("USED", 5, true),
                column("MOUNTPOINT", 10, false),
            ],
            scripted,
        }
    }

    #[test]
    fn the_last_column_has_no_blanks_behind() {
        let mut out = Vec::new();
        table(false).header(&mut out).unwrap();
        table(false)
            .row(&mut out, &["a", "1K", "/"].map(str::to_owned))
            .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "NAME     USED  MOUNTPOINT\na          1K  /\n"
        );
    }

    #[test]
    fn scripts_get_tabs() {
        let mut out = Vec::new();
        table(true).header(&mut out).unwrap();
        table(true)
            .row(&mut out, &["a", "1024", "/"].map(str::to_owned))
            .unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\t1024\t/\n");
    }
}
