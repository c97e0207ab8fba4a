//! Thinking is bound to everything before it: a signature answers for system, tools and earlier blocks.
//!
//! Other thinking is no part of what is signed, because it may be dropped as a run from either end; the
//! ordinal in each signature shows a hole. Where one message ends and the next of the same role begins does
//! not count either.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ai::Seen;
use crate::ai::canon::{Members, canonical, fingerprint};

pub(super) struct Prefix {
    parts: Vec<String>,
    /// How many blocks of thinking came before.
    ordinal: usize,
}

/// A content block of the conversation.
struct Block {
    message: usize,
    content: usize,
    role: String,
    text: String,
}

impl Prefix {
    /// All of a request.
    pub(super) fn of(seen: &Seen) -> Self {
        let mut prefix = Self::empty(seen);
        for block in blocks(seen) {
            prefix.extend(&block.role, &block.text);
        }
        prefix
    }

    fn empty(seen: &Seen) -> Self {
        let system = seen.raw("system").unwrap_or_default();
        let tools = seen.raw("tools").unwrap_or_default();
        Self {
            parts: vec![canonical(&as_blocks(&system)), canonical(&tools)],
            ordinal: 0,
        }
    }

    pub(super) fn extend(&mut self, role: &str, block: &str) {
        if is_thinking(&Members::of(block)) {
            self.ordinal += 1;
        } else {
            self.parts.push(format!("{role} {}", canonical(block)));
        }
    }

    /// The signature of a block with this `content` that comes next.
    pub(super) fn sign(&self, content: &str) -> String {
        self.signature(self.ordinal, content)
    }

    fn signature(&self, ordinal: usize, content: &str) -> String {
        let mut parts: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        let ordinal = ordinal.to_string();
        parts.extend([content, ordinal.as_str()]);
        STANDARD.encode(format!("{ordinal}:{}", fingerprint(&parts)))
    }
}

/// Every signature of a request.
pub(super) fn verify(seen: &Seen) -> Result<(), String> {
    let mut prefix = Prefix::empty(seen);
    let mut due = None;
    for block in blocks(seen) {
        let members = Members::of(&block.text);
        if is_thinking(&members) {
            let (content, signature) = signed(&members);
            let ordinal = ordinal_of(&signature);
            let in_place = due.is_none() || ordinal == due;
            let expected = ordinal.map(|ordinal| prefix.signature(ordinal, &content));
            if !in_place || expected.as_ref() != Some(&signature) {
                return Err(format!(
                    "messages.{}.content.{}: Invalid signature in thinking block. The block is bound to a \
                     different conversation.",
                    block.message, block.content
                ));
            }
            due = ordinal.map(|ordinal| ordinal + 1);
        }
        prefix.extend(&block.role, &block.text);
    }
    Ok(())
}

fn is_thinking(members: &Members) -> bool {
    matches!(
        members.text("type").as_str(),
        "thinking" | "redacted_thinking"
    )
}

/// What a signature answers for, and the signature.
fn signed(members: &Members) -> (String, String) {
    match members.text("type").as_str() {
        "thinking" => (members.text("thinking"), members.text("signature")),
        _ => (String::new(), members.text("data")),
    }
}

fn ordinal_of(signature: &str) -> Option<usize> {
    let decoded = String::from_utf8(STANDARD.decode(signature).ok()?).ok()?;
    decoded.split_once(':')?.0.parse().ok()
}

fn blocks(seen: &Seen) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (message, raw) in seen.elements("messages").iter().enumerate() {
        let members = Members::of(raw);
        let list = as_blocks(members.get("content").unwrap_or_default());
        let list: Vec<Box<serde_json::value::RawValue>> =
            serde_json::from_str(&list).unwrap_or_default();
        for (content, block) in list.iter().enumerate() {
            blocks.push(Block {
                message,
                content,
                role: members.text("role"),
                text: block.get().to_owned(),
            });
        }
    }
    blocks
}

/// A string means one block of text.
fn as_blocks(content: &str) -> String {
    if content.starts_with('"') {
        format!(r#"[{{"type":"text","text":{content}}}]"#)
    } else {
        content.to_owned()
    }
}
