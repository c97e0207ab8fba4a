//! The shape of `config.json`: serde reads an array as an object without keys, and nobody who edits a
//! file means that.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::validate::InvalidSetting;
use crate::types::Level;

/// # Errors
/// An array stands where an object is meant.
pub(super) fn check(json: &RawValue) -> Result<(), InvalidSetting> {
    refuse_array(json, "the file")?;
    for (part, value) in members(json) {
        if matches!(&*part, "approvals" | "audit") {
            refuse_array(value, &part)?;
        }
        if part == "ai" {
            check_ai(value)?;
        }
        if part == "servers" {
            for (name, server) in members(value) {
                check_server(server, &format!("servers.{name}"))?;
            }
        }
    }
    Ok(())
}

fn check_ai(json: &RawValue) -> Result<(), InvalidSetting> {
    refuse_array(json, "ai")?;
    for (part, value) in members(json) {
        if !matches!(&*part, "vendors" | "models") {
            continue;
        }
        refuse_array(value, &format!("ai.{part}"))?;
        if part == "vendors" {
            for (name, vendor) in members(value) {
                refuse_array(vendor, &format!("ai.vendors.{name}"))?;
            }
        }
    }
    Ok(())
}

fn check_server(json: &RawValue, key: &str) -> Result<(), InvalidSetting> {
    refuse_array(json, key)?;
    for (part, value) in members(json) {
        if !matches!(&*part, "oauth" | "policy") {
            continue;
        }
        refuse_array(value, &format!("{key}.{part}"))?;
        let rules = members(value)
            .into_iter()
            .filter(|(name, _)| name == "rules");
        for (index, rule) in rules.flat_map(|(_, rules)| elements(rules)).enumerate() {
            let key = format!("{key}.policy.rules[{index}]");
            refuse_array(rule, &key)?;
            let arguments = members(rule)
                .into_iter()
                .filter(|(name, _)| name == "arguments");
            for (pointer, predicate) in arguments.flat_map(|(_, value)| members(value)) {
                refuse_array(predicate, &format!("{key}.arguments.{pointer}"))?;
            }
        }
    }
    Ok(())
}

fn refuse_array(value: &RawValue, key: &str) -> Result<(), InvalidSetting> {
    match Level::read(value) {
        Some(Level::Array(_)) => Err(InvalidSetting::new(key, "must be an object")),
        _ => Ok(()),
    }
}

pub(super) fn members(json: &RawValue) -> Vec<(Cow<'_, str>, &RawValue)> {
    match Level::read(json) {
        Some(Level::Object(members)) => members,
        _ => Vec::new(),
    }
}

fn elements(json: &RawValue) -> Vec<&RawValue> {
    match Level::read(json) {
        Some(Level::Array(elements)) => elements,
        _ => Vec::new(),
    }
}
