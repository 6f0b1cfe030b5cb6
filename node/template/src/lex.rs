//! From source text to tokens, one at a time.
//!
//! Follows the rules of Go's `text/template/parse` lexer: blanks inside an action are tokens,
//! trim markers are resolved here, and a mistake is a token of its own.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Error,
    Bool,
    /// A printable ASCII character without a meaning of its own, such as a comma.
    Char,
    CharConstant,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Dot,
    Nil,
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

/// A piece of the source: `text` is the source itself, except for an error, where it is the message.
#[derive(Clone, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    /// Offset in bytes.
    pub(crate) pos: usize,
    pub(crate) line: usize,
    pub(crate) text: std::borrow::Cow<'a, str>,
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";

/// A keyword or punctuation that is shown as `<x>` in messages.
fn is_keyword(kind: Kind) -> bool {
    use Kind::{Block, Break, Continue, Define, Dot, Else, End, If, Nil, Range, Template, With};
    matches!(
        kind,
        Dot | Nil | Block | Break | Continue | Define | Else | End | If | Range | Template | With
    )
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::Eof => f.write_str("EOF"),
            Kind::Error => f.write_str(&self.text),
            kind if is_keyword(kind) => write!(f, "<{}>", self.text),
            _ if self.text.len() > 10 => {
                let head: String = self.text.chars().take(10).collect();
                write!(f, "{}...", crate::quote::go(&head))
            }
            _ => f.write_str(&crate::quote::go(&self.text)),
        }
    }
}

enum State {
    Text,
    LeftDelim,
    Inside,
    Done,
}

/// The tokens of one source text; after the last one it gives [`Kind::Eof`] for ever.
pub(crate) struct Lexer<'a> {
    input: &'a str,
    /// Where the token in work begins, and its line.
    start: usize,
    start_line: usize,
    pos: usize,
    line: usize,
    parens: usize,
    state: State,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(input: &'a str) -> Self {
        Self { input, start: 0, start_line: 1, pos: 0, line: 1, parens: 0, state: State::Text }
    }

    pub(crate) fn next_token(&mut self) -> Token<'a> {
        loop {
            let token = match self.state {
                State::Text => self.text(),
                State::LeftDelim => self.left_delim(),
                State::Inside => Some(self.inside()),
                State::Done => Some(self.token(Kind::Eof)),
            };
            if let Some(token) = token {
                return token;
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.input[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.pos += next.len_utf8();
        if next == '\n' {
            self.line += 1;
        }
        Some(next)
    }

    /// Goes on by whole text, counting its lines.
    fn skip(&mut self, bytes: usize) {
        self.line += self.rest()[..bytes].matches('\n').count();
        self.pos += bytes;
    }

    fn token(&mut self, kind: Kind) -> Token<'a> {
        let token = Token {
            kind,
            pos: self.start,
            line: self.start_line,
            text: self.input[self.start..self.pos].into(),
        };
        self.ignore();
        token
    }

    fn ignore(&mut self) {
        self.start = self.pos;
        self.start_line = self.line;
    }

    fn error(&mut self, message: impl Into<String>) -> Token<'a> {
        let token = Token {
            kind: Kind::Error,
            pos: self.start,
            line: self.start_line,
            text: message.into().into(),
        };
        self.pos = self.input.len();
        self.start = self.pos;
        self.state = State::Done;
        token
    }

    fn text(&mut self) -> Option<Token<'a>> {
        let Some(found) = self.rest().find(LEFT) else {
            self.state = State::Done;
            self.skip(self.rest().len());
            return (self.pos > self.start).then(|| self.token(Kind::Text));
        };
        self.state = State::LeftDelim;
        let text = &self.rest()[..found];
        let kept = match trims_left(&self.rest()[found + LEFT.len()..]) {
            true => text.trim_end_matches(is_space).len(),
            false => found,
        };
        self.skip(kept);
        let token = (kept > 0).then(|| self.token(Kind::Text));
        self.skip(found - kept);
        self.ignore();
        token
    }

    /// The left delimiter, or a whole comment, which gives no token.
    fn left_delim(&mut self) -> Option<Token<'a>> {
        self.pos += LEFT.len();
        let marker = if trims_left(self.rest()) { 2 } else { 0 };
        if self.rest()[marker..].starts_with("/*") {
            self.skip(marker);
            self.ignore();
            return self.comment();
        }
        let token = self.token(Kind::LeftDelim);
        self.skip(marker);
        self.ignore();
        self.parens = 0;
        self.state = State::Inside;
        Some(token)
    }

    fn comment(&mut self) -> Option<Token<'a>> {
        self.pos += 2;
        let Some(found) = self.rest().find("*/") else {
            return Some(self.error("unclosed comment"));
        };
        self.skip(found + 2);
        if !self.at_right_delim() {
            return Some(self.error("comment ends before closing delimiter"));
        }
        self.right_delim();
        None
    }

    fn at_right_delim(&self) -> bool {
        self.rest().starts_with(RIGHT) || trims_right(self.rest())
    }

    fn right_delim(&mut self) -> Token<'a> {
        let trim = trims_right(self.rest());
        if trim {
            self.skip(2);
            self.ignore();
        }
        self.pos += RIGHT.len();
        let token = self.token(Kind::RightDelim);
        if trim {
            let rest = self.rest();
            self.skip(rest.len() - rest.trim_start_matches(is_space).len());
            self.ignore();
        }
        self.state = State::Text;
        token
    }

    fn inside(&mut self) -> Token<'a> {
        if self.at_right_delim() {
            if self.parens == 0 {
                return self.right_delim();
            }
            return self.error("unclosed left paren");
        }
        let Some(next) = self.bump() else {
            return self.error("unclosed action");
        };
        match next {
            _ if is_space(next) => self.space(),
            '=' => self.token(Kind::Assign),
            ':' if self.peek() == Some('=') => {
                self.bump();
                self.token(Kind::Declare)
            }
            ':' => self.error("expected :="),
            '|' => self.token(Kind::Pipe),
            '"' => self.quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => self.raw_string(),
            '$' => self.field_or_variable(Kind::Variable),
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                self.field_or_variable(Kind::Field)
            }
            '.' | '+' | '-' | '0'..='9' => self.number(next),
            _ if is_alphanumeric(next) => self.identifier(),
            '(' => {
                self.parens += 1;
                self.token(Kind::LeftParen)
            }
            ')' if self.parens == 0 => self.error("unexpected right paren"),
            ')' => {
                self.parens -= 1;
                self.token(Kind::RightParen)
            }
            ' '..='~' => self.token(Kind::Char),
            _ => self.error(format!("unrecognized character in action: {}", code_point(next))),
        }
    }

    /// A run of blanks, of which the last belongs to a closing delimiter with a trim marker.
    fn space(&mut self) -> Token<'a> {
        while !trims_right(&self.input[self.pos - 1..]) {
            match self.peek() {
                Some(next) if is_space(next) => self.bump(),
                _ => return self.token(Kind::Space),
            };
        }
        // All blanks are one byte long.
        self.pos -= 1;
        if self.input.as_bytes()[self.pos] == b'\n' {
            self.line -= 1;
        }
        if self.pos == self.start { self.right_delim() } else { self.token(Kind::Space) }
    }

    fn identifier(&mut self) -> Token<'a> {
        self.eat_word();
        if let Some(bad) = self.bad_end() {
            return self.error(format!("bad character {}", code_point(bad)));
        }
        let kind = match &self.input[self.start..self.pos] {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            "block" => Kind::Block,
            "break" => Kind::Break,
            "continue" => Kind::Continue,
            "define" => Kind::Define,
            "else" => Kind::Else,
            "end" => Kind::End,
            "if" => Kind::If,
            "range" => Kind::Range,
            "template" => Kind::Template,
            "with" => Kind::With,
            _ => Kind::Identifier,
        };
        self.token(kind)
    }

    fn field_or_variable(&mut self, kind: Kind) -> Token<'a> {
        if self.at_terminator() {
            return self.token(if kind == Kind::Field { Kind::Dot } else { kind });
        }
        self.eat_word();
        match self.bad_end() {
            Some(bad) => self.error(format!("bad character {}", code_point(bad))),
            None => self.token(kind),
        }
    }

    fn eat_word(&mut self) {
        while self.peek().is_some_and(is_alphanumeric) {
            self.bump();
        }
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(next) => is_space(next) || self.rest().starts_with(RIGHT),
        }
    }

    fn bad_end(&self) -> Option<char> {
        if self.at_terminator() { None } else { self.peek() }
    }

    fn quoted(&mut self, end: char, kind: Kind, unterminated: &str) -> Token<'a> {
        loop {
            match self.bump() {
                Some('\\') => match self.bump() {
                    None | Some('\n') => return self.error(unterminated),
                    Some(_) => {}
                },
                None | Some('\n') => return self.error(unterminated),
                Some(next) if next == end => return self.token(kind),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self) -> Token<'a> {
        match self.rest().find('`') {
            Some(found) => {
                self.skip(found + 1);
                self.token(Kind::RawString)
            }
            None => self.error("unterminated raw quoted string"),
        }
    }

    /// Scans loosely, as Go does; the parser judges the number.
    fn number(&mut self, first: char) -> Token<'a> {
        self.pos -= first.len_utf8();
        let good = self.scan_number();
        let complex = good && matches!(self.peek(), Some('+' | '-'));
        let good = if complex { self.scan_number() } else { good };
        if !good || (complex && !self.input[..self.pos].ends_with('i')) {
            let text = &self.input[self.start..self.pos];
            return self.error(format!("bad number syntax: {}", crate::quote::go(text)));
        }
        self.token(Kind::Number)
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        let mut hex = false;
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
                hex = true;
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        if digits.len() == 11 && self.accept("eE") || hex && self.accept("pP") {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.bump();
            return false;
        }
        true
    }

    fn accept(&mut self, valid: &str) -> bool {
        let found = self.peek().is_some_and(|next| valid.contains(next));
        if found {
            self.bump();
        }
        found
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }
}

fn trims_left(after_delim: &str) -> bool {
    let mut chars = after_delim.chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_space)
}

fn trims_right(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(is_space)
        && chars.next() == Some('-')
        && chars.as_str().starts_with(RIGHT)
}

pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// As Go's `%#U`: `U+0023 '#'`.
fn code_point(c: char) -> String {
    if crate::quote::is_printable(c) {
        format!("U+{:04X} '{c}'", u32::from(c))
    } else {
        format!("U+{:04X}", u32::from(c))
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Lexer};

    #[track_caller]
    fn check(input: &str, expected: &str) {
        let mut lexer = Lexer::new(input);
        let mut found = Vec::new();
        loop {
            let token = lexer.next_token();
            match token.kind {
                Kind::Eof => break,
                Kind::Space => {}
                Kind::Error => {
                    found.push(format!("!{}", token.text));
                    break;
                }
                _ => found.push(token.text.into_owned()),
            }
        }
        assert_eq!(found.join("~"), expected);
    }

    #[test]
    fn trim_markers_take_the_blanks_around() {
        check("a  {{- 3 -}}  b", "a~{{~3~}}~b");
        check("a {{-3}} b", "a ~{{~-3~}}~ b");
        check("a {{- /* c */ -}} b", "a~b");
        check("{{ x   -}} b", "{{~x~}}~b");
    }

    #[test]
    fn chains_are_cut_at_dots() {
        check("{{ $x.A.B | f }}", "{{~$x~.A~.B~|~f~}}");
    }

    #[test]
    fn mistakes_are_tokens() {
        check("{{ /* c */ }}", "{{~/~*~c~*~/~}}");
        check("{{/* c */ }}", "!comment ends before closing delimiter");
        check("{{ \"a\n\" }}", "{{~!unterminated quoted string");
        check("{{ $x+2 }}", "{{~!bad character U+002B '+'");
        check("{{ (1 }}", "{{~(~1~!unclosed left paren");
        check("{{ 1", "{{~1~!unclosed action");
        check("{{ 12a }}", "{{~!bad number syntax: \"12a\"");
    }
}
