//! Escapes text as the inside of a JSON string, or of a string of the legacy text format.

/// Passes a text piece by piece to `put`, escaped as far as JSON demands it.
pub fn escape(text: &str, put: &mut impl FnMut(&[u8])) {
    pieces(text, false, put);
}

/// A text escaped as far as JSON demands it.
pub fn escaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 8);
    escape(text, &mut |piece| out.extend_from_slice(piece));
    out
}

/// Appends a text with the escapes that the API server uses: Go's `encoding/json` also escapes `<`, `>`, `&`, U+2028 and
/// U+2029, so that HTML may hold the text.
pub fn escape_like_server(text: &str, out: &mut Vec<u8>) {
    pieces(text, true, &mut |piece| out.extend_from_slice(piece));
}

fn pieces(text: &str, like_server: bool, put: &mut impl FnMut(&[u8])) {
    let mut done = 0;
    for (at, char) in text.char_indices() {
        let short: &[u8] = match char {
            '"' => b"\\\"",
            '\\' => b"\\\\",
            '\n' => b"\\n",
            '\r' => b"\\r",
            '\t' => b"\\t",
            '\0'..='\x1f' => b"",
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if like_server => b"",
            _ => continue,
        };
        put(&text.as_bytes()[done..at]);
        done = at + char.len_utf8();
        if short.is_empty() {
            put(format!("\\u{:04x}", u32::from(char)).as_bytes());
        } else {
            put(short);
        }
    }
    put(&text.as_bytes()[done..]);
}

/// Appends a text escaped as Go's `strconv.Quote` does, without the quotes.
pub fn escape_go(text: &str, out: &mut Vec<u8>) {
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend_from_slice(&[b'\\', char as u8]),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\0'..='\x1f' | '\x7f' => {
                out.extend_from_slice(format!("\\x{:02x}", u32::from(char)).as_bytes());
            }
            _ => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_text_reads_back_as_itself() {
        let text: String = ('\0'..'\u{ff}').chain(['\u{2028}', '😀']).collect();
        let mut like_server = Vec::new();
        escape_like_server(&text, &mut like_server);
        assert!(!like_server.iter().any(|byte| b"<>&".contains(byte)));
        for written in [escaped(&text), like_server] {
            let json = [b"\"", written.as_slice(), b"\""].concat();
            assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text);
        }
        let mut go = Vec::new();
        escape_go(&text, &mut go);
        assert_eq!(crate::json::unescape_go(&go), text);
    }
}
