//! Go's `fmt`: how values print under each verb.
//!
//! Everything is written into a buffer of bounded size, so that no format can use up the memory.

use crate::number::format_float;
use crate::quote;
use crate::time::Time;
use crate::value::{Kind, Value};

/// Short texts that only error messages quote are cut here.
const MESSAGE_MAX: usize = 4096;

/// Appends what `{{value}}` prints, at most `room` bytes; false when it did not fit.
pub(crate) fn write_value(out: &mut String, value: &Value, room: usize) -> bool {
    if let Value::Text(text) | Value::Safe(_, text) = value {
        if text.len() <= room {
            out.push_str(text);
        }
        return text.len() <= room;
    }
    let mut printer = Printer::new(room);
    match value {
        Value::Nil => printer.push("<no value>"),
        _ => printer.value(value, 'v', 1),
    }
    out.push_str(&printer.out);
    !printer.full
}

/// The text of a value behind its pointer, for an error message.
pub(crate) fn text(value: &Value) -> String {
    let mut printer = Printer::new(MESSAGE_MAX);
    printer.value(value, 'v', 1);
    printer.out
}

/// The text of a value for an error message that Go writes with `%s`.
pub(crate) fn text_s(value: &Value) -> String {
    let mut printer = Printer::new(MESSAGE_MAX);
    printer.value(value, 's', 1);
    printer.out
}

/// Go's `Sprint`: a blank between two operands when neither is a string.
pub(crate) fn print(args: &[Value], room: usize) -> Result<String, String> {
    let mut printer = Printer::new(room);
    for (index, arg) in args.iter().enumerate() {
        let after_string = index == 0 || args[index - 1].as_text().is_some();
        if !after_string && arg.as_text().is_none() {
            printer.push(" ");
        }
        printer.value(arg, 'v', 0);
    }
    printer.finish()
}

/// Go's `Sprintln`.
pub(crate) fn println(args: &[Value], room: usize) -> Result<String, String> {
    let mut printer = Printer::new(room);
    for (index, arg) in args.iter().enumerate() {
        if index > 0 {
            printer.push(" ");
        }
        printer.value(arg, 'v', 0);
    }
    printer.push("\n");
    printer.finish()
}

#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the language")]
pub(crate) struct Flags {
    pub(crate) plus: bool,
    pub(crate) minus: bool,
    pub(crate) sharp: bool,
    pub(crate) space: bool,
    pub(crate) zero: bool,
    pub(crate) plus_v: bool,
    pub(crate) sharp_v: bool,
    pub(crate) width: Option<usize>,
    pub(crate) precision: Option<usize>,
}

pub(crate) struct Printer {
    pub(crate) out: String,
    pub(crate) room: usize,
    /// Something did not fit and was left out.
    pub(crate) full: bool,
    pub(crate) flags: Flags,
    /// Inside of an error mark, where String methods are not asked.
    pub(crate) marking: bool,
}

impl Printer {
    pub(crate) fn new(room: usize) -> Self {
        Self { out: String::new(), room, full: false, flags: Flags::default(), marking: false }
    }

    pub(crate) fn finish(self) -> Result<String, String> {
        if self.full { Err("result is too large".to_owned()) } else { Ok(self.out) }
    }

    pub(crate) fn push(&mut self, text: &str) {
        if self.out.len() + text.len() > self.room {
            self.full = true;
        } else if !self.full {
            self.out.push_str(text);
        }
    }

    /// The argument of a verb.
    pub(crate) fn top(&mut self, value: &Value, verb: char) {
        match verb {
            'T' => {
                let name = value.type_name();
                self.string(&name, 's', value);
            }
            _ => self.value(value, verb, 0),
        }
    }

    pub(crate) fn value(&mut self, value: &Value, verb: char, depth: usize) {
        if self.full {
            return;
        }
        if self.method(value, verb) {
            return;
        }
        match value {
            Value::Nil if verb == 'v' && depth > 0 && self.flags.sharp_v => {
                self.push("interface {}(nil)");
            }
            Value::Nil if depth > 0 => self.push("<nil>"),
            Value::Nil if verb == 'v' => self.padded("<nil>"),
            Value::Time(time) if verb == 'v' && self.flags.sharp_v => {
                let text = go_syntax(time);
                self.push(&text);
            }
            Value::Bool(truth) if matches!(verb, 't' | 'v') => self.padded(&truth.to_string()),
            Value::Float(number) => self.float(*number, verb, value),
            Value::Text(text) | Value::Safe(_, text) => self.string(text, verb, value),
            Value::Byte(byte) if verb == 'v' && self.flags.sharp_v => {
                self.push(&format!("0x{byte:x}"));
            }
            Value::Byte(byte) => self.integer(i128::from(*byte), verb, value),
            Value::List(_) | Value::Texts(_) => self.list(value, verb, depth),
            Value::Map(_) => self.map(value, verb, depth),
            Value::Object(object) => match object.kind() {
                Kind::Slice => self.list(value, verb, depth),
                Kind::Map => self.map(value, verb, depth),
                Kind::Struct => self.structure(value, verb, depth),
            },
            _ => match value.as_int() {
                Some(number) => self.integer(i128::from(number), verb, value),
                None => self.bad_verb(value, verb),
            },
        }
    }

    /// Prints by the String method where there is one that the verb asks.
    fn method(&mut self, value: &Value, verb: char) -> bool {
        if self.marking || self.flags.sharp_v || !matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') {
            return false;
        }
        match value.stringer() {
            Some(text) => {
                self.string(&text, verb, value);
                true
            }
            None => false,
        }
    }

    fn bad_verb(&mut self, value: &Value, verb: char) {
        self.marking = true;
        self.push(&format!("%!{verb}("));
        if matches!(value, Value::Nil) {
            self.push("<nil>");
        } else {
            self.push(&value.type_name());
            self.push("=");
            match value {
                // Their inside is nobody's business.
                Value::Time(_) | Value::Location(_) => {
                    let text = value.stringer().unwrap_or_default();
                    self.push(&text);
                }
                _ => self.value(value, 'v', 0),
            }
        }
        self.push(")");
        self.marking = false;
    }

    fn list(&mut self, value: &Value, verb: char, depth: usize) {
        let items = value.items().unwrap_or_default();
        let sharp = self.flags.sharp_v;
        if sharp {
            self.push(&value.type_name());
        }
        self.push(if sharp { "{" } else { "[" });
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.push(if sharp { ", " } else { " " });
            }
            self.value(item, verb, depth + 1);
            if self.full {
                return;
            }
        }
        self.push(if sharp { "}" } else { "]" });
    }

    fn map(&mut self, value: &Value, verb: char, depth: usize) {
        let entries = value.entries().unwrap_or_default();
        let sharp = self.flags.sharp_v;
        if sharp {
            self.push(&value.type_name());
        }
        if sharp && matches!(value, Value::Object(object) if object.is_nil()) {
            return self.push("(nil)");
        }
        self.push(if sharp { "{" } else { "map[" });
        for (index, (key, item)) in entries.into_iter().enumerate() {
            if index > 0 {
                self.push(if sharp { ", " } else { " " });
            }
            self.value(&key, verb, depth + 1);
            self.push(":");
            self.value(&item, verb, depth + 1);
            if self.full {
                return;
            }
        }
        self.push(if sharp { "}" } else { "]" });
    }

    fn structure(&mut self, value: &Value, verb: char, depth: usize) {
        let Value::Object(object) = value else { return };
        let fields = object.fields();
        let name = object.type_name();
        if depth == 0 && name.starts_with('*') {
            self.push("&");
        }
        if self.flags.sharp_v {
            self.push(name.trim_start_matches('*'));
        }
        self.push("{");
        for (index, (field, _, item)) in fields.iter().enumerate() {
            if index > 0 {
                self.push(if self.flags.sharp_v { ", " } else { " " });
            }
            if self.flags.plus_v || self.flags.sharp_v {
                self.push(field);
                self.push(":");
            }
            self.value(item, verb, depth + 1);
            if self.full {
                return;
            }
        }
        self.push("}");
    }

    /// Writes a text in the width asked for.
    fn padded(&mut self, text: &str) {
        let Flags { width, minus, zero, .. } = self.flags;
        let missing = width.unwrap_or(0).saturating_sub(text.chars().count());
        if missing == 0 {
            return self.push(text);
        }
        if self.out.len() + missing + text.len() > self.room {
            self.full = true;
            return;
        }
        let fill = if zero && !minus { "0" } else { " " }.repeat(missing);
        if minus {
            self.push(text);
            self.push(&fill);
        } else {
            self.push(&fill);
            self.push(text);
        }
    }

    fn string(&mut self, text: &str, verb: char, value: &Value) {
        let cut = |text: &str, flags: &Flags| match flags.precision {
            Some(count) => text.chars().take(count).collect(),
            None => text.to_owned(),
        };
        if text.len() > self.room.saturating_sub(self.out.len()) && self.flags.precision.is_none() {
            self.full = true;
            return;
        }
        match verb {
            'v' if self.flags.sharp_v => self.quoted(text),
            'v' | 's' => {
                let text = cut(text, &self.flags);
                self.padded(&text);
            }
            'q' => {
                let text = cut(text, &self.flags);
                self.quoted(&text);
            }
            'x' | 'X' => self.hex(text.as_bytes(), verb == 'X'),
            _ => self.bad_verb(value, verb),
        }
    }

    fn quoted(&mut self, text: &str) {
        let raw = |c: char| c != '`' && c != '\u{7f}' && c != '\u{feff}' && (c >= ' ' || c == '\t');
        let quoted = if self.flags.sharp && text.chars().all(raw) {
            format!("`{text}`")
        } else if self.flags.plus {
            quote::go_ascii(text)
        } else {
            quote::go(text)
        };
        self.padded(&quoted);
    }

    fn hex(&mut self, bytes: &[u8], upper: bool) {
        let Flags { sharp, space, precision, .. } = self.flags;
        let count = precision.unwrap_or(bytes.len()).min(bytes.len());
        let prefix = match (sharp, upper) {
            (false, _) => "",
            (true, false) => "0x",
            (true, true) => "0X",
        };
        let mut text = String::with_capacity(2 * count);
        for (index, byte) in bytes[..count].iter().enumerate() {
            if index > 0 && space {
                text.push(' ');
            }
            if index == 0 || space {
                text.push_str(prefix);
            }
            text.push_str(&match upper {
                true => format!("{byte:02X}"),
                false => format!("{byte:02x}"),
            });
        }
        self.padded(&text);
    }

    fn integer(&mut self, number: i128, verb: char, value: &Value) {
        let (digits, prefix) = match verb {
            'v' | 'd' => (number.unsigned_abs().to_string(), ""),
            'b' => (format!("{:b}", number.unsigned_abs()), "0b"),
            'o' | 'O' => (format!("{:o}", number.unsigned_abs()), "0"),
            'x' => (format!("{:x}", number.unsigned_abs()), "0x"),
            'X' => (format!("{:X}", number.unsigned_abs()), "0X"),
            'c' | 'q' | 'U' => return self.character(number, verb),
            _ => return self.bad_verb(value, verb),
        };
        let flags = self.flags;
        let signed = number < 0 || flags.plus || flags.space;
        let least = match (flags.precision, flags.width) {
            (Some(0), _) if number == 0 => {
                self.flags.zero = false;
                return self.padded("");
            }
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => {
                width.saturating_sub(usize::from(signed))
            }
            (None, _) => 0,
        };
        if least > self.room {
            self.full = true;
            return;
        }
        let mut text = format!("{digits:0>least$}");
        if flags.sharp && !(prefix == "0" && text.starts_with('0')) {
            text.insert_str(0, prefix);
        }
        if verb == 'O' {
            text.insert_str(0, "0o");
        }
        match (number < 0, flags.plus, flags.space) {
            (true, ..) => text.insert(0, '-'),
            (false, true, _) => text.insert(0, '+'),
            (false, false, true) => text.insert(0, ' '),
            (false, false, false) => {}
        }
        self.flags.zero = false;
        self.padded(&text);
        self.flags.zero = flags.zero;
    }

    fn character(&mut self, number: i128, verb: char) {
        let c = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
        let text = match verb {
            'c' => c.to_string(),
            'q' => quote::go_char(c, self.flags.plus),
            _ => {
                let least = self.flags.precision.unwrap_or(4).clamp(4, self.room.max(4));
                let shown = self.flags.sharp && quote::is_printable(c);
                let shown = if shown { format!(" '{c}'") } else { String::new() };
                // Go shows a negative number as its 64 bits.
                let code = if number < 0 { number + (1 << 64) } else { number };
                format!("U+{code:0>least$X}{shown}")
            }
        };
        let zero = self.flags.zero;
        self.flags.zero = zero && verb != 'U';
        self.padded(&text);
        self.flags.zero = zero;
    }

    fn float(&mut self, number: f64, verb: char, value: &Value) {
        let (form, default) = match verb {
            'v' | 'g' | 'G' | 'b' | 'x' | 'X' => (if verb == 'v' { 'g' } else { verb }, None),
            'e' | 'E' => (verb, Some(6)),
            'f' | 'F' => ('f', Some(6)),
            _ => return self.bad_verb(value, verb),
        };
        let flags = self.flags;
        let precision = flags.precision.or(default);
        if precision.is_some_and(|digits| digits > self.room) {
            self.full = true;
            return;
        }
        let mut text = format_float(number, form, precision);
        if flags.sharp && number.is_finite() {
            text = keep_point(&text, form, precision);
        }
        let sign = match text.strip_prefix(['-', '+']) {
            Some(rest) => {
                let sign = if number < 0.0 || text.starts_with('-') { "-" } else { "+" };
                text = rest.to_owned();
                sign
            }
            None if flags.plus => "+",
            None => "",
        };
        let sign = match sign {
            "+" if !flags.plus && !flags.space => "",
            "+" | "" if flags.space && !flags.plus => " ",
            sign => sign,
        };
        let zero = flags.zero && !flags.minus && number.is_finite();
        if zero && !sign.is_empty() {
            self.push(sign);
            self.flags.width = flags.width.map(|width| width.saturating_sub(sign.len()));
            self.padded(&text);
        } else {
            self.flags.zero = zero;
            self.padded(&format!(
                "{}{text}",
                if number.is_infinite() && sign.is_empty() { "+" } else { sign }
            ));
        }
        self.flags = flags;
    }
}

/// A time in Go's own syntax.
fn go_syntax(time: &Time) -> String {
    let at = time.civil();
    let zone = match crate::time::zone_name(time.zone()).as_str() {
        "UTC" => "time.UTC".to_owned(),
        "Local" => "time.Local".to_owned(),
        name => format!("time.Location({})", quote::go(name)),
    };
    format!(
        "time.Date({}, time.{}, {}, {}, {}, {}, {}, {zone})",
        at.year(),
        crate::time::month_name(i64::from(at.month())),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.subsec_nanosecond()
    )
}

/// The `#` flag of floats: a point always, and for `%g` the trailing zeros.
fn keep_point(text: &str, form: char, precision: Option<usize>) -> String {
    let at = match form {
        'x' | 'X' => text.find(['p', 'P']),
        _ => text.find(['e', 'E']),
    };
    let (head, tail) = text.split_at(at.unwrap_or(text.len()));
    let mut head = head.to_owned();
    if !head.contains('.') {
        head.push('.');
    }
    let wanted = match form {
        'g' | 'G' => precision.unwrap_or(6),
        'x' | 'X' => precision.map_or(5, |digits| digits + 1),
        _ => 0,
    };
    let mantissa = head.trim_start_matches(['-', '0', '.', 'x', 'X']);
    let digits = mantissa.bytes().filter(|b| *b != b'.').count();
    head.extend(std::iter::repeat_n('0', wanted.saturating_sub(digits)));
    head + tail
}
