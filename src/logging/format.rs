//! What a log line looks like.
//!
//! `tracing-subscriber` has a text of its own; writing a line with it takes three times as long, and a
//! line is written for every request.

use std::{
    cell::RefCell,
    fmt::{self, Debug, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use time::OffsetDateTime;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::{CURRENT, Current};

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
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let (level, colour) = match *metadata.level() {
            Level::ERROR => ("ERROR", "\x1b[31m"),
            Level::WARN => (" WARN", "\x1b[33m"),
            Level::INFO => (" INFO", "\x1b[32m"),
            Level::DEBUG => ("DEBUG", "\x1b[34m"),
            Level::TRACE => ("TRACE", "\x1b[35m"),
        };
        write_time(&mut writer)?;
        if self.colours {
            write!(writer, " {colour}{level}\x1b[0m ")?;
        } else {
            writer.write_char(' ')?;
            writer.write_str(level)?;
            writer.write_char(' ')?;
        }
        writer.write_str(metadata.target())?;
        writer.write_str(": ")?;
        context.format_fields(writer.by_ref(), event)?;
        let of_request = |current: &Current| {
            writer.write_str(" request_id=\"")?;
            writer.write_str(&current.id)?;
            writer.write_str("\" method=")?;
            writer.write_str(current.method.as_str())?;
            writer.write_str(" route=")?;
            write_quoted(&mut writer, current.route())
        };
        CURRENT.try_with(of_request).unwrap_or(Ok(()))?;
        writer.write_char('\n')
    }
}

/// The fields of a line, as `name=value`; a message has no name.
pub(super) struct TextFields;

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Visitor {
            writer,
            separator: "",
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Visitor<'w> {
    writer: Writer<'w>,
    separator: &'static str,
    result: fmt::Result,
}

impl<'w> Visitor<'w> {
    fn field(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'w>) -> fmt::Result) {
        let separator = std::mem::replace(&mut self.separator, " ");
        let write = || {
            self.writer.write_str(separator)?;
            if field.name() != "message" {
                self.writer.write_str(field.name())?;
                self.writer.write_char('=')?;
            }
            value(&mut self.writer)
        };
        self.result = self.result.and_then(|()| write());
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, |writer| write_quoted(writer, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |writer| {
            writer.write_str(itoa::Buffer::new().format(value))
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, |writer| write!(Printable(writer), "{value:?}"));
    }
}

/// Writes what `Debug` does, at once where there is nothing to escape.
fn write_quoted(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    if text
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~' if byte != b'"' && byte != b'\\'))
    {
        writer.write_char('"')?;
        writer.write_str(text)?;
        writer.write_char('"')
    } else {
        write!(writer, "{text:?}")
    }
}

/// Writes what would begin a line, or move a terminal's cursor, as an escape.
struct Printable<'a, 'w>(&'a mut Writer<'w>);

impl Write for Printable<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| {
            if character.is_control() {
                write!(self.0, "{}", character.escape_default())
            } else {
                self.0.write_char(character)
            }
        })
    }
}

/// Writes the moment in the form of RFC 3339, in microseconds of UTC.
fn write_time(writer: &mut Writer<'_>) -> fmt::Result {
    thread_local! {
        /// A second, and all of its text but the fraction: lines come in thousands a second.
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or(Duration::ZERO);
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != now.as_secs() || text.is_empty() {
            let moment = i64::try_from(now.as_secs())
                .ok()
                .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
            let moment = moment.unwrap_or(OffsetDateTime::UNIX_EPOCH);
            *second = now.as_secs();
            text.clear();
            write!(
                text,
                "{}T{:02}:{:02}:{:02}",
                moment.date(),
                moment.hour(),
                moment.minute(),
                moment.second()
            )?;
        }
        writer.write_str(text)?;
        // With a digit in front, which becomes the point, the zeros are not lost.
        let micros = 1_000_000 + now.subsec_micros();
        writer.write_char('.')?;
        writer.write_str(&itoa::Buffer::new().format(micros)[1..])?;
        writer.write_char('Z')
    })
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
            let (id, method, route) = (&current.id, &current.method, current.route());
            write!(
                writer,
                ",\"request_id\":\"{id}\",\"method\":\"{method}\",\"route\":{route:?}"
            )
        };
        CURRENT.try_with(of_request).unwrap_or(Ok(()))?;
        writer.write_str("}\n")
    }
}
