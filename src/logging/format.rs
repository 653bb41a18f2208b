//! What a log line looks like.
//!
//! `tracing-subscriber` has a text of its own; writing a line with it takes three times as long, and a
//! line is written for every request.

use std::{
    cell::{Cell, RefCell},
    fmt::{self, Debug, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::{CURRENT, Current};
use crate::session::clock::Timestamp;

/// The time, the level, where in the code, what happened, and in which request.
pub(super) struct Text {
    /// Whether the level has one, by an escape that terminals know.
    pub colours: bool,
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let (level, colour) = match *metadata.level() {
            Level::ERROR => ("ERROR ", "\x1b[31m"),
            Level::WARN => (" WARN ", "\x1b[33m"),
            Level::INFO => (" INFO ", "\x1b[32m"),
            Level::DEBUG => ("DEBUG ", "\x1b[34m"),
            Level::TRACE => ("TRACE ", "\x1b[35m"),
        };
        let mut line = LINE.take();
        push_time(&mut line);
        line.push(' ');
        if self.colours {
            line.push_str(colour);
        }
        line.push_str(level);
        if self.colours {
            line.push_str("\x1b[0m");
        }
        line.push_str(metadata.target());
        line.push(':');
        event.record(&mut Fields(&mut line));
        let _ = CURRENT.try_with(|current| {
            line.push_str(" request_id=\"");
            line.extend(current.id(&mut itoa::Buffer::new()));
            line.push_str("\" method=");
            line.push_str(current.method.as_str());
            line.push_str(" route=");
            push_quoted(&mut line, current.route());
        });
        line.push('\n');
        let written = writer.write_str(&line);
        line.clear();
        LINE.set(line);
        written
    }
}

thread_local! {
    /// Room for a line.
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

/// Adds the fields of a line, as `name=value`; a message has no name.
struct Fields<'a>(&'a mut String);

impl Fields<'_> {
    fn begin(&mut self, field: &Field) {
        self.0.push(' ');
        if field.name() != "message" {
            self.0.push_str(field.name());
            self.0.push('=');
        }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.begin(field);
        push_quoted(self.0, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.begin(field);
        self.0.push_str(itoa::Buffer::new().format(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.begin(field);
        // A `String` takes whatever is written to it.
        let _ = write!(Printable(self.0), "{value:?}");
    }
}

/// Adds what `Debug` writes, at once where there is nothing to escape.
fn push_quoted(line: &mut String, text: &str) {
    if text
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~' if byte != b'"' && byte != b'\\'))
    {
        line.push('"');
        line.push_str(text);
        line.push('"');
    } else {
        let _ = write!(line, "{text:?}");
    }
}

/// Writes what would begin a line, or move a terminal's cursor, as an escape.
struct Printable<'a>(&'a mut String);

impl Write for Printable<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if character.is_control() {
                self.0.extend(character.escape_default());
            } else {
                self.0.push(character);
            }
        }
        Ok(())
    }
}

/// Adds the moment in the form of RFC 3339, in microseconds of UTC.
fn push_time(line: &mut String) {
    thread_local! {
        /// A second, and all of its text but the fraction: lines come in thousands a second.
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or(Duration::ZERO);
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != now.as_secs() || text.is_empty() {
            *second = now.as_secs();
            let moment = Timestamp(0) + Duration::from_secs(*second);
            // Without its `Z`.
            *text = moment.to_rfc3339().unwrap_or_default();
            text.pop();
        }
        line.push_str(text);
    });
    // With a digit in front, which becomes the point, the zeros are not lost.
    let micros = 1_000_000 + now.subsec_micros();
    line.push('.');
    line.push_str(&itoa::Buffer::new().format(micros)[1..]);
    line.push('Z');
}

/// The object that `tracing-subscriber` writes, with the request's fields at its end.
pub(super) struct Json<F>(pub F);

impl<S, N, F> FormatEvent<S, N> for Json<F>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut object = String::new();
        self.0
            .format_event(context, Writer::new(&mut object), event)?;
        let Some(open) = object.strip_suffix("}\n") else {
            return writer.write_str(&object);
        };
        writer.write_str(open)?;
        let of_request = |current: &Current| {
            // A method has no character that JSON would escape; a route of yours might.
            let id = current.id(&mut itoa::Buffer::new()).concat();
            let (method, route) = (&current.method, current.route());
            write!(
                writer,
                ",\"request_id\":\"{id}\",\"method\":\"{method}\",\"route\":{route:?}"
            )
        };
        CURRENT.try_with(of_request).unwrap_or(Ok(()))?;
        writer.write_str("}\n")
    }
}
