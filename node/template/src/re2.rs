//! Rewrites Go's regular expressions for the `regex` crate, with Go's messages for mistakes.

/// Repetitions above this are refused, as in Go.
const REPEAT_MAX: u32 = 1000;

/// The pattern in the language of the crate.
///
/// # Errors
/// Go's message, without its beginning.
pub(crate) fn translate(pattern: &str) -> Result<String, String> {
    Translator::run(pattern)
}

/// What stood just before, to judge a repetition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Something,
    /// A repetition from this offset.
    Repeat(usize),
}

struct Translator<'a> {
    pattern: &'a str,
    pos: usize,
    out: String,
    groups: usize,
    names: Vec<&'a str>,
    before: Before,
}

impl<'a> Translator<'a> {
    fn run(pattern: &'a str) -> Result<String, String> {
        let mut this = Self {
            pattern,
            pos: 0,
            out: String::new(),
            groups: 0,
            names: Vec::new(),
            before: Before::Nothing,
        };
        while let Some(c) = this.bump() {
            this.one(c)?;
        }
        if this.groups > 0 {
            return Err(format!("missing closing ): `{pattern}`"));
        }
        Ok(this.out)
    }

    fn rest(&self) -> &'a str {
        &self.pattern[self.pos..]
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.pos += text.len();
        }
        found
    }

    fn literal(&mut self, c: char) {
        push_literal(&mut self.out, c);
        self.before = Before::Something;
    }

    fn one(&mut self, c: char) -> Result<(), String> {
        match c {
            '(' => self.group(),
            ')' if self.groups == 0 => Err(format!("unexpected ): `{}`", self.pattern)),
            ')' => {
                self.groups -= 1;
                self.out.push(')');
                self.before = Before::Something;
                Ok(())
            }
            '|' => {
                self.out.push('|');
                self.before = Before::Nothing;
                Ok(())
            }
            '^' | '$' | '.' => {
                self.out.push(c);
                self.before = Before::Something;
                Ok(())
            }
            '*' | '+' | '?' => self.repeat(self.pos - 1),
            '{' => self.brace(),
            '[' => self.class(),
            '\\' => self.escape(),
            _ => {
                self.literal(c);
                Ok(())
            }
        }
    }

    fn group(&mut self) -> Result<(), String> {
        let start = self.pos - 1;
        self.groups += 1;
        self.before = Before::Nothing;
        if !self.eat("?") {
            self.out.push('(');
            return Ok(());
        }
        if self.eat("P<") || self.eat("<") {
            let name_start = self.pos;
            let rest = self.rest();
            let name = rest.split('>').next().unwrap_or_default();
            let fits = !name.is_empty()
                && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
                && rest.len() > name.len();
            if !fits {
                let end = if rest.len() > name.len() {
                    name_start + name.len() + 1
                } else {
                    self.pattern.len()
                };
                return Err(format!("invalid named capture: `{}`", &self.pattern[start..end]));
            }
            self.pos += name.len() + 1;
            // The crate wants a name to begin with a letter, and only once.
            if self.names.contains(&name) {
                self.out.push('(');
            } else {
                self.names.push(name);
                self.out.push_str(&format!("(?P<{name}>"));
            }
            return Ok(());
        }
        self.flags(start)
    }

    fn flags(&mut self, start: usize) -> Result<(), String> {
        let from = self.pos;
        let mut seen_minus = false;
        loop {
            match self.bump() {
                Some('i' | 'm' | 's' | 'U') => {}
                Some('-') if !seen_minus => seen_minus = true,
                Some(end @ (')' | ':')) => {
                    let flags = &self.pattern[from..self.pos - 1];
                    if flags.ends_with('-') || (flags.is_empty() && end == ')') {
                        break;
                    }
                    if end == ')' {
                        self.groups -= 1;
                    }
                    self.out.push_str(&self.pattern[start..self.pos]);
                    return Ok(());
                }
                None => break,
                Some(_) => break,
            }
        }
        let text = &self.pattern[start..self.pos];
        Err(format!("invalid or unsupported Perl syntax: `{text}`"))
    }

    fn repeat(&mut self, start: usize) -> Result<(), String> {
        let lazy = self.eat("?");
        let op = &self.pattern[start..self.pos];
        match self.before {
            Before::Nothing => {
                let shown = if lazy { &op[..op.len() - 1] } else { op };
                return Err(format!("missing argument to repetition operator: `{shown}`"));
            }
            Before::Repeat(from) => {
                let both = &self.pattern[from..self.pos];
                return Err(format!("invalid nested repetition operator: `{both}`"));
            }
            Before::Something => {}
        }
        self.out.push_str(op);
        self.before = Before::Repeat(start);
        Ok(())
    }

    /// `{2,3}` counts; any other brace is a character.
    fn brace(&mut self) -> Result<(), String> {
        let start = self.pos - 1;
        let Some((inner, _)) = self.rest().split_once('}') else {
            self.literal('{');
            return Ok(());
        };
        let (low, high) = match inner.split_once(',') {
            Some((low, high)) => (low, high),
            None => (inner, inner),
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(low) || !(digits(high) || high.is_empty()) {
            self.literal('{');
            return Ok(());
        }
        self.pos += inner.len() + 1;
        let low = low.parse().unwrap_or(u32::MAX);
        let high = if high.is_empty() { low } else { high.parse().unwrap_or(u32::MAX) };
        if low > REPEAT_MAX || high > REPEAT_MAX || low > high {
            let op = &self.pattern[start..self.pos];
            return Err(format!("invalid repeat count: `{op}`"));
        }
        self.repeat(start)
    }

    fn escape(&mut self) -> Result<(), String> {
        let start = self.pos - 1;
        let Some(c) = self.bump() else {
            return Err("trailing backslash at end of expression: ``".to_owned());
        };
        self.before = Before::Something;
        match c {
            'A' | 'z' => self.out.extend(['\\', c]),
            'b' | 'B' => self.out.push_str(&format!("(?-u:\\{c})")),
            'C' => self.out.push_str("(?s-u:.)"),
            'Q' => {
                let (text, skip) = match self.rest().split_once("\\E") {
                    Some((text, _)) => (text, text.len() + 2),
                    None => (self.rest(), self.rest().len()),
                };
                self.pos += skip;
                text.chars().for_each(|c| self.literal(c));
            }
            _ => match perl_class(c) {
                Some(class) => self.out.push_str(&format!("[{class}]")),
                None if matches!(c, 'p' | 'P') => {
                    let class = self.unicode_class(start)?;
                    self.out.push_str(&class);
                }
                None => {
                    let c = self.escaped_char(start, c)?;
                    self.literal(c);
                }
            },
        }
        Ok(())
    }

    /// `\pL`, `\p{Greek}`, `\p{^Greek}`.
    fn unicode_class(&mut self, start: usize) -> Result<String, String> {
        if self.eat("{") {
            if let Some(end) = self.rest().find('}') {
                self.pos += end + 1;
            }
        } else {
            self.bump();
        }
        let text = &self.pattern[start..self.pos];
        let negated = text.contains('^');
        let mut class = text.replace('^', "");
        if negated {
            class.replace_range(1..2, if class.starts_with("\\p") { "P" } else { "p" });
        }
        let name_fits = class.len() > 2
            && regex::Regex::new(&class).is_ok()
            && !class.contains(['=', ':', '!']);
        if !name_fits {
            return Err(format!("invalid character class range: `{text}`"));
        }
        Ok(class)
    }

    /// The character that a backslash and what follows it stand for.
    fn escaped_char(&mut self, start: usize, c: char) -> Result<char, String> {
        let found = match c {
            'a' => Some('\x07'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            '0' => self.octal(0),
            '1'..='7' if self.rest().starts_with(|c| ('0'..='7').contains(&c)) => {
                self.octal(c.to_digit(8).unwrap_or(0))
            }
            'x' => self.hex(),
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        };
        found
            .ok_or_else(|| format!("invalid escape sequence: `{}`", &self.pattern[start..self.pos]))
    }

    fn octal(&mut self, mut code: u32) -> Option<char> {
        for _ in 0..2 {
            let Some(digit) = self.rest().chars().next().and_then(|c| c.to_digit(8)) else { break };
            self.pos += 1;
            code = code * 8 + digit;
        }
        char::from_u32(code)
    }

    fn hex(&mut self) -> Option<char> {
        if self.eat("{") {
            let (digits, _) = self.rest().split_once('}')?;
            self.pos += digits.len() + 1;
            return char::from_u32(u32::from_str_radix(digits, 16).ok()?);
        }
        let digits = self.rest().get(..2)?;
        let code = u32::from_str_radix(digits, 16).ok()?;
        self.pos += 2;
        char::from_u32(code)
    }

    fn class(&mut self) -> Result<(), String> {
        let start = self.pos - 1;
        self.out.push('[');
        if self.eat("^") {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let unclosed = || format!("missing closing ]: `{}`", &self.pattern[start..]);
            let at = self.pos;
            let Some(c) = self.bump() else { return Err(unclosed()) };
            match c {
                ']' if !first => break,
                '[' if self.rest().starts_with(':') && self.rest()[1..].contains(":]") => {
                    self.posix_class(at)?;
                }
                '\\' if self.class_escape(at)? => {}
                _ => self.class_range(at)?,
            }
            first = false;
        }
        self.out.push(']');
        self.before = Before::Something;
        Ok(())
    }

    fn posix_class(&mut self, at: usize) -> Result<(), String> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print",
            "punct", "space", "upper", "word", "xdigit",
        ];
        let end = self.rest().find(":]").unwrap_or(0);
        self.pos += end + 2;
        let text = &self.pattern[at..self.pos];
        let name = text[2..text.len() - 2].trim_start_matches('^');
        if !NAMES.contains(&name) {
            return Err(format!("invalid character class range: `{text}`"));
        }
        self.out.push_str(text);
        Ok(())
    }

    /// A class written as an escape; false when it is a character.
    fn class_escape(&mut self, at: usize) -> Result<bool, String> {
        let Some(c) = self.rest().chars().next() else { return Ok(false) };
        if let Some(class) = perl_class(c) {
            self.pos += 1;
            self.out.push_str(&format!("[{class}]"));
            return Ok(true);
        }
        if matches!(c, 'p' | 'P') {
            self.pos += 1;
            let class = self.unicode_class(at)?;
            self.out.push_str(&class);
            return Ok(true);
        }
        Ok(false)
    }

    fn class_range(&mut self, at: usize) -> Result<(), String> {
        self.pos = at;
        let low = self.class_char(at)?;
        push_class_char(&mut self.out, low);
        let is_range = self.rest().starts_with('-') && !self.rest().starts_with("-]");
        if !is_range || self.rest().len() < 2 {
            return Ok(());
        }
        self.pos += 1;
        let high = self.class_char(self.pos)?;
        if high < low {
            let text = &self.pattern[at..self.pos];
            return Err(format!("invalid character class range: `{text}`"));
        }
        self.out.push('-');
        push_class_char(&mut self.out, high);
        Ok(())
    }

    fn class_char(&mut self, at: usize) -> Result<char, String> {
        match self.bump() {
            Some('\\') => match self.bump() {
                Some(c) => self.escaped_char(at, c),
                None => Err("trailing backslash at end of expression: ``".to_owned()),
            },
            Some(c) => Ok(c),
            None => Err(format!("missing closing ]: `{}`", &self.pattern[at..])),
        }
    }
}

/// The inside of the class that a Perl escape stands for.
fn perl_class(c: char) -> Option<&'static str> {
    Some(match c {
        'd' => "0-9",
        'D' => "^0-9",
        's' => "\\t\\n\\x0c\\r ",
        'S' => "^\\t\\n\\x0c\\r ",
        'w' => "0-9A-Za-z_",
        'W' => "^0-9A-Za-z_",
        _ => return None,
    })
}

fn push_literal(out: &mut String, c: char) {
    out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

fn push_class_char(out: &mut String, c: char) {
    if c.is_ascii() && !c.is_ascii_alphanumeric() {
        out.push_str(&format!("\\x{:02x}", u32::from(c)));
    } else {
        out.push(c);
    }
}
