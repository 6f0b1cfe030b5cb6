//! Columns as wide as their longest cell, byte for byte as Go's `text/tabwriter` aligns them for amtool:
//! two blanks behind each cell, the last one too. Knows nothing of what is in the cells.

use std::fmt::Write as _;

const PADDING: usize = 2;

/// How a cell looks on a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Style {
    /// As everything else.
    #[default]
    Plain,
    /// A heading.
    Bold,
    /// It wants to be looked at.
    Red,
    /// It is quiet for now.
    Yellow,
    /// It is over, or not yet begun.
    Dim,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Red => "\x1b[31m",
            Self::Yellow => "\x1b[33m",
            Self::Dim => "\x1b[2m",
        }
    }
}

/// Rows of cells; a cell with a line feed or a tab in it breaks its row, as it does upstream.
#[derive(Debug, Default)]
pub(super) struct Table {
    lines: Vec<Vec<(String, Style)>>,
}

impl Table {
    /// A table that begins with these headings.
    pub(super) fn new(head: &[&str]) -> Self {
        let mut table = Self::default();
        table.row(head.iter().map(|cell| ((*cell).to_owned(), Style::Bold)));
        table
    }

    /// Adds a last heading, one without blanks behind it.
    pub(super) fn end_head(&mut self, text: &str) {
        if let Some((cell, style)) = self.lines.first_mut().and_then(|line| line.last_mut()) {
            text.clone_into(cell);
            *style = Style::Bold;
        }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = (String, Style)>) {
        let mut line = Vec::new();
        for (text, style) in cells {
            let mut rows = text.split('\n').peekable();
            while let Some(row) = rows.next() {
                let mut pieces = row.split('\t').peekable();
                while let Some(piece) = pieces.next() {
                    // What stands before a line feed is a text behind the last column, not a cell.
                    let ends = pieces.peek().is_none() && rows.peek().is_some();
                    line.push((piece.to_owned(), style));
                    if ends {
                        self.lines.push(std::mem::take(&mut line));
                    }
                }
            }
        }
        line.push((String::new(), Style::Plain));
        self.lines.push(line);
    }

    /// The text, with or without colours.
    pub(super) fn text(&self, colour: bool) -> String {
        let mut text = String::new();
        let mut widths = Vec::new();
        self.block(0..self.lines.len(), &mut widths, colour, &mut text);
        text
    }

    /// Writes lines whose first `widths.len()` columns are decided. A column reaches as far as lines have a cell in it.
    fn block(
        &self,
        lines: std::ops::Range<usize>,
        widths: &mut Vec<usize>,
        colour: bool,
        text: &mut String,
    ) {
        let column = widths.len();
        let (mut from, mut at) = (lines.start, lines.start);
        while at < lines.end {
            if column + 1 >= self.lines[at].len() {
                at += 1;
                continue;
            }
            self.write(from..at, widths, colour, text);
            from = at;
            let mut width = 0;
            while at < lines.end && column + 1 < self.lines[at].len() {
                width = width.max(self.lines[at][column].0.chars().count() + PADDING);
                at += 1;
            }
            widths.push(width);
            self.block(from..at, widths, colour, text);
            widths.pop();
            from = at;
        }
        self.write(from..lines.end, widths, colour, text);
    }

    fn write(
        &self,
        lines: std::ops::Range<usize>,
        widths: &[usize],
        colour: bool,
        text: &mut String,
    ) {
        for line in &self.lines[lines] {
            for (at, (cell, style)) in line.iter().enumerate() {
                let code = if colour && !cell.is_empty() { style.code() } else { "" };
                let end = if code.is_empty() { "" } else { "\x1b[0m" };
                let width = widths.get(at).copied().unwrap_or(0);
                let blanks = width.saturating_sub(cell.chars().count());
                let _ = write!(text, "{code}{cell}{end}{:blanks$}", ""); // A String takes everything.
            }
            text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[&[&str]]) -> String {
        let mut table = Table::new(rows[0]);
        for row in &rows[1..] {
            table.row(row.iter().map(|cell| ((*cell).to_owned(), Style::Plain)));
        }
        table.text(false)
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell_and_two_blanks() {
        let rows: &[&[&str]] = &[&["ID", "State"], &["12345", "ü"], &["1", ""]];
        assert_eq!(table(rows), "ID     State  \n12345  ü      \n1             \n");
        assert_eq!(table(&[&["ID", "State"]]), "ID  State  \n");
    }

    /// As amtool 0.25 shows a silence whose comment is `a` and `bbb`, on two lines.
    #[test]
    fn line_feed_in_a_cell_breaks_the_columns() {
        let rows: &[&[&str]] = &[&["ID", "Comment"], &["1", "a\nbbb"], &["22", "c"]];
        assert_eq!(table(rows), "ID   Comment  \n1    a\nbbb  \n22   c  \n");
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let mut table = Table::new(&["A"]);
        table.row([("bbb".to_owned(), Style::Red)]);
        assert_eq!(table.text(true), "\x1b[1mA\x1b[0m    \n\x1b[31mbbb\x1b[0m  \n");
    }
}
