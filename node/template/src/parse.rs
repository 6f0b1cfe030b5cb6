//! Tokens into trees. Knows the grammar and which functions exist; evaluates nothing.

use std::sync::Arc;

use crate::lex::{Token, TokenKind, lex};
use crate::node::{Branch, Call, Command, Expr, ExprKind, Node, Pipe, Place};
use crate::value::Value;

/// One named template out of a text.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub(crate) name: Arc<str>,
    pub(crate) nodes: Vec<Node>,
}

impl Parsed {
    /// Whether it has nothing but white space, so that it must not replace another.
    pub(crate) fn is_blank(&self) -> bool {
        self.nodes.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
    }
}

/// A text that is no template; `Depth` is nesting deeper than asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ParseError {
    Wrong { line: usize, text: String },
    Depth,
}

/// The templates in `text`: those that it defines, and last the text itself under `name`.
pub(crate) fn parse(
    name: &str,
    text: &str,
    knows: &dyn Fn(&str) -> bool,
    depth_max: usize,
) -> Result<Vec<Parsed>> {
    let lines = Lines::of(text);
    let tokens =
        lex(text).map_err(|e| ParseError::Wrong { line: lines.place(e.at).line, text: e.text })?;
    let mut parser = Parser {
        tokens: &tokens,
        next: 0,
        lines,
        knows,
        variables: vec!["$".into()],
        ranges: 0,
        depth: 0,
        depth_max,
        defined: Vec::new(),
    };
    let nodes = parser.top()?;
    let mut defined = parser.defined;
    defined.push(Parsed { name: name.into(), nodes });
    Ok(defined)
}

/// Bytes to lines.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let mut starts = vec![0];
        starts.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1));
        Self { starts }
    }

    fn place(&self, at: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= at);
        Place { line, column: at - self.starts[line - 1] }
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    next: usize,
    lines: Lines,
    knows: &'a dyn Fn(&str) -> bool,
    variables: Vec<Arc<str>>,
    ranges: usize,
    depth: usize,
    depth_max: usize,
    defined: Vec<Parsed>,
}

/// How a list of nodes ended.
#[derive(PartialEq, Eq)]
enum End {
    End,
    Else,
}

type Result<T> = std::result::Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn token(&mut self) -> &'a Token {
        let token = &self.tokens[self.next];
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn peek(&self) -> &'a Token {
        &self.tokens[self.next]
    }

    fn skip_space(&mut self) {
        while self.peek().kind == TokenKind::Space {
            self.next += 1;
        }
    }

    fn token_after_space(&mut self) -> &'a Token {
        self.skip_space();
        self.token()
    }

    fn peek_after_space(&mut self) -> &'a Token {
        self.skip_space();
        self.peek()
    }

    fn fail<T>(&self, text: impl Into<String>) -> Result<T> {
        let at = self.tokens[self.next.saturating_sub(1)].at;
        Err(ParseError::Wrong { line: self.lines.place(at).line, text: text.into() })
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Result<T> {
        let what = match token.kind {
            TokenKind::Eof => return self.fail("unexpected EOF"),
            TokenKind::Keyword => format!("<{}>", token.text),
            TokenKind::Quoted | TokenKind::RawText | TokenKind::Text => {
                crate::printf::quoted(&token.text)
            }
            _ => crate::printf::quoted(&token.text),
        };
        self.fail(format!("unexpected {what} in {context}"))
    }

    fn deeper<T>(&mut self, then: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == self.depth_max {
            return Err(ParseError::Depth);
        }
        self.depth += 1;
        let done = then(self);
        self.depth -= 1;
        done
    }

    /// The text outside all definitions.
    fn top(&mut self) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            let token = self.token();
            match token.kind {
                TokenKind::Eof => return Ok(nodes),
                TokenKind::Text => nodes.push(Node::Text(token.text.as_str().into())),
                _ => {
                    let word = self.peek_after_space();
                    if word.kind == TokenKind::Keyword && word.text == "define" {
                        self.token();
                        self.define()?;
                        continue;
                    }
                    match self.action(token)? {
                        Step::Node(node) => nodes.push(node),
                        Step::End => return self.fail("unexpected {{end}}"),
                        Step::Else => return self.fail("unexpected {{else}}"),
                    }
                }
            }
        }
    }

    fn define(&mut self) -> Result<()> {
        let name = self.template_name("define clause")?;
        self.expect_close("define clause")?;
        let outer = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (nodes, end) = self.deeper(Self::list)?;
        if end == End::Else {
            return self.fail("unexpected {{else}} in define clause");
        }
        self.ranges = ranges;
        self.variables = outer;
        self.defined.push(Parsed { name, nodes });
        Ok(())
    }

    fn template_name(&mut self, context: &str) -> Result<Arc<str>> {
        let token = self.token_after_space();
        match token.kind {
            TokenKind::Quoted | TokenKind::RawText => match unquote(&token.text) {
                Some(name) => Ok(name.into()),
                None => self.fail("invalid syntax"),
            },
            _ => self.unexpected(token, context),
        }
    }

    fn expect_close(&mut self, context: &str) -> Result<()> {
        let token = self.token_after_space();
        if token.kind == TokenKind::Close { Ok(()) } else { self.unexpected(token, context) }
    }

    /// Nodes up to `{{end}}` or `{{else`.
    fn list(&mut self) -> Result<(Vec<Node>, End)> {
        let mut nodes = Vec::new();
        loop {
            let token = self.token();
            match token.kind {
                TokenKind::Eof => return self.fail("unexpected EOF"),
                TokenKind::Text => nodes.push(Node::Text(token.text.as_str().into())),
                _ => match self.action(token)? {
                    Step::Node(node) => nodes.push(node),
                    Step::End => return Ok((nodes, End::End)),
                    Step::Else => return Ok((nodes, End::Else)),
                },
            }
        }
    }

    /// What `{{` begins.
    fn action(&mut self, _open: &Token) -> Result<Step> {
        let word = self.peek_after_space();
        if word.kind == TokenKind::Keyword {
            self.token();
            let place = self.lines.place(word.at);
            return match word.text.as_str() {
                "if" => self.branch(place, "if").map(|b| Step::Node(Node::If(b))),
                "with" => self.branch(place, "with").map(|b| Step::Node(Node::With(b))),
                "range" => self.branch(place, "range").map(|b| Step::Node(Node::Range(b))),
                "template" => self.call().map(|c| Step::Node(Node::Call(c))),
                "block" => self.block().map(|c| Step::Node(Node::Call(c))),
                "break" => self.jump("break", Node::Break),
                "continue" => self.jump("continue", Node::Continue),
                "end" => self.expect_close("end").map(|()| Step::End),
                "else" => Ok(Step::Else),
                _ => self.unexpected(word, "command"),
            };
        }
        let place = self.lines.place(word.at);
        let pipe = self.pipe("command", TokenKind::Close)?;
        Ok(Step::Node(Node::Action(place, pipe)))
    }

    fn jump(&mut self, word: &str, node: Node) -> Result<Step> {
        let token = self.token_after_space();
        if token.kind != TokenKind::Close {
            return self.unexpected(token, &format!("{{{{{word}}}}}"));
        }
        if self.ranges == 0 {
            return self.fail(format!("{{{{{word}}}}} outside {{{{range}}}}"));
        }
        Ok(Step::Node(node))
    }

    fn branch(&mut self, place: Place, context: &str) -> Result<Branch> {
        let outer = self.variables.len();
        let pipe = self.pipe(context, TokenKind::Close)?;
        if context == "range" {
            self.ranges += 1;
        }
        let (body, end) = self.deeper(Self::list)?;
        if context == "range" {
            self.ranges -= 1;
        }
        let otherwise = if end == End::Else { self.otherwise(context)? } else { Vec::new() };
        self.variables.truncate(outer);
        Ok(Branch { place, pipe, body, otherwise })
    }

    /// After `{{else`: a plain body, or `if`/`with` again, which shares the `{{end}}`.
    fn otherwise(&mut self, context: &str) -> Result<Vec<Node>> {
        let word = self.peek_after_space();
        if word.kind == TokenKind::Keyword && word.text == context && context != "range" {
            self.token();
            let place = self.lines.place(word.at);
            let branch = self.deeper(|parser| parser.branch(place, context))?;
            return Ok(vec![if context == "if" { Node::If(branch) } else { Node::With(branch) }]);
        }
        self.expect_close("else")?;
        let (nodes, end) = self.deeper(Self::list)?;
        if end == End::Else {
            return self.fail("expected end; found {{else}}");
        }
        Ok(nodes)
    }

    fn call(&mut self) -> Result<Call> {
        let at = self.peek_after_space().at;
        let place = self.lines.place(at);
        let name = self.template_name("template clause")?;
        let pipe = if self.peek_after_space().kind == TokenKind::Close {
            self.token();
            None
        } else {
            Some(self.pipe("template clause", TokenKind::Close)?)
        };
        Ok(Call { place, name, pipe })
    }

    fn block(&mut self) -> Result<Call> {
        let at = self.peek_after_space().at;
        let place = self.lines.place(at);
        let name = self.template_name("block clause")?;
        let pipe = self.pipe("block clause", TokenKind::Close)?;
        let outer = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (nodes, end) = self.deeper(Self::list)?;
        if end == End::Else {
            return self.fail("unexpected {{else}} in block clause");
        }
        self.ranges = ranges;
        self.variables = outer;
        self.defined.push(Parsed { name: Arc::clone(&name), nodes });
        Ok(Call { place, name, pipe: Some(pipe) })
    }

    fn pipe(&mut self, context: &str, end: TokenKind) -> Result<Pipe> {
        let (variables, assigns) = self.declarations(context)?;
        let mut pipe = Pipe { variables, assigns, commands: Vec::new() };
        loop {
            let token = self.peek_after_space();
            match token.kind {
                kind if kind == end => {
                    self.token();
                    self.check(&pipe, context)?;
                    return Ok(pipe);
                }
                TokenKind::Bool
                | TokenKind::Char
                | TokenKind::Dot
                | TokenKind::Field
                | TokenKind::Identifier
                | TokenKind::Number
                | TokenKind::Nil
                | TokenKind::RawText
                | TokenKind::Quoted
                | TokenKind::Variable
                | TokenKind::OpenParen => {
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => {
                    self.token();
                    return self.unexpected(token, context);
                }
            }
        }
    }

    fn check(&self, pipe: &Pipe, context: &str) -> Result<()> {
        if pipe.commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (i, command) in pipe.commands.iter().enumerate().skip(1) {
            if matches!(
                command.words[0].kind,
                ExprKind::Dot | ExprKind::Nil | ExprKind::Constant(..)
            ) {
                return self.fail(format!("non executable command in pipeline stage {}", i + 1));
            }
        }
        Ok(())
    }

    /// `$x :=`, `$x =` and, for range, `$i, $x :=`.
    fn declarations(&mut self, context: &str) -> Result<(Vec<Arc<str>>, bool)> {
        let mut names: Vec<Arc<str>> = Vec::new();
        loop {
            let start = self.next;
            let variable = self.peek_after_space();
            if variable.kind != TokenKind::Variable {
                break;
            }
            self.token();
            let sign = self.peek_after_space();
            match sign.kind {
                TokenKind::Declare | TokenKind::Assign => {
                    self.token();
                    names.push(variable.text.as_str().into());
                    let assigns = sign.kind == TokenKind::Assign;
                    if assigns {
                        for name in &names {
                            self.check_variable(name)?;
                        }
                    } else {
                        self.variables.extend(names.iter().cloned());
                    }
                    return Ok((names, assigns));
                }
                TokenKind::Comma if context == "range" && names.is_empty() => {
                    self.token();
                    names.push(variable.text.as_str().into());
                    let next = self.peek_after_space();
                    if next.kind != TokenKind::Variable {
                        return self.fail("range can only initialize variables");
                    }
                }
                TokenKind::Comma if context == "range" => {
                    return self.fail(format!("too many declarations in {context}"));
                }
                _ => {
                    self.next = start;
                    break;
                }
            }
        }
        if names.is_empty() {
            Ok((names, false))
        } else {
            self.fail("range can only initialize variables")
        }
    }

    fn check_variable(&self, name: &str) -> Result<()> {
        if self.variables.iter().any(|known| &**known == name) {
            Ok(())
        } else {
            self.fail(format!("undefined variable {name:?}"))
        }
    }

    fn command(&mut self) -> Result<Command> {
        self.skip_space();
        let place = self.lines.place(self.peek().at);
        let mut words = Vec::new();
        loop {
            self.skip_space();
            if let Some(word) = self.operand()? {
                words.push(word);
            }
            let token = self.token();
            match token.kind {
                TokenKind::Space => continue,
                TokenKind::Close | TokenKind::CloseParen => self.next -= 1,
                TokenKind::Pipe => {
                    let next = self.peek_after_space();
                    if matches!(next.kind, TokenKind::Close | TokenKind::CloseParen) {
                        return self.fail("missing value for command");
                    }
                }
                _ => return self.unexpected(token, "operand"),
            }
            if words.is_empty() {
                return self.fail("empty command");
            }
            return Ok(Command { place, words });
        }
    }

    /// A term with the fields that follow it directly.
    fn operand(&mut self) -> Result<Option<Expr>> {
        let Some(mut expr) = self.term()? else { return Ok(None) };
        if self.peek().kind != TokenKind::Field {
            return Ok(Some(expr));
        }
        let place = self.lines.place(self.peek().at);
        let mut names: Vec<Arc<str>> = Vec::new();
        while self.peek().kind == TokenKind::Field {
            names.push(self.token().text[1..].into());
        }
        expr = match expr.kind {
            ExprKind::Field(mut first) => {
                first.extend(names);
                Expr { place, kind: ExprKind::Field(first) }
            }
            ExprKind::Variable(name, mut first) => {
                first.extend(names);
                Expr { place, kind: ExprKind::Variable(name, first) }
            }
            ExprKind::Nil | ExprKind::Constant(..) | ExprKind::Dot => {
                return self.fail(format!(
                    "unexpected . after term {}",
                    crate::printf::quoted(&expr.to_string())
                ));
            }
            _ => Expr { place, kind: ExprKind::Chain(Box::new(expr), names) },
        };
        Ok(Some(expr))
    }

    fn term(&mut self) -> Result<Option<Expr>> {
        let token = self.peek_after_space();
        let place = self.lines.place(token.at);
        let kind = match token.kind {
            TokenKind::Identifier => {
                self.token();
                if !(self.knows)(&token.text) {
                    return self.fail(format!("function {:?} not defined", token.text));
                }
                ExprKind::Function(token.text.as_str().into())
            }
            TokenKind::Dot => ExprKind::Dot,
            TokenKind::Nil => ExprKind::Nil,
            TokenKind::Variable => {
                self.token();
                self.check_variable(&token.text)?;
                return Ok(Some(Expr {
                    place,
                    kind: ExprKind::Variable(token.text.as_str().into(), Vec::new()),
                }));
            }
            TokenKind::Field => ExprKind::Field(vec![token.text[1..].into()]),
            TokenKind::Bool => {
                ExprKind::Constant(Value::Bool(token.text == "true"), token.text.as_str().into())
            }
            TokenKind::Number => match number(&token.text) {
                Some(Ok(value)) => ExprKind::Constant(value, token.text.as_str().into()),
                Some(Err(text)) => {
                    self.token();
                    return self.fail(text);
                }
                None => return self.fail(format!("illegal number syntax: {:?}", token.text)),
            },
            TokenKind::Char => {
                match unquote(&token.text).map(|text| text.chars().collect::<Vec<_>>()) {
                    Some(one) if one.len() == 1 => ExprKind::Constant(
                        Value::Int(i64::from(u32::from(one[0]))),
                        token.text.as_str().into(),
                    ),
                    _ => {
                        self.token();
                        return self.fail(format!("malformed character constant: {}", token.text));
                    }
                }
            }
            TokenKind::Quoted | TokenKind::RawText => match unquote(&token.text) {
                Some(text) => ExprKind::Constant(text.into(), token.text.as_str().into()),
                None => {
                    self.token();
                    return self.fail("invalid syntax");
                }
            },
            TokenKind::OpenParen => {
                self.token();
                let pipe = self.deeper(|parser| {
                    parser.pipe("parenthesized pipeline", TokenKind::CloseParen)
                })?;
                return Ok(Some(Expr { place, kind: ExprKind::Pipe(Box::new(pipe)) }));
            }
            _ => return Ok(None),
        };
        if token.kind != TokenKind::Identifier {
            self.token();
        }
        Ok(Some(Expr { place, kind }))
    }
}

/// What an action contributes to the list that it stands in.
enum Step {
    Node(Node),
    End,
    Else,
}

/// Go's number literals; `None` is no number, `Some(Err)` one that we refuse.
pub(crate) fn number(text: &str) -> Option<std::result::Result<Value, String>> {
    if text.ends_with('i') {
        return Some(Err(format!("imaginary numbers are not supported: {text}")));
    }
    let plain = text.trim_start_matches(['+', '-']);
    let negative = text.starts_with('-');
    if text.len() - plain.len() > 1 || !underscores_fit(plain) {
        return None;
    }
    let digits = plain.replace('_', "");
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ if lower.len() > 1
            && lower.starts_with('0')
            && lower.bytes().all(|b| b.is_ascii_digit()) =>
        {
            (8, &lower[1..])
        }
        _ => (10, lower.as_str()),
    };
    let is_float =
        body.contains('.') || if radix == 16 { body.contains('p') } else { body.contains('e') };
    if is_float {
        let value = if radix == 16 { hex_float(body)? } else { decimal_float(&lower)? };
        return Some(Ok(Value::Float(if negative { -value } else { value })));
    }
    if body.is_empty() || !body.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(body, radix).unwrap_or(i128::MAX);
    let value = if negative { -value } else { value };
    Some(i64::try_from(value).map(Value::Int).map_err(|_| format!("integer overflow: {text:?}")))
}

/// Only between digits or after a prefix.
fn underscores_fit(text: &str) -> bool {
    !text.ends_with('_')
        && !text.starts_with('_')
        && !text.contains("__")
        && !text.contains("_.")
        && !text.contains("._")
}

fn decimal_float(text: &str) -> Option<f64> {
    text.starts_with(|c: char| c.is_ascii_digit() || c == '.').then(|| text.parse().ok())?
}

fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut value = 0.0;
    for c in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
    }
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    (!whole.is_empty() || !fraction.is_empty()).then(|| value * 2f64.powi(exponent - shift))
}

/// Go's quoted, raw and character literals; `None` on a bad escape.
pub(crate) fn unquote(literal: &str) -> Option<String> {
    let inner = literal.get(1..literal.len().checked_sub(1)?)?;
    if literal.starts_with('`') {
        return Some(inner.replace('\r', ""));
    }
    let quote = literal.chars().next()?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        match chars.next()? {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' => bytes.push(b'\\'),
            c if c == quote => bytes.push(u8::try_from(c).ok()?),
            'x' => bytes.push(u8::try_from(digits(&mut chars, 2, 16, 0)?).ok()?),
            'u' => bytes.extend(
                char::from_u32(digits(&mut chars, 4, 16, 0)?)?.encode_utf8(&mut [0; 4]).bytes(),
            ),
            'U' => bytes.extend(
                char::from_u32(digits(&mut chars, 8, 16, 0)?)?.encode_utf8(&mut [0; 4]).bytes(),
            ),
            c if c.is_digit(8) => {
                bytes.push(u8::try_from(digits(&mut chars, 2, 8, c.to_digit(8)?)?).ok()?);
            }
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn digits(chars: &mut std::str::Chars<'_>, count: usize, radix: u32, first: u32) -> Option<u32> {
    (0..count).try_fold(first, |value, _| {
        value.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?)
    })
}
