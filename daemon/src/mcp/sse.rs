//! Reading an event stream (WHATWG HTML §9.2.6): for our own requests, and for the answers to calls
//! that a person approved. Other answers pass as bytes, unread.

/// One event, or comments, as they came: everything up to and with the empty line that ends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    pub raw: Vec<u8>,
    /// None without any, or where it is empty: such events are not for the receiver's eyes.
    pub data: Option<Vec<u8>>,
    /// A client may ask for what follows this event (`Last-Event-ID`).
    pub has_id: bool,
}

impl Event {
    /// The same event with other data, which must be free of line ends.
    #[must_use]
    pub fn with_data(&self, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.raw.len() + data.len());
        for line in self.raw.split(|byte| matches!(byte, b'\n' | b'\r')) {
            if !line.is_empty() && !line.starts_with(b"data") {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(data);
        out.extend_from_slice(b"\n\n");
        out
    }
}

/// Finds events in chunks of bytes that may end anywhere.
#[derive(Debug)]
pub struct EventReader {
    event: Event,
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// A CR was the last byte: a LF that follows belongs to it.
    after_cr: bool,
    limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {0} bytes")]
pub struct EventTooLarge(pub usize);

impl EventReader {
    /// `limit` caps one event, so that a stream without an end cannot fill memory.
    pub fn new(limit: usize) -> Self {
        Self {
            event: Event::default(),
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_cr: false,
            limit,
        }
    }

    /// Feeds a chunk; returns the events it completes, line ends made one.
    ///
    /// # Errors
    /// An event is larger than the limit.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Event>, EventTooLarge> {
        let mut events = Vec::new();
        for &byte in chunk {
            let ends_crlf = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            if ends_crlf {
                continue;
            }
            if matches!(byte, b'\n' | b'\r') {
                self.event.raw.push(b'\n');
                events.extend(self.end_of_line());
            } else {
                self.event.raw.push(byte);
                self.line.push(byte);
            }
            if self.event.raw.len() > self.limit {
                return Err(EventTooLarge(self.limit));
            }
        }
        Ok(events)
    }

    /// Takes the finished line in; returns an event if the line was the empty one that ends it.
    fn end_of_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            let complete = std::mem::take(&mut self.has_data) && !data.is_empty();
            let mut event = std::mem::take(&mut self.event);
            event.data = complete.then_some(data);
            return Some(event);
        }
        let (field, value) = match line.iter().position(|b| *b == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &[][..]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data
                    .extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
            }
            b"id" => self.event.has_id = true,
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &[u8], chunk: usize) -> Vec<String> {
        let mut reader = EventReader::new(1024);
        let mut events = Vec::new();
        for part in stream.chunks(chunk) {
            events.extend(reader.feed(part).unwrap());
        }
        events
            .into_iter()
            .filter_map(|event| event.data)
            .map(|data| String::from_utf8(data).unwrap())
            .collect()
    }

    #[test]
    fn events_are_found_wherever_the_chunks_end() {
        let stream = b"id: 1\ndata:\n\n: comment\nretry: 5\ndata: one\ndata: two\n\r\ndata:three\r\rdata: lost";
        for chunk in 1..=stream.len() {
            assert_eq!(
                read(stream, chunk),
                ["one\ntwo", "three"],
                "chunks of {chunk}"
            );
        }
    }

    #[test]
    fn an_event_keeps_its_lines_and_can_get_other_data() {
        let mut reader = EventReader::new(1024);
        let stream = b": c\r\nid: 7\r\nevent: message\r\ndata: {}\r\n\r\n:\n\n";
        let events = reader.feed(stream).unwrap();
        let [event, comment] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert!(event.has_id && !comment.has_id);
        assert_eq!(event.raw, b": c\nid: 7\nevent: message\ndata: {}\n\n");
        assert_eq!(
            event.with_data(b"[1]"),
            b": c\nid: 7\nevent: message\ndata: [1]\n\n"
        );
        assert_eq!(
            (comment.raw.as_slice(), &comment.data),
            (&b":\n\n"[..], &None)
        );
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = EventReader::new(10);
        assert_eq!(reader.feed(b"data: 12345678901"), Err(EventTooLarge(10)));
    }
}
