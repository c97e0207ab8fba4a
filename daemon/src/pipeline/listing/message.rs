//! One message of a server, as far as it lists tools or says what the server is.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::catalog::{CatalogError, ListedTool, Page};
use crate::mcp::edit::{self, Ambiguous, Edit, Members};

/// The longest a client may keep a list without asking again, in milliseconds: after that it sees what
/// the rules have hidden meanwhile, even if nobody can tell it.
const MAX_TTL: f64 = 60_000.0;

/// Why a list does not pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListError {
    #[error("it is not JSON")]
    NotJson,
    /// Readers may read it differently.
    #[error(transparent)]
    Ambiguous(#[from] Ambiguous),
    #[error("its list of tools is not an array")]
    NoList,
    #[error("what it says cannot be recorded")]
    NotRecorded(#[source] CatalogError),
}

/// What a message is.
pub(super) enum Reading<'m> {
    Other,
    List(List<'m>),
    Greeting(Greeting),
}

/// What a server says about itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) instructions: Option<String>,
    /// It tells of changed lists.
    pub(super) announces: bool,
}

/// A page of tools.
pub(super) struct List<'m> {
    json: &'m str,
    result: &'m str,
    caching: Vec<(&'static str, Edit<'static>)>,
    /// None: it is not to be told which tool it is.
    tools: Vec<(Option<ListedTool>, &'m RawValue)>,
    is_last: bool,
}

/// Reads `json`, which is one message; with `greets`, its result is a greeting.
pub(super) fn read(json: &str, greets: bool) -> Result<Reading<'_>, ListError> {
    let message = Members::of(json).map_err(|_| ListError::NotJson)?;
    let Some(result) = message.decisive("result")? else {
        return Ok(Reading::Other);
    };
    let Ok(members) = Members::of(result.get()) else {
        return Ok(Reading::Other);
    };
    if greets {
        return Ok(Reading::Greeting(greeting(&members)?));
    }
    let Some(tools) = members.decisive("tools")? else {
        return Ok(Reading::Other);
    };
    let tools: Vec<&RawValue> = serde_json::from_str(tools.get()).map_err(|_| ListError::NoList)?;
    let next = members.decisive("nextCursor")?;
    Ok(Reading::List(List {
        json,
        result: result.get(),
        caching: caching(&members),
        tools: tools
            .into_iter()
            .map(|tool| (ListedTool::read(tool.get()).ok(), tool))
            .collect(),
        is_last: next.is_none_or(|cursor| cursor.get() == "null"),
    }))
}

/// The id of a message that is not read further.
pub(super) fn id(json: &str) -> Option<&RawValue> {
    Members::of(json).ok()?.get("id")
}

fn greeting(members: &Members<'_>) -> Result<Greeting, ListError> {
    #[derive(Deserialize, Default)]
    struct Capabilities {
        #[serde(default)]
        tools: Tools,
    }
    #[derive(Deserialize, Default)]
    struct Tools {
        #[serde(default, rename = "listChanged")]
        list_changed: bool,
    }
    let instructions = members.decisive("instructions")?;
    let capabilities = members
        .decisive("capabilities")?
        .and_then(|json| serde_json::from_str::<Capabilities>(json.get()).ok());
    Ok(Greeting {
        instructions: instructions.and_then(|text| serde_json::from_str(text.get()).ok()),
        announces: capabilities.unwrap_or_default().tools.list_changed,
    })
}

/// What has to change so that the list is nobody else's, and not for long.
fn caching(members: &Members<'_>) -> Vec<(&'static str, Edit<'static>)> {
    let mut edits = Vec::new();
    let scope = members.get("cacheScope");
    if scope.is_some_and(|scope| scope.get() != "\"private\"") {
        edits.push(("cacheScope", Edit::Put("\"private\"".into())));
    }
    let ttl = members.get("ttlMs");
    let ttl = ttl.and_then(|ttl| serde_json::from_str::<f64>(ttl.get()).ok());
    if ttl.is_some_and(|ttl| ttl > MAX_TTL) {
        edits.push(("ttlMs", Edit::Put("60000".into())));
    }
    edits
}

impl List<'_> {
    pub(super) fn page(&self) -> Page {
        Page {
            tools: self.named().cloned().collect(),
            is_last: self.is_last,
        }
    }

    pub(super) fn named(&self) -> impl Iterator<Item = &ListedTool> {
        self.tools.iter().filter_map(|(tool, _)| tool.as_ref())
    }

    pub(super) fn nameless(&self) -> usize {
        self.tools.iter().filter(|(tool, _)| tool.is_none()).count()
    }

    /// The message without the tools that are `hidden` or have no name; None if nothing changes. What
    /// stays keeps its order and its bytes.
    pub(super) fn without(
        &self,
        hidden: impl Fn(&ListedTool) -> bool,
    ) -> serde_json::Result<Option<String>> {
        let kept: Vec<&str> = self
            .tools
            .iter()
            .filter(|(tool, _)| tool.as_ref().is_some_and(|tool| !hidden(tool)))
            .map(|(_, json)| json.get())
            .collect();
        let mut edits = self.caching.clone();
        if kept.len() < self.tools.len() {
            edits.push(("tools", Edit::Put(format!("[{}]", kept.join(",")).into())));
        }
        if edits.is_empty() {
            return Ok(None);
        }
        let result = edit::object(self.result, &edits)?;
        edit::object(self.json, &[("result", Edit::Put(result.into()))]).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(json: &str) -> List<'_> {
        match read(json, false) {
            Ok(Reading::List(list)) => list,
            _ => panic!("no list: {json}"),
        }
    }

    fn without(json: &str, name: &str) -> Option<String> {
        list(json).without(|tool| &*tool.name == name).unwrap()
    }

    #[test]
    fn a_list_without_hidden_tools_is_not_touched() {
        let json = r#"{"jsonrpc":"2.0","id":1, "result":{"tools":[ {"name":"a"} ],"ttlMs":60000,"cacheScope":"private"}}"#;
        assert_eq!(without(json, "b"), None);
    }

    #[test]
    fn what_is_hidden_goes_and_all_else_keeps_its_order_and_bytes() {
        let json = r#"{"jsonrpc":"2.0","id":1.0,"result":{"x":1e3,"tools":[{"name":"c", "n":1.0},{"name":"b"},{"name":"a"}],"nextCursor":""}}"#;
        assert_eq!(
            without(json, "b").unwrap(),
            r#"{"jsonrpc":"2.0","id":1.0,"result":{"x":1e3,"tools":[{"name":"c", "n":1.0},{"name":"a"}],"nextCursor":""}}"#
        );
        assert!(!list(json).page().is_last, "an empty cursor is a cursor");
        let one = r#"{"id":1,"result":{"tools":[{"name":"b"}],"nextCursor":null}}"#;
        assert_eq!(
            without(one, "b").unwrap(),
            r#"{"id":1,"result":{"tools":[],"nextCursor":null}}"#
        );
        assert!(list(one).page().is_last);
    }

    #[test]
    fn a_list_is_kept_by_its_client_alone_and_not_for_long() {
        let json = r#"{"id":1,"result":{"tools":[],"ttlMs":3600000,"cacheScope":"public"}}"#;
        assert_eq!(
            without(json, "b").unwrap(),
            r#"{"id":1,"result":{"tools":[],"ttlMs":60000,"cacheScope":"private"}}"#
        );
        let short = r#"{"id":1,"result":{"tools":[],"ttlMs":10,"cacheScope":"private"}}"#;
        assert_eq!(without(short, "b"), None);
    }

    #[test]
    fn tools_that_nobody_can_name_are_left_out() {
        let json = r#"{"id":1,"result":{"tools":[{"name":"a"},{"title":"x"},{"name":"b","Name":"c"},7,{"name":""}]}}"#;
        assert_eq!(list(json).nameless(), 4);
        assert_eq!(
            without(json, "").unwrap(),
            r#"{"id":1,"result":{"tools":[{"name":"a"}]}}"#
        );
    }

    #[test]
    fn what_two_readers_could_read_differently_is_no_list() {
        for json in [
            r#"{"id":1,"result":{"tools":[],"tools":[{"name":"a"}]}}"#,
            r#"{"id":1,"result":{"tools":[],"Tools":[{"name":"a"}]}}"#,
            r#"{"id":1,"result":{},"result":{"tools":[{"name":"a"}]}}"#,
            r#"{"id":1,"result":{"tools":[],"nextCursor":"a","nextCursor":null}}"#,
            r#"{"id":1,"result":{"tool\u017f":[{"name":"a"}]}}"#,
        ] {
            assert!(
                matches!(read(json, false), Err(ListError::Ambiguous(_))),
                "{json}"
            );
        }
        let not_a_list = r#"{"id":1,"result":{"tools":{"name":"a"}}}"#;
        assert!(matches!(read(not_a_list, false), Err(ListError::NoList)));
        assert!(matches!(
            read("{\"a\":NaN}", false),
            Err(ListError::NotJson)
        ));
        assert_eq!(id(not_a_list).unwrap().get(), "1");
    }

    #[test]
    fn other_messages_are_none_of_our_business() {
        for json in [
            r#"{"id":1,"error":{"code":-1,"message":"no"}}"#,
            r#"{"id":1,"result":{"resultType":"input_required"}}"#,
            r#"{"id":1,"result":[{"tools":[]}]}"#,
            r#"{"method":"notifications/tools/list_changed"}"#,
            r#"{"id":1,"method":"sampling/createMessage","params":{"tools":[]}}"#,
        ] {
            assert!(matches!(read(json, false), Ok(Reading::Other)), "{json}");
        }
    }

    #[test]
    fn a_greeting_tells_instructions_and_whether_changes_are_announced() {
        for (result, instructions, announces) in [
            (
                r#"{"capabilities":{"tools":{"listChanged":true}},"instructions":"be nice"}"#,
                Some("be nice"),
                true,
            ),
            (
                r#"{"capabilities":{"tools":{}},"instructions":""}"#,
                Some(""),
                false,
            ),
            (r#"{"capabilities":{},"instructions":7}"#, None, false),
            ("{}", None, false),
        ] {
            let json = format!(r#"{{"id":1,"result":{result}}}"#);
            let Ok(Reading::Greeting(read)) = read(&json, true) else {
                panic!("{result}");
            };
            assert_eq!(read.instructions.as_deref(), instructions, "{result}");
            assert_eq!(read.announces, announces, "{result}");
        }
        let twice = r#"{"id":1,"result":{"instructions":"a","instructions":"b"}}"#;
        assert!(matches!(read(twice, true), Err(ListError::Ambiguous(_))));
    }
}
