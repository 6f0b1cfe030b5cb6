//! The UTF-8 grammar of matchers: names and values are bare words or Go string literals.

use super::{BadMatcher, MatchOp, Matcher, Matchers, is_reserved};
use crate::quote::{is_space, unquoted};

const NAME: &str = "expected label name";
const OPERATOR: &str = "expected an operator such as '=', '!=', '=~' or '!~'";
const VALUE: &str = "expected label value";
const COMMA: &str = "expected a comma or close brace";
const AFTER_COMMA: &str = "expected a matcher or close brace after comma";

/// Reads exactly one matcher.
pub(super) fn matcher(text: &str) -> Result<Matcher, BadMatcher> {
    let mut matchers = matchers(text)?.0;
    match (matchers.pop(), matchers.len()) {
        (Some(matcher), 0) => Ok(matcher),
        (None, _) => Err(BadMatcher::None),
        (Some(_), before) => Err(BadMatcher::Many(before + 1)),
    }
}

/// Reads a list, with or without braces.
pub(super) fn matchers(text: &str) -> Result<Matchers, BadMatcher> {
    let mut parser = Parser { lexer: Lexer { text, at: 0, column: 0 } };
    parser.list()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Close,
    Comma,
    Operator(MatchOp),
    Quoted,
    Bare,
}

/// A token; columns count runes from 0.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    start: usize,
    end: usize,
}

/// What the lexer cannot read, without what was expected there.
struct Unreadable(String);

impl Unreadable {
    fn but(self, expected: &str) -> BadMatcher {
        BadMatcher::Syntax(format!("{}: {expected}", self.0))
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
}

impl<'a> Parser<'a> {
    fn list(&mut self) -> Result<Matchers, BadMatcher> {
        let mut matchers = Vec::new();
        let first = self.peek(NAME)?;
        let braced = first.is_some_and(|token| token.kind == Kind::Open);
        if braced {
            self.take(NAME)?;
        }
        if !self.at_end(NAME)? {
            self.some(&mut matchers)?;
        }
        self.close(braced)?;
        Ok(Matchers(matchers))
    }

    /// One matcher or more, up to the closing brace or the end.
    fn some(&mut self, matchers: &mut Vec<Matcher>) -> Result<(), BadMatcher> {
        loop {
            matchers.push(self.one()?);
            if self.at_end(COMMA)? {
                return Ok(());
            }
            self.expect(COMMA, |kind| kind == Kind::Comma)?;
            match self.peek(AFTER_COMMA)? {
                None => return Ok(()),
                Some(token) => match token.kind {
                    Kind::Close => return Ok(()),
                    Kind::Quoted | Kind::Bare => {}
                    _ => return Err(unexpected(&token, AFTER_COMMA)),
                },
            }
        }
    }

    fn one(&mut self) -> Result<Matcher, BadMatcher> {
        let is_text = |kind| matches!(kind, Kind::Quoted | Kind::Bare);
        let name = text_of(&self.expect(NAME, is_text)?)?;
        let operator = self.expect(OPERATOR, |kind| matches!(kind, Kind::Operator(_)))?;
        let value = text_of(&self.expect(VALUE, is_text)?)?;
        let Kind::Operator(op) = operator.kind else { return Err(unexpected(&operator, OPERATOR)) };
        Matcher::new(name, op, value).map_err(BadMatcher::Create)
    }

    fn close(&mut self, braced: bool) -> Result<(), BadMatcher> {
        let close = self.take(COMMA)?;
        match (braced, close) {
            (true, None) => {
                let end = self.lexer.column;
                Err(BadMatcher::Syntax(format!("0:{end}: end of input: expected close brace")))
            }
            (false, Some(_)) => {
                let end = self.lexer.column;
                Err(BadMatcher::Syntax(format!("0:{end}: }}: expected opening brace")))
            }
            (false, None) => Ok(()),
            (true, Some(_)) => match self.take("expected end of input")? {
                None => Ok(()),
                Some(token) => Err(BadMatcher::Syntax(format!(
                    "{}:{}: {}: expected end of input",
                    token.start, token.end, token.text
                ))),
            },
        }
    }

    /// Whether the closing brace or the end of the text comes next.
    fn at_end(&mut self, expected: &str) -> Result<bool, BadMatcher> {
        Ok(self.peek(expected)?.is_none_or(|token| token.kind == Kind::Close))
    }

    fn expect(
        &mut self,
        expected: &str,
        wanted: impl Fn(Kind) -> bool,
    ) -> Result<Token<'a>, BadMatcher> {
        match self.take(expected)? {
            None => Err(BadMatcher::Syntax(format!("end of input: {expected}"))),
            Some(token) if wanted(token.kind) => Ok(token),
            Some(token) => Err(unexpected(&token, expected)),
        }
    }

    fn peek(&mut self, expected: &str) -> Result<Option<Token<'a>>, BadMatcher> {
        let mut ahead = self.lexer.clone();
        ahead.token().map_err(|unreadable| unreadable.but(expected))
    }

    fn take(&mut self, expected: &str) -> Result<Option<Token<'a>>, BadMatcher> {
        self.lexer.token().map_err(|unreadable| unreadable.but(expected))
    }
}

fn unexpected(token: &Token<'_>, expected: &str) -> BadMatcher {
    BadMatcher::Syntax(format!(
        "{}:{}: unexpected {}: {expected}",
        token.start, token.end, token.text
    ))
}

fn text_of(token: &Token<'_>) -> Result<String, BadMatcher> {
    if token.kind == Kind::Bare {
        return Ok(token.text.to_owned());
    }
    unquoted(token.text).ok_or_else(|| {
        let Token { text, start, end, .. } = token;
        BadMatcher::Syntax(format!("{start}:{end}: {text}: invalid input"))
    })
}

#[derive(Clone)]
struct Lexer<'a> {
    text: &'a str,
    at: usize,
    column: usize,
}

impl<'a> Lexer<'a> {
    /// The next token, or none at the end.
    fn token(&mut self) -> Result<Option<Token<'a>>, Unreadable> {
        while self.peek().is_some_and(is_space) {
            self.step();
        }
        let (from, start) = (self.at, self.column);
        let Some(first) = self.step() else { return Ok(None) };
        let kind = match first {
            '{' => Kind::Open,
            '}' => Kind::Close,
            ',' => Kind::Comma,
            '=' if self.step_over('~') => Kind::Operator(MatchOp::Regex),
            '=' => Kind::Operator(MatchOp::Equal),
            '!' => self.negated(start)?,
            '"' => self.quoted(from, start)?,
            rune if is_reserved(rune) => {
                return Err(Unreadable(format!("{start}:{}: {rune}: invalid input", self.column)));
            }
            _ => {
                while self.peek().is_some_and(|rune| !is_reserved(rune)) {
                    self.step();
                }
                Kind::Bare
            }
        };
        Ok(Some(Token { kind, text: &self.text[from..self.at], start, end: self.column }))
    }

    fn negated(&mut self, start: usize) -> Result<Kind, Unreadable> {
        if self.step_over('=') {
            return Ok(Kind::Operator(MatchOp::NotEqual));
        }
        if self.step_over('~') {
            return Ok(Kind::Operator(MatchOp::NotRegex));
        }
        let end = self.column;
        Err(Unreadable(match self.peek() {
            Some(_) => format!("{start}:{end}: !: expected one of '=~'"),
            None => format!("{start}:{end}: unexpected end of input, expected one of '=~'"),
        }))
    }

    fn quoted(&mut self, from: usize, start: usize) -> Result<Kind, Unreadable> {
        let mut escaped = false;
        while let Some(rune) = self.step() {
            if rune == '"' && !escaped {
                return Ok(Kind::Quoted);
            }
            escaped = rune == '\\' && !escaped;
        }
        let text = &self.text[from..];
        Err(Unreadable(format!("{start}:{}: {text}: missing end \"", self.column)))
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn step(&mut self) -> Option<char> {
        let rune = self.peek()?;
        self.at += rune.len_utf8();
        self.column += 1;
        Some(rune)
    }

    fn step_over(&mut self, wanted: char) -> bool {
        let over = self.peek() == Some(wanted);
        if over {
            self.step();
        }
        over
    }
}
