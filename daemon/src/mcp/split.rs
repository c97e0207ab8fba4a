//! Finding the messages in an event stream that passes (WHATWG HTML §9.2.6), without touching the rest
//! of its bytes.

use super::sse::EventTooLarge;

/// A byte order mark, which readers skip at the beginning of a stream.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A piece of the stream. The pieces together are the stream, but for an event that it ends in the
/// middle of: no reader takes that for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Nothing in it is a message.
    Bytes(Vec<u8>),
    Data(Data),
}

/// What of an event begins with its first line of data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Data {
    /// As it came, with the empty line.
    pub raw: Vec<u8>,
    pub data: Vec<u8>,
    /// Whether readers take it for a JSON-RPC message: the event has no type, or this one.
    pub is_message: bool,
    /// Lines between those of the data, such as the id.
    others: Vec<u8>,
}

impl Data {
    /// The same with other data, which is in one line.
    pub fn with(&self, data: &str) -> Vec<u8> {
        [&self.others[..], b"data: ", data.as_bytes(), b"\n\n"].concat()
    }

    /// The same without data: readers skip such an event, and remember its id.
    pub fn without(&self) -> Vec<u8> {
        [&self.others[..], b"\n"].concat()
    }
}

#[derive(Debug)]
pub struct Splitter {
    line: Vec<u8>,
    /// The event under way, from its first line of data on.
    event: Option<Data>,
    is_message: bool,
    is_first_line: bool,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
    /// What came last was the end of an event, or a comment after it.
    between: bool,
    limit: usize,
}

impl Splitter {
    /// `limit` caps one event and one line, so that a stream without an end cannot fill memory.
    pub fn new(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            event: None,
            is_message: true,
            is_first_line: true,
            after_cr: false,
            between: true,
            limit,
        }
    }

    /// Whether an event can be put in here.
    pub fn is_between_events(&self) -> bool {
        self.between && self.line.is_empty()
    }

    /// # Errors
    /// An event is larger than the limit.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Part>, EventTooLarge> {
        let mut parts = Parts::default();
        let mut rest = chunk;
        if self.after_cr && rest.first() == Some(&b'\n') {
            self.pass(b"\n", &mut parts);
            rest = &rest[1..];
        }
        self.after_cr &= chunk.is_empty();
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let is_crlf = rest[end..].starts_with(b"\r\n");
            let (line, behind) = rest.split_at(if is_crlf { end + 2 } else { end + 1 });
            self.after_cr = behind.is_empty() && line.ends_with(b"\r");
            self.keep(line)?;
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, &mut parts);
            rest = behind;
        }
        self.keep(rest)?;
        Ok(parts.0)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), EventTooLarge> {
        let kept = self.event.as_ref().map_or(0, |event| event.raw.len());
        if kept + self.line.len() + bytes.len() > self.limit {
            return Err(EventTooLarge(self.limit));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Bytes that say nothing, where they stand.
    fn pass(&mut self, bytes: &[u8], parts: &mut Parts) {
        match &mut self.event {
            Some(event) => event.raw.extend_from_slice(bytes),
            None => parts.bytes(bytes),
        }
    }

    fn take_line(&mut self, line: &[u8], parts: &mut Parts) {
        let mut text = without_end(line);
        if std::mem::take(&mut self.is_first_line) {
            text = text.strip_prefix(BOM).unwrap_or(text);
        }
        if text.is_empty() {
            return self.end_event(line, parts);
        }
        let (field, value) = match text.iter().position(|byte| *byte == b':') {
            Some(colon) => (&text[..colon], &text[colon + 1..]),
            None => (text, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        self.between &= field.is_empty();
        match field {
            b"data" => {
                let is_first = self.event.is_none();
                let event = self.event.get_or_insert_default();
                if !is_first {
                    event.data.push(b'\n');
                }
                event.data.extend_from_slice(value);
                event.raw.extend_from_slice(line);
                return;
            }
            b"event" => self.is_message = matches!(value, b"" | b"message"),
            _ => {}
        }
        if let Some(event) = &mut self.event {
            event.others.extend_from_slice(line);
        }
        self.pass(line, parts);
    }

    fn end_event(&mut self, line: &[u8], parts: &mut Parts) {
        self.pass(line, parts);
        if let Some(mut event) = self.event.take() {
            event.is_message = self.is_message;
            parts.0.push(Part::Data(event));
        }
        self.is_message = true;
        self.between = true;
    }
}

#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn bytes(&mut self, bytes: &[u8]) {
        match self.0.last_mut() {
            Some(Part::Bytes(last)) => last.extend_from_slice(bytes),
            _ => self.0.push(Part::Bytes(bytes.to_vec())),
        }
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    &line[..end.unwrap_or(line.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(stream: &[u8], chunk: usize) -> Vec<Part> {
        let mut splitter = Splitter::new(1024);
        let mut parts = Vec::new();
        for bytes in stream.chunks(chunk) {
            parts.extend(splitter.feed(bytes).unwrap());
        }
        parts
    }

    fn data(parts: &[Part]) -> Vec<(&str, bool)> {
        let data = parts.iter().filter_map(|part| match part {
            Part::Data(data) => Some((str::from_utf8(&data.data).unwrap(), data.is_message)),
            Part::Bytes(_) => None,
        });
        data.collect()
    }

    fn joined(parts: &[Part]) -> Vec<u8> {
        let bytes = parts.iter().flat_map(|part| match part {
            Part::Data(data) => &data.raw,
            Part::Bytes(bytes) => bytes,
        });
        bytes.copied().collect()
    }

    #[test]
    fn messages_are_found_and_every_byte_is_kept_wherever_the_chunks_end() {
        let stream = b"\xef\xbb\xbfdata: one\r\ndata:two\r\nid: 7\r\n\r\n: comment\nretry: 5\n\nevent: endpoint\ndata: /x\n\nevent: message\rdata: three\r\rdata: cut";
        let whole = &stream[..stream.len() - b"data: cut".len()];
        for chunk in 1..=stream.len() {
            let parts = split(stream, chunk);
            assert_eq!(
                data(&parts),
                [("one\ntwo", true), ("/x", false), ("three", true)],
                "chunks of {chunk}"
            );
            assert_eq!(joined(&parts), whole, "chunks of {chunk}");
        }
    }

    #[test]
    fn other_data_stands_where_the_data_stood() {
        let stream = b"event: message\ndata: one\nid: 7\ndata: two\n\n";
        let parts = split(stream, stream.len());
        let [Part::Bytes(before), Part::Data(data)] = &parts[..] else {
            panic!("{parts:?}");
        };
        assert_eq!(before, b"event: message\n");
        assert_eq!(data.with("{}"), b"id: 7\ndata: {}\n\n");
        assert_eq!(data.without(), b"id: 7\n\n");
    }

    #[test]
    fn an_event_can_be_put_between_events_only() {
        let mut splitter = Splitter::new(1024);
        assert!(splitter.is_between_events());
        for (bytes, between) in [
            ("id: 1\n", false),
            ("\n", true),
            (": comment\n", true),
            (": com", false),
            ("ment\n", true),
            ("data: x\n", false),
            ("\n", true),
        ] {
            splitter.feed(bytes.as_bytes()).unwrap();
            assert_eq!(splitter.is_between_events(), between, "after {bytes:?}");
        }
    }

    #[test]
    fn an_endless_event_or_line_is_refused() {
        for endless in ["data: 12345", ": 1234567890"] {
            let mut splitter = Splitter::new(10);
            assert_eq!(
                splitter.feed(endless.as_bytes()),
                Err(EventTooLarge(10)),
                "{endless}"
            );
        }
        let mut splitter = Splitter::new(20);
        splitter.feed(b"data: 12345\n").unwrap();
        assert!(
            splitter.feed(b"data: 12345\n").is_err(),
            "over several lines"
        );
    }
}
