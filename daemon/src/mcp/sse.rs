//! Reading an event stream (WHATWG HTML §9.2.6), for our own requests. The relay never does this:
//! it passes bytes.

/// Collects the `data` of events from chunks of bytes that may end anywhere.
#[derive(Debug)]
pub struct EventReader {
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
    /// `limit` caps one event and one line, so that a stream without an end cannot fill memory.
    pub fn new(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_cr: false,
            limit,
        }
    }

    /// Feeds a chunk; returns the data of the events it completes. Events without data, comments,
    /// ids and retry times are passed over.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Vec<u8>>, EventTooLarge> {
        let mut events = Vec::new();
        for &byte in chunk {
            let ends_crlf = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            if ends_crlf {
                continue;
            }
            if matches!(byte, b'\n' | b'\r') {
                events.extend(self.end_of_line());
            } else {
                self.line.push(byte);
            }
            if self.line.len() + self.data.len() > self.limit {
                return Err(EventTooLarge(self.limit));
            }
        }
        Ok(events)
    }

    /// Takes the finished line in; returns an event if the line was the empty one that ends it.
    fn end_of_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            let complete = std::mem::take(&mut self.has_data) && !data.is_empty();
            return complete.then_some(data);
        }
        let (field, value) = match line.iter().position(|b| *b == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &[][..]),
        };
        if field == b"data" {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.has_data = true;
            self.data
                .extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
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
            .map(|e| String::from_utf8(e).unwrap())
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
    fn an_endless_event_is_refused() {
        let mut reader = EventReader::new(10);
        assert_eq!(reader.feed(b"data: 12345678901"), Err(EventTooLarge(10)));
    }
}
