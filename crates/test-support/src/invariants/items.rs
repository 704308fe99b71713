//! Items and tool calls within the fold.

use std::{
    collections::{BTreeSet, HashSet},
    mem::discriminant,
};

use worker_types::{Item, ItemBody, ItemId, ItemStatus, TurnId};

use super::{fold::Fold, report::Rule};

/// What was begun and is not finished.
#[derive(Debug, Default)]
pub(super) struct OpenItems {
    last: ItemId,
    items: BTreeSet<ItemId>,
    calls: BTreeSet<String>,
    /// Every call there was.
    known_calls: HashSet<String>,
}

impl OpenItems {
    pub(super) fn unfinished(&self) -> impl Iterator<Item = String> {
        let items = self.items.iter().map(|id| format!("item {id} is open"));
        items.chain(self.calls.iter().map(|call| format!("the call `{call}` has no result")))
    }
}

impl Fold {
    /// Notes an item that was not there before.
    pub(super) fn add_item(&mut self, turn_id: TurnId, item: &Item) {
        if item.id != self.items.last.next() {
            let last = self.items.last;
            self.broken(Rule::Items, format!("item {} follows item {last}", item.id));
        }
        if item.turn_id != turn_id {
            self.broken(Rule::Items, format!("item {} is of another turn", item.id));
        }
        self.items.last = self.items.last.max(item.id);
        self.report.items.insert(item.id, item.clone());
    }

    pub(super) fn start_item(&mut self, turn_id: TurnId, item: &Item) {
        if item.status != ItemStatus::InProgress {
            self.broken(Rule::Items, format!("item {} starts and is final", item.id));
        }
        self.add_item(turn_id, item);
        self.items.items.insert(item.id);
    }

    pub(super) fn complete_item(&mut self, turn_id: TurnId, item: &Item) {
        if item.status == ItemStatus::InProgress {
            self.broken(Rule::Items, format!("item {} is completed and not final", item.id));
        }
        if self.items.items.remove(&item.id) {
            let started = self.report.items.insert(item.id, item.clone());
            let alike = started.is_some_and(|started| {
                started.turn_id == item.turn_id
                    && discriminant(&started.body) == discriminant(&item.body)
            });
            if !alike {
                self.broken(Rule::Items, format!("item {} was started as another", item.id));
            }
        } else {
            self.add_item(turn_id, item);
        }
        match &item.body {
            ItemBody::ToolCall { call_id, .. } => {
                self.items.calls.insert(call_id.clone());
                if !self.items.known_calls.insert(call_id.clone()) {
                    self.broken(Rule::Calls, format!("the call `{call_id}` was made before"));
                }
            }
            ItemBody::ToolResult { call_id, .. } => {
                if !self.items.calls.remove(call_id) {
                    self.broken(Rule::Calls, format!("the call `{call_id}` is not open"));
                }
            }
            ItemBody::UserMessage { parts } => {
                if !self.items.calls.is_empty() {
                    self.broken(Rule::Calls, "a user speaks between a call and its result");
                }
                self.take_steering(turn_id, parts);
            }
            ItemBody::AssistantMessage { .. }
            | ItemBody::Reasoning { .. }
            | ItemBody::Notice { .. }
            | ItemBody::Unknown => {}
        }
    }

    /// The turn is over, and so is what it began.
    pub(super) fn end_items(&mut self) {
        let open: Vec<String> = self.items.unfinished().collect();
        for what in open {
            let rule = if what.starts_with("item") { Rule::Items } else { Rule::Calls };
            self.broken(rule, format!("the turn ends, and {what}"));
        }
        self.items.items.clear();
        self.items.calls.clear();
    }
}
