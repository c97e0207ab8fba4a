//! One event, one line: time, level, module, message, fields.
//!
//! Control characters are escaped, whatever a field contains: nothing that a client or a server
//! chose can begin a line of its own or act on a terminal. Every call writes a line, so this writes
//! no styles, which would cost more than the text.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Clock, SystemClock};

pub(super) struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (level, target) = (event.metadata().level(), event.metadata().target());
        write!(writer, "{:.6} {level:>5} {target}:", SystemClock.now())?;
        let mut fields = Fields {
            out: Escaped(&mut writer),
            result: Ok(()),
        };
        event.record(&mut fields);
        fields.result?;
        writer.write_char('\n')
    }
}

struct Fields<W> {
    out: Escaped<W>,
    result: fmt::Result,
}

impl<W: Write> Fields<W> {
    /// Writes a field whose value `write` writes.
    fn field(&mut self, field: &Field, write: impl FnOnce(&mut Escaped<W>) -> fmt::Result) {
        self.result = self.result.and_then(|()| {
            self.out.0.write_char(' ')?;
            if field.name() != "message" {
                self.out.0.write_str(field.name())?;
                self.out.0.write_char('=')?;
            }
            write(&mut self.out)
        });
    }
}

impl<W: Write> Visit for Fields<W> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, |out| write!(out, "{value:?}"));
    }

    /// As `record_debug`, without a look at every character of what has nothing to escape.
    fn record_str(&mut self, field: &Field, value: &str) {
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        self.field(field, |out| {
            if !value.bytes().all(plain) {
                return write!(out, "{value:?}");
            }
            out.0.write_char('"')?;
            out.0.write_str(value)?;
            out.0.write_char('"')
        });
    }
}

/// Passes text on with every control character as `\u{…}`.
struct Escaped<W>(W);

impl<W: Write> Write for Escaped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Below U+0080 control characters are single bytes, and those from there to U+009F begin
        // with C2.
        if !text
            .bytes()
            .any(|byte| byte.is_ascii_control() || byte == 0xc2)
        {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|c| match c {
            c if c.is_control() => write!(self.0, "{}", c.escape_unicode()),
            c => self.0.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Log {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn logged(event: impl FnOnce()) -> String {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .event_format(Line)
            .with_writer(log.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, event);
        String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_has_time_level_module_message_and_fields() {
        let line = logged(|| {
            let (text, absent) = ("a \"b\"", None::<u64>);
            tracing::info!(text, number = 5_u64, absent, shown = %"x", "call");
        });
        let (time, rest) = line.split_once("Z ").unwrap();
        assert_eq!(time.len(), "2026-11-21T11:01:20.877274".len());
        let expected = concat!(
            " INFO ",
            module_path!(),
            ": call text=\"a \\\"b\\\"\" number=5 shown=x\n"
        );
        assert_eq!(rest, expected);
    }

    #[test]
    fn no_value_can_begin_a_line_or_act_on_a_terminal() {
        let hostile = "a\nb\r\u{1b}[2J\u{7f}\u{9b}1mö";
        let line = logged(|| {
            tracing::warn!(quoted = hostile, shown = %hostile, "{hostile}");
        });
        assert_eq!(line.matches(char::is_control).count(), 1, "{line:?}");
        assert!(line.ends_with('\n') && line.contains('ö'), "{line:?}");
    }
}
