//! Go's `printf`: the reading of a format string.

use crate::print::{Flags, Printer};
use crate::value::Value;

/// Go refuses larger widths and precisions.
const WIDTH_MAX: i64 = 1_000_000;

/// Go's `Sprintf`.
pub(crate) fn printf(format: &str, args: &[Value], room: usize) -> Result<String, String> {
    let mut printer = Printer::new(room);
    Format { text: format, args, arg: 0, reordered: false, good_index: true }.run(&mut printer);
    printer.finish()
}

/// A format string in work.
struct Format<'a> {
    text: &'a str,
    args: &'a [Value],
    /// The argument that the next verb takes.
    arg: usize,
    /// An explicit index was used, so left-over arguments are no mistake.
    reordered: bool,
    good_index: bool,
}

impl Format<'_> {
    fn run(mut self, printer: &mut Printer) {
        while let Some(at) = self.text.find('%') {
            printer.push(&self.text[..at]);
            self.text = &self.text[at + 1..];
            if printer.full || !self.verb(printer) {
                return;
            }
        }
        printer.push(self.text);
        if !self.reordered && self.arg < self.args.len() {
            self.extra(printer);
        }
    }

    fn extra(&self, printer: &mut Printer) {
        printer.flags = Flags::default();
        printer.push("%!(EXTRA ");
        for (index, arg) in self.args[self.arg..].iter().enumerate() {
            if index > 0 {
                printer.push(", ");
            }
            if matches!(arg, Value::Nil) {
                printer.push("<nil>");
                continue;
            }
            printer.push(&arg.type_name());
            printer.push("=");
            printer.value(arg, 'v', 0);
        }
        printer.push(")");
    }

    /// Handles what follows a percent sign; false at the end of the text.
    fn verb(&mut self, printer: &mut Printer) -> bool {
        printer.flags = Flags::default();
        self.good_index = true;
        let mut after_index = false;
        self.flags(printer);
        self.index(&mut after_index);
        self.width(printer, &mut after_index);
        self.precision(printer, &mut after_index);
        if !after_index {
            self.index(&mut after_index);
        }
        let Some(verb) = self.text.chars().next() else {
            printer.push("%!(NOVERB)");
            if !self.reordered && self.arg < self.args.len() {
                self.extra(printer);
            }
            return false;
        };
        self.text = &self.text[verb.len_utf8()..];
        if verb == '%' {
            printer.push("%");
        } else if !self.good_index {
            printer.push(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(arg) = self.args.get(self.arg) {
            self.arg += 1;
            let flags = &mut printer.flags;
            if verb == 'v' {
                flags.sharp_v = std::mem::take(&mut flags.sharp);
                flags.plus_v = std::mem::take(&mut flags.plus);
            }
            printer.top(arg, verb);
        } else {
            printer.push(&format!("%!{verb}(MISSING)"));
        }
        true
    }

    fn eat(&mut self, c: char) -> bool {
        match self.text.strip_prefix(c) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }

    fn flags(&mut self, printer: &mut Printer) {
        let flags = &mut printer.flags;
        loop {
            if self.eat('#') {
                flags.sharp = true;
            } else if self.eat('0') {
                flags.zero = !flags.minus;
            } else if self.eat('+') {
                flags.plus = true;
            } else if self.eat('-') {
                flags.minus = true;
                flags.zero = false;
            } else if self.eat(' ') {
                flags.space = true;
            } else {
                return;
            }
        }
    }

    /// `[3]`: takes the argument of that number next.
    fn index(&mut self, after_index: &mut bool) {
        if !self.text.starts_with('[') {
            return;
        }
        self.reordered = true;
        let Some(close) = self.text.find(']') else {
            self.good_index = false;
            self.text = &self.text[1..];
            return;
        };
        let number = self.text[1..close].parse::<usize>().ok();
        self.text = &self.text[close + 1..];
        match number.and_then(|number| number.checked_sub(1)) {
            Some(index) if index < self.args.len() => {
                self.arg = index;
                *after_index = true;
            }
            _ => self.good_index = false,
        }
    }

    fn width(&mut self, printer: &mut Printer, after_index: &mut bool) {
        if self.eat('*') {
            let width = self.int_arg();
            if width.is_none() {
                printer.push("%!(BADWIDTH)");
            }
            if width.is_some_and(|width| width < 0) {
                printer.flags.minus = true;
                printer.flags.zero = false;
            }
            printer.flags.width = width.map(i64::unsigned_abs).and_then(|w| w.try_into().ok());
            *after_index = false;
        } else {
            printer.flags.width = self.number();
            if *after_index && printer.flags.width.is_some() {
                self.good_index = false;
            }
        }
    }

    fn precision(&mut self, printer: &mut Printer, after_index: &mut bool) {
        if !self.eat('.') {
            return;
        }
        if *after_index {
            self.good_index = false;
        }
        self.index(after_index);
        if self.eat('*') {
            let given = self.int_arg();
            // A negative precision counts as none.
            printer.flags.precision = given.and_then(|given| given.try_into().ok());
            if printer.flags.precision.is_none() {
                printer.push("%!(BADPREC)");
            }
            *after_index = false;
        } else {
            printer.flags.precision = Some(self.number().unwrap_or(0));
        }
    }

    fn int_arg(&mut self) -> Option<i64> {
        let arg = self.args.get(self.arg)?;
        self.arg += 1;
        arg.as_int().filter(|value| (-WIDTH_MAX..=WIDTH_MAX).contains(value))
    }

    fn number(&mut self) -> Option<usize> {
        let digits = self.text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.text.split_at(digits);
        let value = number.parse::<i64>().ok();
        if value.is_some_and(|value| value > WIDTH_MAX) || (digits > 0 && value.is_none()) {
            // Go gives up the rest of the format.
            self.text = "";
            return None;
        }
        self.text = rest;
        value.and_then(|value| value.try_into().ok())
    }
}
