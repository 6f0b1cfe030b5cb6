//! From tokens to templates.
//!
//! Follows Go's `text/template/parse`, messages included, but keeps the open blocks on a list of
//! its own instead of the stack: only parentheses recurse, and they are counted.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::lex::{Kind, Lexer, Token};
use crate::number;
use crate::quote;
use crate::tree::{Command, Node, NodeKind, Op, Pipe, Source, Template};
use crate::value::Value;

/// Parentheses nest at most this deep.
const PARENS_MAX: usize = 100;

/// The templates of one source text by name.
pub(crate) type Templates = HashMap<Arc<str>, Arc<Template>>;

/// Parses a text; its own top level becomes the template `name`.
///
/// # Errors
/// A message such as `template: name:3: unexpected EOF`.
pub(crate) fn parse(
    name: &str,
    text: &str,
    is_function: &dyn Fn(&str) -> bool,
) -> Result<Templates, String> {
    let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
    let mut parser = Parser {
        lexer: Lexer::new(text),
        ahead: Vec::new(),
        line: 1,
        action_line: 0,
        parens: 0,
        source,
        bodies: vec![Body::new(name.to_owned(), BodyKind::Top)],
        done: HashMap::new(),
        is_function,
    };
    match parser.run() {
        Ok(()) => Ok(parser.done),
        Err(message) => Err(format!("template: {name}:{}: {message}", parser.line)),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// Tokens read and put back, the next one last.
    ahead: Vec<Token<'a>>,
    /// Where the lexer is, for messages.
    line: usize,
    /// Where the action in work began; 0 outside of one.
    action_line: usize,
    parens: usize,
    source: Arc<Source>,
    bodies: Vec<Body>,
    done: Templates,
    is_function: &'a dyn Fn(&str) -> bool,
}

/// A template in work.
struct Body {
    name: String,
    kind: BodyKind,
    ops: Vec<Op>,
    vars: Vec<String>,
    blocks: Vec<Block>,
}

enum BodyKind {
    Top,
    Define,
    /// `{{block}}`: run where it is defined.
    Block {
        pos: usize,
        pipe: Pipe,
    },
}

/// An open `if`, `with` or `range`.
struct Block {
    word: Word,
    /// The operation that opened it.
    open: usize,
    /// How many variables were visible before.
    vars: usize,
    /// After `{{else}}`.
    in_else: bool,
    /// How many scopes it holds open: more than its own when it is written `else if`, which is closed
    /// by the same `{{end}}` as the one around it.
    scopes: usize,
    /// Operations that jump to the end.
    exits: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    If,
    With,
    Range,
}

impl Word {
    fn text(self) -> &'static str {
        match self {
            Self::If => "if",
            Self::With => "with",
            Self::Range => "range",
        }
    }
}

impl Body {
    fn new(name: String, kind: BodyKind) -> Self {
        Self { name, kind, ops: Vec::new(), vars: vec!["$".to_owned()], blocks: Vec::new() }
    }
}

type Parsed<T> = Result<T, String>;

impl<'a> Parser<'a> {
    fn next(&mut self) -> Token<'a> {
        match self.ahead.pop() {
            Some(token) => token,
            None => {
                let token = self.lexer.next_token();
                self.line = token.line;
                token
            }
        }
    }

    fn put_back(&mut self, token: Token<'a>) {
        self.ahead.push(token);
    }

    fn peek(&mut self) -> &Token<'a> {
        if self.ahead.is_empty() {
            let token = self.next();
            self.ahead.push(token);
        }
        &self.ahead[self.ahead.len() - 1]
    }

    fn next_non_space(&mut self) -> Token<'a> {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> &Token<'a> {
        let token = self.next_non_space();
        self.put_back(token);
        self.peek()
    }

    fn unexpected<T>(&self, token: &Token<'_>, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return Err(format!("unexpected {token} in {context}"));
        }
        if self.action_line == 0 || self.action_line == token.line {
            return Err(token.to_string());
        }
        let action = if token.text.ends_with(" action") { "" } else { " in action" };
        Err(format!("{token}{action} started at {}:{}", self.source.name, self.action_line))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token<'a>> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    fn body(&mut self) -> &mut Body {
        let last = self.bodies.len() - 1;
        &mut self.bodies[last]
    }

    fn emit(&mut self, op: Op) -> usize {
        let ops = &mut self.body().ops;
        ops.push(op);
        ops.len() - 1
    }

    fn run(&mut self) -> Parsed<()> {
        loop {
            let token = self.next_non_space();
            match token.kind {
                Kind::Text => {
                    let range = token.pos..token.pos + token.text.len();
                    self.emit(Op::Text(range));
                }
                Kind::LeftDelim => {
                    self.action_line = token.line;
                    self.action()?;
                    self.action_line = 0;
                }
                Kind::Eof if self.bodies.len() == 1 && self.body().blocks.is_empty() => break,
                Kind::Eof => return Err("unexpected EOF".to_owned()),
                _ => return self.unexpected(&token, "input"),
            }
        }
        match self.bodies.pop() {
            Some(body) => self.finish(body),
            None => Ok(()),
        }
    }

    /// Adds a template; a blank one never replaces another.
    fn finish(&mut self, body: Body) -> Parsed<()> {
        let name: Arc<str> = body.name.into();
        let template = Template { name: name.clone(), source: self.source.clone(), ops: body.ops };
        match self.done.get(&name) {
            Some(old) if !old.is_blank() && !template.is_blank() => Err(format!(
                "template: multiple definition of template {}",
                quote::go(&template.name)
            )),
            Some(old) if !old.is_blank() => Ok(()),
            _ => {
                self.done.insert(name, Arc::new(template));
                Ok(())
            }
        }
    }

    fn action(&mut self) -> Parsed<()> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Define if self.bodies.len() == 1 && self.body().blocks.is_empty() => {
                self.define()
            }
            Kind::Block => self.block(),
            Kind::Break => self.leave_range("{{break}}"),
            Kind::Continue => self.leave_range("{{continue}}"),
            Kind::Else => self.otherwise(),
            Kind::End => self.end(),
            Kind::If => self.open(Word::If, false),
            Kind::Range => self.open(Word::Range, false),
            Kind::Template => self.call(),
            Kind::With => self.open(Word::With, false),
            _ => {
                self.put_back(token);
                let pipe = self.pipeline("command", Kind::RightDelim)?;
                self.emit(Op::Action(pipe));
                Ok(())
            }
        }
    }

    fn define(&mut self) -> Parsed<()> {
        let token = self.next_non_space();
        let (name, _) = self.template_name(&token, "define clause")?;
        self.expect(Kind::RightDelim, "define clause")?;
        self.bodies.push(Body::new(name, BodyKind::Define));
        Ok(())
    }

    fn block(&mut self) -> Parsed<()> {
        let token = self.next_non_space();
        let (name, pos) = self.template_name(&token, "block clause")?;
        let pipe = self.pipeline("block clause", Kind::RightDelim)?;
        self.bodies.push(Body::new(name, BodyKind::Block { pos, pipe }));
        Ok(())
    }

    fn call(&mut self) -> Parsed<()> {
        let token = self.next_non_space();
        let (name, pos) = self.template_name(&token, "template clause")?;
        let next = self.next_non_space();
        let pipe = if next.kind == Kind::RightDelim {
            None
        } else {
            self.put_back(next);
            Some(self.pipeline("template clause", Kind::RightDelim)?)
        };
        self.emit(Op::Call { pos, name: name.into(), pipe });
        Ok(())
    }

    fn template_name(&self, token: &Token<'_>, context: &str) -> Parsed<(String, usize)> {
        match token.kind {
            Kind::String | Kind::RawString => match quote::unquote(&token.text) {
                Some(name) => Ok((name, token.pos)),
                None => Err("invalid syntax".to_owned()),
            },
            _ => self.unexpected(token, context),
        }
    }

    fn open(&mut self, word: Word, chained: bool) -> Parsed<()> {
        let vars = self.body().vars.len();
        let pipe = self.pipeline(word.text(), Kind::RightDelim)?;
        let open = self.emit(match word {
            Word::If => Op::If { pipe, otherwise: 0 },
            Word::With => Op::With { pipe, otherwise: 0 },
            Word::Range => Op::Range { pipe, otherwise: 0 },
        });
        let exits = Vec::new();
        let around = self.body().blocks.last().map_or(0, |block| block.scopes);
        let scopes = if chained { around + 1 } else { 1 };
        self.body().blocks.push(Block { word, open, vars, in_else: false, scopes, exits });
        Ok(())
    }

    fn otherwise(&mut self) -> Parsed<()> {
        let follow = match self.peek_non_space().kind {
            Kind::If => Some(Word::If),
            Kind::With => Some(Word::With),
            _ => {
                self.expect(Kind::RightDelim, "else")?;
                None
            }
        };
        let Some(block) = self.body().blocks.last() else {
            return Err(self.stray("{{else}}"));
        };
        let (word, in_else) = (block.word, block.in_else);
        if in_else {
            return Err("expected end; found {{else}}".to_owned());
        }
        self.close_branch();
        match follow {
            None => Ok(()),
            Some(next) if next == word => {
                self.next_non_space();
                self.open(next, true)
            }
            Some(_) => {
                let token = self.next_non_space();
                self.unexpected(&token, "input")
            }
        }
    }

    /// Ends the first branch of the innermost block, and lets its test jump here.
    fn close_branch(&mut self) {
        let body = self.body();
        let Some(block) = body.blocks.last_mut() else { return };
        let exit = body.ops.len();
        body.ops.push(match block.word {
            Word::Range => Op::Next { body: block.open + 1, end: 0 },
            Word::If | Word::With => Op::Leave { scopes: block.scopes, to: 0 },
        });
        block.exits.push(exit);
        block.in_else = true;
        let here = body.ops.len();
        let open = block.open;
        set_target(&mut body.ops[open], here);
    }

    fn end(&mut self) -> Parsed<()> {
        self.expect(Kind::RightDelim, "end")?;
        if self.body().blocks.is_empty() {
            return self.end_body();
        }
        if self.body().blocks.last().is_some_and(|block| !block.in_else) {
            self.close_branch();
        }
        // What the last test jumps to when it fails: nothing but the end of its scopes.
        let scopes = self.body().blocks.last().map_or(0, |block| block.scopes);
        let last = self.emit(Op::Leave { scopes, to: 0 });
        let mut exits = vec![last];
        let body = self.body();
        while let Some(block) = body.blocks.pop() {
            exits.extend(block.exits);
            body.vars.truncate(block.vars);
            if block.scopes == 1 {
                break;
            }
        }
        let here = body.ops.len();
        for exit in exits {
            set_target(&mut body.ops[exit], here);
        }
        Ok(())
    }

    /// `{{end}}` outside of the blocks of a body.
    fn end_body(&mut self) -> Parsed<()> {
        if self.bodies.len() == 1 {
            return Err(self.stray("{{end}}"));
        }
        let Some(body) = self.bodies.pop() else { return Ok(()) };
        let Body { name, kind, ops, .. } = body;
        let call = match kind {
            BodyKind::Block { pos, pipe } => {
                Some(Op::Call { pos, name: name.as_str().into(), pipe: Some(pipe) })
            }
            BodyKind::Top | BodyKind::Define => None,
        };
        self.finish(Body { ops, ..Body::new(name, BodyKind::Define) })?;
        if let Some(op) = call {
            self.emit(op);
        }
        Ok(())
    }

    fn stray(&mut self, what: &str) -> String {
        match self.body().kind {
            BodyKind::Top => format!("unexpected {what}"),
            BodyKind::Define => format!("unexpected {what} in define clause"),
            BodyKind::Block { .. } => format!("unexpected {what} in block clause"),
        }
    }

    fn leave_range(&mut self, what: &str) -> Parsed<()> {
        let token = self.next_non_space();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, what);
        }
        let body = self.body();
        let inner = body.blocks.iter().rev();
        let levels = inner.take_while(|block| block.word != Word::Range || block.in_else).count();
        let Some(at) = body.blocks.len().checked_sub(levels + 1) else {
            return Err(format!("{what} outside {{{{range}}}}"));
        };
        let end = body.ops.len();
        let op = match what {
            "{{break}}" => Op::Leave { scopes: levels + 1, to: 0 },
            _ => {
                // Close the inner scopes, then do what the end of the body does.
                body.ops.push(Op::Leave { scopes: levels, to: end + 1 });
                Op::Next { body: body.blocks[at].open + 1, end: 0 }
            }
        };
        let exit = body.ops.len();
        body.ops.push(op);
        body.blocks[at].exits.push(exit);
        Ok(())
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let pos = self.peek_non_space().pos;
        let mut pipe = Pipe { pos, assign: false, decl: Vec::new(), cmds: Vec::new() };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_non_space();
            if token.kind == end {
                break;
            }
            match token.kind {
                Kind::Bool
                | Kind::CharConstant
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.put_back(token);
                    let cmd = self.command()?;
                    pipe.cmds.push(cmd);
                }
                _ => return self.unexpected(&token, context),
            }
        }
        check_pipeline(&pipe, context)?;
        Ok(pipe)
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<()> {
        while self.peek_non_space().kind == Kind::Variable {
            let variable = self.next();
            let after = self.peek().clone();
            let next = self.peek_non_space().clone();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.assign = next.kind == Kind::Assign;
                    self.next_non_space();
                    self.declare(pipe, &variable.text);
                    return Ok(());
                }
                Kind::Char if next.text == "," => {
                    self.next_non_space();
                    self.declare(pipe, &variable.text);
                    if context != "range" || pipe.decl.len() >= 2 {
                        return Err(format!("too many declarations in {context}"));
                    }
                    let kind = self.peek_non_space().kind;
                    if !matches!(kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                        return Err("range can only initialize variables".to_owned());
                    }
                }
                _ => {
                    if after.kind == Kind::Space {
                        self.put_back(after);
                    }
                    self.put_back(variable);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn declare(&mut self, pipe: &mut Pipe, name: &str) {
        pipe.decl.push(name.into());
        self.body().vars.push(name.to_owned());
    }

    fn command(&mut self) -> Parsed<Command> {
        let mut cmd = Command { pos: self.peek_non_space().pos, args: Vec::new() };
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                cmd.args.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.put_back(token),
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if cmd.args.is_empty() {
            return Err("empty command".to_owned());
        }
        Ok(cmd)
    }

    fn operand(&mut self) -> Parsed<Option<Node>> {
        let Some(node) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(node));
        }
        let pos = self.peek().pos;
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(field_name(&self.next().text));
        }
        let kind = match node.kind {
            NodeKind::Field(mut first) => {
                first.append(&mut names);
                NodeKind::Field(first)
            }
            NodeKind::Variable(mut first) => {
                first.append(&mut names);
                NodeKind::Variable(first)
            }
            NodeKind::Chain(..) | NodeKind::Function(_) | NodeKind::Pipe(_) => {
                NodeKind::Chain(Box::new(node), names)
            }
            _ => {
                return Err(format!("unexpected . after term {}", quote::go(&node.to_string())));
            }
        };
        Ok(Some(Node { pos, kind }))
    }

    fn term(&mut self) -> Parsed<Option<Node>> {
        let token = self.next_non_space();
        let pos = token.pos;
        let kind = match token.kind {
            Kind::Identifier if !(self.is_function)(&token.text) => {
                return Err(format!("function {} not defined", quote::go(&token.text)));
            }
            Kind::Identifier => NodeKind::Function(owned(token.text)),
            Kind::Dot => NodeKind::Dot,
            Kind::Nil => NodeKind::Nil,
            Kind::Variable if !self.body().vars.iter().any(|name| *name == token.text) => {
                return Err(format!("undefined variable {}", quote::go(&token.text)));
            }
            Kind::Variable => NodeKind::Variable(vec![owned(token.text)]),
            Kind::Field => NodeKind::Field(vec![field_name(&token.text)]),
            Kind::Bool => NodeKind::Bool(token.text == "true"),
            Kind::CharConstant | Kind::Number => NodeKind::Number(number::parse(&token.text)?),
            Kind::LeftParen => {
                self.parens += 1;
                if self.parens > PARENS_MAX {
                    return Err(format!("parentheses nested deeper than {PARENS_MAX}"));
                }
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.parens -= 1;
                NodeKind::Pipe(Box::new(pipe))
            }
            Kind::String | Kind::RawString => {
                let text = quote::unquote(&token.text).ok_or("invalid syntax")?;
                NodeKind::Str { quoted: owned(token.text), value: Value::from(text) }
            }
            _ => {
                self.put_back(token);
                return Ok(None);
            }
        };
        Ok(Some(Node { pos, kind }))
    }
}

fn owned(text: Cow<'_, str>) -> Box<str> {
    text.into_owned().into()
}

fn field_name(token: &str) -> Box<str> {
    token.trim_start_matches('.').into()
}

fn set_target(op: &mut Op, target: usize) {
    match op {
        Op::If { otherwise, .. } | Op::With { otherwise, .. } | Op::Range { otherwise, .. } => {
            *otherwise = target;
        }
        Op::Next { end, .. } => *end = target,
        Op::Leave { to, .. } => *to = target,
        Op::Text(_) | Op::Action(_) | Op::Call { .. } => {}
    }
}

fn check_pipeline(pipe: &Pipe, context: &str) -> Parsed<()> {
    if pipe.cmds.is_empty() {
        return Err(format!("missing value for {context}"));
    }
    for (index, cmd) in pipe.cmds.iter().enumerate().skip(1) {
        if !cmd.args[0].kind.is_executable() {
            return Err(format!("non executable command in pipeline stage {}", index + 1));
        }
    }
    Ok(())
}
