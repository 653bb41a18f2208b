//! The rules of user ids and passwords, wherever somebody types one. Both are compared in Unicode's form
//! C, so that an accented letter is the same from every keyboard (RFC 8265, sections 3.4 and 4.2).

use unicode_normalization::UnicodeNormalization;

/// The longest user id and the longest password, in bytes of UTF-8.
pub const MAX_BYTES: usize = 256;

/// A user id as it counts: in form C, without blanks around it. Fails in a sentence for who typed it.
pub fn user_id(typed: &str) -> Result<String, String> {
    let id = checked("user ID", typed.trim())?;
    if id.chars().any(cannot_be_seen) {
        return Err("The user ID must not hold invisible characters or unusual blanks.".to_owned());
    }
    Ok(id)
}

/// A text in form C within the rules of both; `what` names it in the sentence of a failure.
pub fn checked(what: &str, typed: &str) -> Result<String, String> {
    let text: String = typed.nfc().collect();
    let rule = if text.trim().is_empty() {
        "be blank"
    } else if text.len() > MAX_BYTES {
        "be longer than 256 bytes"
    } else if text.chars().any(char::is_control) {
        "hold control characters"
    } else {
        return Ok(text);
    };
    Err(format!("The {what} must not {rule}."))
}

/// An unusual blank, or invisible (Unicode's `Default_Ignorable_Code_Point`): two ids could look the same.
fn cannot_be_seen(character: char) -> bool {
    (character.is_whitespace() && character != ' ')
        || matches!(character,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFD}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}
