//! Messages under construction: neighbours of one role become one message.

use crate::adapters::raw::{Object, list};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Assistant,
}

#[derive(Default)]
pub(super) struct Turns {
    done: Vec<String>,
    open: Option<Turn>,
    /// Whether the last message of the model that is done begins with thinking.
    thought_first: bool,
}

struct Turn {
    role: Role,
    /// Tool results, which have to come first.
    results: Vec<String>,
    blocks: Vec<String>,
    thinks_first: bool,
}

impl Turns {
    pub(super) fn push(&mut self, role: Role, block: String) {
        self.turn(role).blocks.push(block);
    }

    pub(super) fn push_thinking(&mut self, block: String) {
        let turn = self.turn(Role::Assistant);
        turn.thinks_first |= turn.blocks.is_empty();
        turn.blocks.push(block);
    }

    pub(super) fn push_result(&mut self, block: String) {
        self.turn(Role::User).results.push(block);
    }

    pub(super) fn last(&self) -> Option<Role> {
        self.open.as_ref().map(|turn| turn.role)
    }

    /// Tool results are at the end, and the turn that made the calls does not begin with thinking.
    pub(super) fn answers_calls_without_thinking(&self) -> bool {
        let answers = self
            .open
            .as_ref()
            .is_some_and(|turn| !turn.results.is_empty());
        answers && !self.thought_first
    }

    pub(super) fn into_messages(mut self) -> Vec<String> {
        self.close();
        self.done
    }

    fn turn(&mut self, role: Role) -> &mut Turn {
        if self.last() != Some(role) {
            self.close();
        }
        self.open.get_or_insert_with(|| Turn {
            role,
            results: Vec::new(),
            blocks: Vec::new(),
            thinks_first: false,
        })
    }

    fn close(&mut self) {
        let Some(turn) = self.open.take() else { return };
        if turn.role == Role::Assistant {
            self.thought_first = turn.thinks_first;
        }
        self.done.push(turn.message());
    }
}

impl Turn {
    fn message(self) -> String {
        let role = match self.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let content = [self.results, self.blocks].concat();
        Object::new()
            .text("role", role)
            .put("content", &list(&content))
            .json()
    }
}
