//! Template text into tokens. Knows delimiters, trim markers, comments and literals; not what they mean together.

/// One token and the byte at which it starts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) text: String,
    pub(crate) at: usize,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Text,
    Open,
    Close,
    Space,
    Bool,
    Char,
    Number,
    Quoted,
    RawText,
    Field,
    Identifier,
    Keyword,
    Dot,
    Nil,
    Variable,
    Declare,
    Assign,
    Pipe,
    Comma,
    OpenParen,
    CloseParen,
    Eof,
}

/// Lexical trouble and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LexError {
    pub(crate) text: String,
    pub(crate) at: usize,
}

const KEYWORDS: [&str; 10] =
    ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// Takes the whole text apart.
pub(crate) fn lex(input: &str) -> Result<Vec<Token>, LexError> {
    let mut lexer = Lexer { input, at: 0, tokens: Vec::new(), parens: 0 };
    lexer.run()?;
    lexer.push(TokenKind::Eof, input.len(), "");
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    input: &'a str,
    at: usize,
    tokens: Vec<Token>,
    parens: usize,
}

impl Lexer<'_> {
    fn push(&mut self, kind: TokenKind, at: usize, text: &str) {
        self.tokens.push(Token { kind, text: text.to_owned(), at });
    }

    fn rest(&self) -> &str {
        &self.input[self.at..]
    }

    fn fail<T>(&self, text: impl Into<String>) -> Result<T, LexError> {
        Err(LexError { text: text.into(), at: self.at })
    }

    /// Text and actions in turn.
    fn run(&mut self) -> Result<(), LexError> {
        let mut trim = false;
        loop {
            let start = self.at;
            let rest = self.rest();
            let open = rest.find("{{");
            let mut text = &rest[..open.unwrap_or(rest.len())];
            let text_len = text.len();
            if trim {
                text = text.trim_start_matches(SPACES);
            }
            let text_at = start + text_len - text.len();
            let trims_left = open.is_some_and(|open| trims_left(&rest[open + 2..]));
            if trims_left {
                text = text.trim_end_matches(SPACES);
            }
            if !text.is_empty() {
                let text = text.to_owned();
                self.push(TokenKind::Text, text_at, &text);
            }
            self.at = start + text_len;
            if open.is_none() {
                return Ok(());
            }
            let open_at = self.at;
            self.at += 2 + if trims_left { 2 } else { 0 };
            if self.rest().starts_with("/*") {
                trim = self.comment()?;
                continue;
            }
            self.push(TokenKind::Open, open_at, "{{");
            self.parens = 0;
            trim = self.action()?;
        }
    }

    /// Past a comment; true when it trims what follows.
    fn comment(&mut self) -> Result<bool, LexError> {
        let Some(end) = self.rest().find("*/") else { return self.fail("unclosed comment") };
        self.at += end + 2;
        if self.rest().starts_with("}}") {
            self.at += 2;
            return Ok(false);
        }
        if let Some(len) = trims_right(self.rest()) {
            self.at += len;
            return Ok(true);
        }
        self.fail("comment ends before closing delimiter")
    }

    /// The inside of `{{ }}`; true when it trims what follows.
    fn action(&mut self) -> Result<bool, LexError> {
        loop {
            let start = self.at;
            let trimming = trims_right(self.rest());
            if self.rest().starts_with("}}") || trimming.is_some() {
                if self.parens > 0 {
                    return self.fail("unclosed left paren");
                }
                self.at += trimming.unwrap_or(2);
                self.push(TokenKind::Close, start, "}}");
                return Ok(trimming.is_some());
            }
            let Some(c) = self.rest().chars().next() else { return self.fail("unclosed action") };
            match c {
                c if SPACES.contains(&c) => self.space(),
                '=' => self.single(TokenKind::Assign),
                ':' if self.rest().starts_with(":=") => {
                    self.at += 2;
                    self.push(TokenKind::Declare, start, ":=");
                }
                ':' => return self.fail("expected :="),
                '|' => self.single(TokenKind::Pipe),
                ',' => self.single(TokenKind::Comma),
                '(' => {
                    self.parens += 1;
                    self.single(TokenKind::OpenParen);
                }
                ')' => {
                    let Some(parens) = self.parens.checked_sub(1) else {
                        return self.fail("unexpected right paren");
                    };
                    self.parens = parens;
                    self.single(TokenKind::CloseParen);
                }
                '"' => self.quoted('"', TokenKind::Quoted, "unterminated quoted string")?,
                '\'' => self.quoted('\'', TokenKind::Char, "unterminated character constant")?,
                '`' => self.raw()?,
                '$' => self.name(TokenKind::Variable)?,
                '.' if !self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    self.name(TokenKind::Field)?;
                }
                c if c == '+' || c == '-' || c == '.' || c.is_ascii_digit() => self.number()?,
                c if is_name(c) => self.name(TokenKind::Identifier)?,
                c => return self.fail(format!("unexpected {} in command", quoted_char(c))),
            }
        }
    }

    fn single(&mut self, kind: TokenKind) {
        let text = self.rest()[..1].to_owned();
        self.push(kind, self.at, &text);
        self.at += 1;
    }

    fn space(&mut self) {
        let start = self.at;
        let rest = self.rest();
        let mut len = rest.len() - rest.trim_start_matches(SPACES).len();
        // A trim marker owns the blank before it.
        if rest[len..].starts_with("-}}") {
            len -= 1;
        }
        if len > 0 {
            self.at += len;
            self.push(TokenKind::Space, start, " ");
        }
    }

    fn quoted(&mut self, quote: char, kind: TokenKind, open: &str) -> Result<(), LexError> {
        let mut escaped = false;
        for (i, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == quote => {
                    let text = self.rest()[..=i].to_owned();
                    self.push(kind, self.at, &text);
                    self.at += i + 1;
                    return Ok(());
                }
                _ => {}
            }
        }
        self.fail(open)
    }

    fn raw(&mut self) -> Result<(), LexError> {
        let Some(end) = self.rest()[1..].find('`') else {
            return self.fail("unterminated raw quoted string");
        };
        let text = self.rest()[..end + 2].to_owned();
        self.push(TokenKind::RawText, self.at, &text);
        self.at += end + 2;
        Ok(())
    }

    /// A field, variable, keyword, constant or function, which must end at a separator.
    fn name(&mut self, kind: TokenKind) -> Result<(), LexError> {
        let rest = self.rest();
        let sigil = usize::from(kind != TokenKind::Identifier);
        let len = sigil + rest[sigil..].find(|c: char| !is_name(c)).unwrap_or(rest.len() - sigil);
        if let Some(c) = rest[len..].chars().next()
            && !(SPACES.contains(&c) || ".,|:=()".contains(c) || rest[len..].starts_with("}}"))
        {
            return self.fail(format!("bad character {}", unicode_char(c)));
        }
        let text = rest[..len].to_owned();
        let kind = match (kind, text.as_str()) {
            (TokenKind::Field, ".") => TokenKind::Dot,
            (TokenKind::Identifier, "true" | "false") => TokenKind::Bool,
            (TokenKind::Identifier, "nil") => TokenKind::Nil,
            (TokenKind::Identifier, word) if KEYWORDS.contains(&word) => TokenKind::Keyword,
            (kind, _) => kind,
        };
        self.push(kind, self.at, &text);
        self.at += len;
        Ok(())
    }

    fn number(&mut self) -> Result<(), LexError> {
        let rest = self.rest();
        let mut len = usize::from(rest.starts_with(['+', '-']));
        let hexadecimal = rest[len..].starts_with("0x") || rest[len..].starts_with("0X");
        let mut previous = ' ';
        for c in rest[len..].chars() {
            let exponent = if hexadecimal { 'p' } else { 'e' };
            let sign_after_exponent =
                matches!(c, '+' | '-') && previous.eq_ignore_ascii_case(&exponent);
            if !(is_name(c) || c == '.' || sign_after_exponent) {
                break;
            }
            previous = c;
            len += c.len_utf8();
        }
        let text = rest[..len].to_owned();
        if crate::parse::number(&text).is_none() {
            return self.fail(format!("bad number syntax: {text:?}"));
        }
        self.push(TokenKind::Number, self.at, &text);
        self.at += len;
        Ok(())
    }
}

/// `- ` after an opening delimiter.
fn trims_left(rest: &str) -> bool {
    rest.starts_with('-') && rest[1..].starts_with(SPACES)
}

/// The length of ` -}}` at the start.
fn trims_right(rest: &str) -> Option<usize> {
    (rest.starts_with(SPACES) && rest[1..].starts_with("-}}")).then_some(4)
}

fn is_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Go's `%q` of one character in double quotes, as "unexpected" texts have it.
fn quoted_char(c: char) -> String {
    format!("{:?}", c.to_string())
}

/// Go's `%#U`: `U+0025 '%'`.
fn unicode_char(c: char) -> String {
    format!("U+{:04X} '{c}'", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expected: &[&str]) {
        let tokens = lex(input).unwrap();
        let texts: Vec<&str> = tokens
            .iter()
            .filter(|t| !matches!(t.kind, TokenKind::Space | TokenKind::Eof))
            .map(|t| t.text.as_str())
            .collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn trim_markers_eat_the_blanks_around() {
        check("a  {{- .B -}}\n c", &["a", "{{", ".B", "}}", "c"]);
        check("a {{-3}} b", &["a ", "{{", "-3", "}}", " b"]);
    }

    #[test]
    fn comments_vanish() {
        check("a {{/* x */}} b {{- /* y */ -}} c", &["a ", " b", "c"]);
    }

    #[test]
    fn delimiters_inside_strings_are_text() {
        check("{{ \"}}\" | f `{{` }}", &["{{", "\"}}\"", "|", "f", "`{{`", "}}"]);
    }

    #[test]
    fn trouble_is_named() {
        for (input, text) in [
            ("{{ \"a }}", "unterminated quoted string"),
            ("{{ .A", "unclosed action"),
            ("{{/* a }}", "unclosed comment"),
            ("{{ (.A }}", "unclosed left paren"),
            ("{{ .A) }}", "unexpected right paren"),
            ("{{ ? }}", "unexpected \"?\" in command"),
        ] {
            assert_eq!(lex(input).unwrap_err().text, text, "{input}");
        }
    }
}
