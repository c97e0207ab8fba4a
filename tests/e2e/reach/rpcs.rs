//! The RPCs of the control API, read out of its schema, and messages for them.

use std::collections::HashMap;
use std::path::Path;

use bytes::{BufMut as _, Bytes, BytesMut};

/// Field types of a descriptor (google/protobuf/descriptor.proto).
const STRING: i32 = 9;
const MESSAGE: i32 = 11;
/// Deeper messages are left empty: a message may hold itself.
const DEPTH: usize = 4;

pub(super) struct Schema {
    pub(super) rpcs: Vec<Rpc>,
    messages: HashMap<String, Vec<Field>>,
}

pub(super) struct Rpc {
    /// Such as `Tools.CallTool`.
    pub(super) name: String,
    /// Such as `/mcpbridge.v1.Tools/CallTool`.
    pub(super) path: String,
    input: String,
}

struct Field {
    name: String,
    number: u8,
    kind: i32,
    type_name: String,
}

impl Schema {
    /// What the files of `proto/mcpbridge/v1` say.
    pub(super) fn read(proto: &Path) -> Self {
        let names = std::fs::read_dir(proto.join("mcpbridge/v1")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names = names.map(|name| format!("mcpbridge/v1/{name}"));
        let mut schema = Self {
            rpcs: Vec::new(),
            messages: HashMap::new(),
        };
        for file in protox::compile(names, [proto]).unwrap().file {
            let package = file.package().to_owned();
            for message in &file.message_type {
                let fields = message.field.iter().map(|field| Field {
                    name: field.name().to_owned(),
                    number: u8::try_from(field.number()).unwrap(),
                    kind: field.r#type.unwrap_or_default(),
                    type_name: field.type_name().to_owned(),
                });
                let name = format!(".{package}.{}", message.name());
                schema.messages.insert(name, fields.collect());
            }
            for service in &file.service {
                let rpcs = service.method.iter().map(|method| Rpc {
                    name: format!("{}.{}", service.name(), method.name()),
                    path: format!("/{package}.{}/{}", service.name(), method.name()),
                    input: method.input_type().to_owned(),
                });
                schema.rpcs.extend(rpcs);
            }
        }
        schema.rpcs.sort_by(|one, other| one.name.cmp(&other.name));
        schema
    }

    /// A request for `rpc`: each text field for which there is a `value`, in every message within.
    pub(super) fn request(&self, rpc: &Rpc, value: &dyn Fn(&str) -> Option<String>) -> Bytes {
        self.message(&rpc.input, value, DEPTH)
    }

    fn message(&self, name: &str, value: &dyn Fn(&str) -> Option<String>, depth: usize) -> Bytes {
        let mut out = BytesMut::new();
        let fields = self.messages.get(name).map(Vec::as_slice);
        for field in fields.unwrap_or_default() {
            let content = match field.kind {
                STRING => value(&field.name).map(Bytes::from),
                MESSAGE if depth > 0 => Some(self.message(&field.type_name, value, depth - 1)),
                _ => None,
            };
            if let Some(content) = content.filter(|content| !content.is_empty()) {
                // Wire type 2, length-delimited.
                put_varint(&mut out, usize::from(field.number) << 3 | 2);
                put_varint(&mut out, content.len());
                out.put(content);
            }
        }
        out.freeze()
    }
}

fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value > 0x7f {
        out.put_u8(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.put_u8(u8::try_from(value).unwrap());
}
