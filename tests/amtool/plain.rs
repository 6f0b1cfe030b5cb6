//! Makes what two tools say comparable: ids by the order in which they came, times as distances from now, one form of
//! what a server refuses.

use jiff::Timestamp;

const ID_LENGTH: usize = 36;

/// What one tool has been told so far.
pub(super) struct Transcript {
    port: u16,
    ids: Vec<String>,
}

impl Transcript {
    pub(super) fn new(port: u16) -> Self {
        Self { port, ids: Vec::new() }
    }

    /// The words of a line, `$1` being the first id that was told.
    pub(super) fn words(&self, words: Vec<String>) -> Vec<String> {
        let expand = |word: String| match word.strip_prefix('$').map(str::parse::<usize>) {
            Some(Ok(number)) => self.ids.get(number - 1).cloned().unwrap_or_else(|| "none".into()),
            _ => word.replace("$PORT", &self.port.to_string()),
        };
        words.into_iter().map(expand).collect()
    }

    /// Standard output.
    pub(super) fn out(&mut self, text: &str) -> String {
        let mut plain = String::new();
        let mut failed = false;
        for line in text.split_inclusive('\n') {
            if line == "\n" {
                failed = false;
            }
            if failed {
                continue;
            }
            match line.split_once("  FAILED: ") {
                // Ours has every mistake with its place, line and hint.
                Some((before, _)) => {
                    failed = true;
                    plain.push_str(&format!("{before}  FAILED\n"));
                }
                None => plain.push_str(line),
            }
        }
        // 0.25 drops what it does not know.
        self.plain(&plain.replace("\"mutedBy\":[],", ""))
    }

    /// Standard error, without empty lines and what is only about versions.
    pub(super) fn err(&mut self, text: &str) -> String {
        let lines = text.lines().filter(|line| !line.is_empty());
        let lines = lines.filter(|line| !line.starts_with("Warning: amtool version"));
        let text: String = lines.map(|line| format!("{}\n", http_failure(line))).collect();
        self.plain(&text)
    }

    fn plain(&mut self, text: &str) -> String {
        let text = text.replace(&format!("127.0.0.1:{}", self.port), "<server>");
        let mut plain = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(letter) = rest.chars().next() {
            if let Some(id) = rest.get(..ID_LENGTH).filter(|text| is_id(text)) {
                plain.push_str(&format!("<id {}>", self.number(id)));
                rest = &rest[ID_LENGTH..];
            } else if let Some((distance, length)) = near_time(rest) {
                plain.push_str(&distance);
                rest = &rest[length..];
            } else {
                plain.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
        plain
    }

    fn number(&mut self, id: &str) -> usize {
        let at = self.ids.iter().position(|known| known == id);
        at.unwrap_or_else(|| {
            self.ids.push(id.to_owned());
            self.ids.len() - 1
        }) + 1
    }
}

fn is_id(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    })
}

/// A time near now at the start of the text, in whole ten minutes from now, and its length. Others were given.
/// No time of the lines is near the middle of ten minutes, where chance would decide.
fn near_time(text: &str) -> Option<(String, usize)> {
    let date = text.get(..19)?;
    let shaped = date.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b' ' || byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    if !shaped {
        return None;
    }
    let at: Timestamp = format!("{}Z", date.replace(' ', "T")).parse().ok()?;
    #[expect(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]
    let now = Timestamp::try_from(std::time::SystemTime::now()).ok()?;
    let seconds = at.as_second() - now.as_second();
    if seconds.abs() > 400 * 86_400 {
        return None;
    }
    let tens = (seconds + 300).div_euclid(600);
    let decimals = text[19..]
        .strip_prefix('.')
        .map_or(0, |fraction| 1 + fraction.bytes().take_while(u8::is_ascii_digit).count());
    Some((format!("<now {:+} min>", tens * 10), 19 + decimals))
}

/// Only the code of what a server has refused: the texts are the servers' and the generated client's.
fn http_failure(line: &str) -> String {
    let code = |text: &str| {
        text.get(..3).filter(|code| code.bytes().all(|b| b.is_ascii_digit())).map(str::to_owned)
    };
    let generated =
        line.split_once("][").filter(|_| line.contains(": [")).and_then(|(_, rest)| code(rest));
    let undefined = line.split_once("(status ").and_then(|(_, rest)| code(rest));
    let ours = line.split_once(": HTTP ").and_then(|(_, rest)| code(rest));
    match generated.or(undefined).or(ours) {
        Some(code) => format!("HTTP {code}"),
        None => line.to_owned(),
    }
}
